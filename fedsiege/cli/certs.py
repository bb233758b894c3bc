"""``fedsiege certs``: a certificate authority and the certificates of participants and servers."""

import enum
import re
import shlex
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from fedsiege.cli.invocation import program
from fedsiege.cli.screen_table import ScreenTable
from fedsiege.errors import InvalidValue

if TYPE_CHECKING:
    from fedsiege.services.identity.authority import Issued

#: Hosts that a server made by ``init`` has in its certificate, besides its own name.
HERE = ("localhost", "127.0.0.1", "::1")
MOST_AT_ONCE = 10_000

app = typer.Typer(
    help="Certificates: make a CA, and issue, renew and revoke identities.",
    no_args_is_help=True,
    add_completion=False,
)

Folder = Annotated[Path, typer.Option(help="Where the CA and the bundles lie.")]
Days = Annotated[float, typer.Option(help="How long it is valid.")]
Hosts = Annotated[
    list[str] | None,
    typer.Option("--host", help="One more name or address to serve under; may be repeated."),
]


class As(enum.StrEnum):
    """What a certificate is for."""

    PARTICIPANT = "participant"
    CONTROL = "control"
    SERVER = "server"


@app.command()
def init(
    folder: Folder = Path("certs"),
    host: Hosts = None,
    days: Days = 365.0,
) -> None:
    """Make a CA, and the bundles of the aggregator, the simulator and an operator."""
    from fedsiege.services.identity.authority import Authority
    from fedsiege.services.identity.callers import Role

    more = host or []
    _check(more, days)
    authority = Authority.create(folder)
    issued = [
        authority.issue(
            "aggregator", participants=0, days=days, hosts=("aggregator", *HERE, *more)
        ),
        authority.issue("simulator", Role.CONTROL, days=days, hosts=("simulator", *HERE, *more)),
        authority.issue("operator", Role.CONTROL, days=days),
    ]
    _say(f"{folder / 'ca'}: a new CA. Its key.pem makes identities; it belongs on no server.")
    _print_table(issued, {})
    operator = folder / "operator"
    _say(
        "Next:\n"
        f"  {shlex.join(program())} certs issue client-01 --count 50 --folder {folder}\n"
        f"  grpcurl -cacert {operator}/ca.pem -cert {operator}/certificate.pem"
        f" -key {operator}/key.pem localhost:50051 list"
    )


@app.command()
def issue(
    name: Annotated[str, typer.Argument(help="A new name, such as client-01.")],
    folder: Folder = Path("certs"),
    count: Annotated[int, typer.Option(help="How many: client-01, client-02 and so on.")] = 1,
    participants: Annotated[
        int,
        typer.Option(
            "--participants", "--places", help="How many participants each certificate is for."
        ),
    ] = 1,
    days: Days = 365.0,
    role: Annotated[As, typer.Option(help="What it is for.")] = As.PARTICIPANT,
    host: Hosts = None,
) -> None:
    """Issue certificates to new names."""
    from fedsiege.services.identity.authority import Authority
    from fedsiege.services.identity.callers import Role

    hosts = host or []
    if role is As.SERVER and not hosts:
        raise InvalidValue("HOST", "", "a server has at least one: --host aggregator-2")
    issued = Authority(folder).issue_all(
        numbered(name, count),
        Role.CONTROL if role is As.CONTROL else Role.PARTICIPANT,
        0 if role is As.SERVER else participants,
        days,
        hosts,
    )
    first, last = issued[0], issued[-1]
    count = first.participants
    each = f", {count} participant{'' if count == 1 else 's'} each" if count else ""
    span = f"{folder / first.name}" + (f" … {folder / last.name}" if last is not first else "")
    until = f"good until {first.expires:%F}"
    _say(f"{span}: {_certificates(len(issued))}, role {role.value}{each}, {until}.")
    if role is As.PARTICIPANT:
        _say(f"Next: python -m fedsiege.services.client --certs {folder / first.name}")


@app.command()
def renew(
    names: Annotated[list[str], typer.Argument(help="Names that were issued.")],
    folder: Folder = Path("certs"),
    days: Days = 365.0,
    host: Hosts = None,
) -> None:
    """Make new keys and certificates for names; services take them up without a restart."""
    from fedsiege.services.identity.authority import Authority

    authority = Authority(folder)
    for name in names:
        one = authority.renew(name, days, host or [])
        before = [
            other
            for other in authority.issued()
            if other.name == name and other.serial not in (one.serial, *authority.revoked())
        ]
        _say(f"{folder / name}: a new key and certificate, good until {one.expires:%F}.")
        if before:
            serials = " ".join(f"{other.serial:016x}" for other in before)
            _say(f"  Still good as well, until it ends or is revoked: --serial {serials}")


@app.command()
def revoke(
    names: Annotated[list[str], typer.Argument(help="Names that were issued.")],
    folder: Folder = Path("certs"),
    serial: Annotated[
        str | None, typer.Option(help="Only this certificate; `fedsiege certs list` has it.")
    ] = None,
) -> None:
    """Make certificates invalid; servers refuse them from the next second on."""
    from fedsiege.services.identity.authority import Authority

    authority = Authority(folder)
    number = None
    if serial is not None:
        if not re.fullmatch("[0-9a-fA-F]{1,40}", serial):
            raise InvalidValue("SERIAL", serial, "as `fedsiege certs list` spells it")
        number = int(serial, 16)
    for name in names:
        good = authority.revoke(name, number)
        _say(f"{name}: {_certificates(len(good))} revoked.")
    rewritten = ", ".join(str(server / "revoked.pem") for server in authority.servers())
    _say(f"Rewritten: {rewritten or 'no server is here'}. A server elsewhere needs the same file.")


@app.command("list")
def list_(folder: Folder = Path("certs")) -> None:
    """List every certificate that was issued."""
    from fedsiege.services.identity.authority import Authority

    authority = Authority(folder)
    _print_table(authority.issued(), authority.revoked())


def numbered(name: str, count: int) -> list[str]:
    """Count names up from the number that the first one ends in.

    Raises:
        InvalidValue: there is none to count up from, or too many are asked for.
    """
    if count == 1:
        return [name]
    if not 1 <= count <= MOST_AT_ONCE:
        raise InvalidValue("COUNT", count, f"1 to {MOST_AT_ONCE:,}")
    found = re.fullmatch(r"(.*?)([0-9]{1,9})", name)
    if found is None:
        raise InvalidValue("NAME", name, f"a number at its end, as {name}-01, to count up from")
    stem, digits = found.groups()
    return [f"{stem}{number:0{len(digits)}}" for number in range(int(digits), int(digits) + count)]


def _check(hosts: Sequence[str], days: float) -> None:
    """Refuse what no certificate could have, before there is a CA."""
    from fedsiege.services.identity.authority import CA_DAYS
    from fedsiege.services.identity.signing import host_names

    host_names(hosts)
    if not 0 < days < CA_DAYS:
        raise InvalidValue("DAYS", days, f"more than 0, less than the CA's {CA_DAYS:,}")


def _print_table(issued: "Sequence[Issued]", revoked: dict[int, datetime]) -> None:
    from fedsiege.services.identity.bundle import ends_soon, utc_now
    from fedsiege.services.identity.callers import Role

    now = utc_now()
    headings = "name", "role", "capacity", "expires", "state", "serial", "hosts"
    columns: dict[str, list[str | Text]] = {heading: [] for heading in headings}
    for one in issued:
        state = "good"
        if one.serial in revoked:
            state = f"revoked {revoked[one.serial]:%F}"
        elif one.expires <= now:
            state = "expired"
        elif ends_soon(one.begins, one.expires, now):
            state = "ends soon"
        cells = (
            one.name,
            (As.SERVER if one.hosts and one.role is Role.PARTICIPANT else one.role).value,
            str(one.participants) if one.participants else "",
            f"{one.expires:%F %H:%MZ}",
            state,
            f"{one.serial:016x}",
            " ".join(one.hosts),
        )
        for column, text in zip(columns.values(), cells, strict=True):
            column.append(text)
    left = set(headings)
    Console().print(ScreenTable(columns, left=left, box=None, padding=(0, 2, 0, 0)))


def _certificates(count: int) -> str:
    return f"{count} certificate{'' if count == 1 else 's'}"


def _say(text: str) -> None:
    Console().print(Text(text), soft_wrap=True)
