"""``fedsiege admission``: make the credentials that containers show each other, in one folder.

    admission/clients/      the clients' credentials: files of tokens, or bundles
              attackers/    the attacker's
              aggregator/   the ledger of the tokens, or the aggregator's bundle
              simulator/    the simulator's bundle
              operator/     the bundle for driving the federation from this machine
              authority/    the CA, and a link to every bundle: a folder for ``fedsiege certs``

``docker/token.yml`` and ``docker/mtls.yml`` mount the first four, each where it is needed. Nothing
sees the authority, whose key makes any identity.
"""

import enum
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from fedsiege.cli.command import single
from fedsiege.errors import FedSiegeError, InvalidValue

if TYPE_CHECKING:
    from fedsiege.services.identity.authority import Authority

#: The user of the image, which becomes the owner of files that root makes.
_IMAGE_USER = (1000, 1000)
_MOST_CLIENTS = 10_000
_CLIENTS, _ATTACKERS, _AUTHORITY = "clients", "attackers", "authority"
_ATTACKER = "attacker"
_LEDGER = Path("aggregator/tokens.sqlite")


class Mode(enum.StrEnum):
    """What enrolment asks for."""

    TOKEN = "token"  # noqa: S105 - a mode, no password
    MTLS = "mtls"


def admission(
    mode: Annotated[Mode, typer.Argument(help="What enrolment asks for.")],
    clients: Annotated[
        int | None,
        typer.Option(
            help="Client containers, of one participant each.", show_default="10, or as it is"
        ),
    ] = None,
    leaked: Annotated[
        int | None,
        typer.Option(
            help="Fakes that the attacker has credentials for.", show_default="1, or as it is"
        ),
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where.")] = Path("admission"),
) -> None:
    """Make the credentials of the containers; with more CLIENTS later, add what is missing."""
    from fedsiege.services.identity.authority import MOST_PARTICIPANTS

    if clients is not None and not 1 <= clients <= _MOST_CLIENTS:
        raise InvalidValue("CLIENTS", clients, f"1 to {_MOST_CLIENTS:,}")
    if leaked is not None and not 0 <= leaked <= MOST_PARTICIPANTS:
        raise InvalidValue("LEAKED", leaked, f"0 to {MOST_PARTICIPANTS:,}")
    lay_out, complete, count_leaked = _MODES[mode]
    if _is_new(folder, mode):
        fakes = 1 if leaked is None else leaked
        added = 10 if clients is None else clients
        _create(folder, lambda new: (lay_out(new, fakes), complete(new, added)))
        owner = _owner(folder)
    else:
        fakes = count_leaked(folder)
        if leaked not in (None, fakes):
            allowed = f"{fakes}, as {folder} has it; remove the folder to begin anew"
            raise InvalidValue("LEAKED", leaked, allowed)
        added, found = complete(folder, clients or 0), (folder / _CLIENTS).stat()
        owner = found.st_uid, found.st_gid
    _give(folder, owner)
    total = len(_names(folder))
    leak = f"{fakes:,} fake{'' if fakes == 1 else 's'}"
    _say(f"{folder}: {mode} for {total} clients, {added} of them new, and for {leak}.")
    user = "" if owner == _IMAGE_USER else f"OWNER={owner[0]}:{owner[1]} "
    files = f"-f docker-compose.yml -f docker/{mode}.yml"
    _say(f"Next: {user}docker compose {files} up --scale client={total}")


def _is_new(folder: Path, mode: Mode) -> bool:
    """Return whether the folder is absent or empty.

    Raises:
        InvalidValue: it holds something else.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return True
    found = None
    if (folder / _LEDGER).is_file():
        found = Mode.TOKEN
    elif (folder / _AUTHORITY / "ca").is_dir():
        found = Mode.MTLS
    if found is not mode:
        what = f"it is for ADMISSION={found}" if found else "it is there and holds something else"
        raise InvalidValue("FOLDER", str(folder), f"{what}; remove it or name another one")
    return False


def _create(folder: Path, fill: Callable[[Path], object]) -> None:
    """Make the folder at once with all that it holds, or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name in (_CLIENTS, _ATTACKERS, _LEDGER.parent):
            (beside / name).mkdir()
        fill(beside)
        beside.rename(folder)
    except OSError as error:
        raise FedSiegeError(f"{folder} cannot be made: {error.strerror}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _names(folder: Path) -> list[str]:
    """Return the names of the clients that have credentials."""
    return sorted(path.stem for path in (folder / _CLIENTS).iterdir())


def _lacking(folder: Path, clients: int) -> list[str]:
    """Return the names that are to be added."""
    there = set(_names(folder))
    return [name for n in range(1, clients + 1) if (name := f"client-{n:02}") not in there]


def _lay_out_tokens(folder: Path, leaked: int) -> None:
    """Issue the attacker's tokens; with none leaked it gets one that no ledger knows."""
    from fedsiege.services.identity.ledger import TOKEN_BYTES, Ledger
    from fedsiege.services.launch.credentials import write_tokens

    with closing(Ledger(folder / _LEDGER)) as ledger:
        tokens = ledger.issue(leaked, _ATTACKER) if leaked else [secrets.token_urlsafe(TOKEN_BYTES)]
    write_tokens(folder / _ATTACKERS / f"{_ATTACKER}.tokens", tokens)


def _complete_tokens(folder: Path, clients: int) -> int:
    from fedsiege.services.identity.ledger import Ledger
    from fedsiege.services.launch.credentials import write_tokens

    lacking = _lacking(folder, clients)
    with closing(Ledger(folder / _LEDGER)) as ledger:
        for name in lacking:
            write_tokens(folder / _CLIENTS / f"{name}.tokens", ledger.issue(1, name))
    return len(lacking)


def _leaked_tokens(folder: Path) -> int:
    from fedsiege.services.identity.ledger import Ledger

    with closing(Ledger(folder / _LEDGER)) as ledger:
        return sum(one.label == _ATTACKER for one in ledger.entries())


def _lay_out_certificates(folder: Path, leaked: int) -> None:
    from fedsiege.cli.certs import HERE
    from fedsiege.services.identity.authority import Authority
    from fedsiege.services.identity.callers import Role

    authority = Authority.create(folder / _AUTHORITY)
    for name, role in (("aggregator", Role.PARTICIPANT), ("simulator", Role.CONTROL)):
        hosts = (name, f"tasks.{name}", *HERE)  # as a Swarm calls them too
        authority.issue(name, role, participants=0, hosts=hosts)
    authority.issue("operator", Role.CONTROL)
    authority.issue(_ATTACKER, participants=leaked)


def _complete_certificates(folder: Path, clients: int) -> int:
    from fedsiege.services.identity.authority import Authority

    authority = Authority(folder / _AUTHORITY)
    known = {one.name for one in authority.issued()}
    added = [name for name in _lacking(folder, clients) if name not in known]
    if added:
        authority.issue_all(added)
    _hand_out(authority, folder)
    return len(added)


def _hand_out(authority: "Authority", folder: Path) -> None:
    """Put every bundle where its owner finds it, and leave a link behind."""
    homes = {"aggregator": ".", "simulator": ".", "operator": ".", _ATTACKER: _ATTACKERS}
    for name in dict.fromkeys(one.name for one in authority.issued()):
        bundle = authority.folder / name
        if not bundle.is_symlink() and bundle.is_dir():
            home = Path(homes.get(name, _CLIENTS)) / name
            if (folder / home).is_dir():
                (folder / home).rmdir()  # as it was made, empty
            bundle.rename(folder / home)
            bundle.symlink_to(".." / home)


def _leaked_participants(folder: Path) -> int:
    from fedsiege.services.identity.authority import Authority

    issued = Authority(folder / _AUTHORITY).issued()
    return next((one.participants for one in reversed(issued) if one.name == _ATTACKER), 0)


_MODES: Mapping[
    Mode,
    tuple[Callable[[Path, int], None], Callable[[Path, int], int], Callable[[Path], int]],
] = {
    Mode.TOKEN: (_lay_out_tokens, _complete_tokens, _leaked_tokens),
    Mode.MTLS: (_lay_out_certificates, _complete_certificates, _leaked_participants),
}


def _owner(folder: Path) -> tuple[int, int]:
    """Return whose files these are to be, and who runs the containers therefore.

    Where root makes them that is the owner of the folder around them, and the user of the image if
    that is root too.
    """
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    around = folder.parent.stat()
    return (around.st_uid, around.st_gid) if around.st_uid else _IMAGE_USER


def _give(folder: Path, owner: tuple[int, int]) -> None:
    """Give what containers are to read to its owner, where root has made it."""
    if os.geteuid() != 0:
        return
    for name in (_CLIENTS, _ATTACKERS, "aggregator", "simulator"):
        for path in ((folder / name), *(folder / name).rglob("*")):
            if path.exists():
                os.chown(path, *owner, follow_symlinks=False)


def _say(text: str) -> None:
    Console().print(Text(text), soft_wrap=True)


app = single(admission)
