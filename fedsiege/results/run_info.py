"""``run.json``: what a run was, beside its settings and its figures."""

import enum
import os
import platform
import re
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fedsiege import plugins
from fedsiege.atomic import write_file
from fedsiege.errors import InvalidValue
from fedsiege.experiment.knowledge import Knowledge

FILE = "run.json"


class RunState(enum.StrEnum):
    """How far a run has come, and how it ended."""

    RUNNING = "running"
    FINISHED = "finished"
    CANCELLED = "cancelled"
    FAILED = "failed"


class _Model(BaseModel):
    """Base: immutable; fields of later versions are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Versions(_Model):
    """The software that computed a run."""

    fedsiege: str
    python: str
    torch: str
    numpy: str
    platform: str

    @classmethod
    def here(cls) -> Self:
        """Return the versions of this process."""
        return cls(
            fedsiege=version("fedsiege"),
            python=platform.python_version(),
            torch=version("torch"),
            numpy=version("numpy"),
            platform=platform.platform(),
        )

    def __str__(self) -> str:
        return (
            f"fedsiege {self.fedsiege}, python {self.python}, torch {self.torch}, "
            f"numpy {self.numpy}, {self.platform}"
        )


class PluginUsed(_Model):
    """A plug-in whose components a run used.

    Attributes:
        name: the name of the package or of the file.
        version: the version of the package; empty for a file.
        sha256: SHA-256 of the file; empty for a package.
        components: what the run used of it: "rule half".
    """

    name: str
    version: str = ""
    sha256: str = ""
    components: tuple[str, ...] = ()

    @property
    def missing(self) -> bool:
        """Whether neither such a package is installed nor such a file loaded, in any version."""
        if self.sha256:
            return self.name not in plugins.loaded_files()
        try:
            version(self.name)
        except PackageNotFoundError:
            return True
        return False

    def __str__(self) -> str:
        known = self.version or f"sha256 {self.sha256[:12]}"
        return f"{self.name} ({known}): {', '.join(self.components)}"


class RunInfo(_Model):
    """What a run was, beside its settings. It is written at the start and again at the end.

    The description of each field is in ``docs/results.md``.
    """

    state: Annotated[
        RunState | None,
        Field(description="running, finished, cancelled or failed; null if not known."),
    ] = None
    reason: Annotated[str, Field(description="Why it failed; empty if it did not.")] = ""
    started: Annotated[
        datetime | None, Field(description="When it began, ISO 8601 with the time zone.")
    ] = None
    ended: Annotated[datetime | None, Field(description="When it ended; null while it runs.")] = (
        None
    )
    seconds: Annotated[
        float | None, Field(description="Seconds from start to end; null while it runs.")
    ] = None
    versions: Annotated[
        Versions | None,
        Field(description="Versions of fedsiege, Python, torch and numpy, and the platform."),
    ] = None
    plugins: Annotated[
        tuple[PluginUsed, ...],
        Field(description="Plug-ins that it used: package and version, or file and SHA-256."),
    ] = ()
    command: Annotated[
        tuple[str, ...],
        Field(description="The command that started it, word by word; empty if it came by gRPC."),
    ] = ()
    knowledge: Annotated[
        Knowledge | None,
        Field(description="What the attack is handed: level and meaning; null without an attack."),
    ] = None
    dataset_reason: Annotated[
        str, Field(description="Why this data set was chosen; empty if it was named.")
    ] = ""
    initial_weights: Annotated[
        str,
        Field(description="Where the weights of round 0 came from: pretrained, random or a file."),
    ] = ""
    initial_weights_sha256: Annotated[
        str, Field(description="SHA-256 of the checkpoint of round 0; empty if there is none.")
    ] = ""
    notes: Annotated[
        tuple[str, ...],
        Field(description="What was assumed before the run or noticed during it."),
    ] = ()
    class_names: Annotated[
        tuple[str, ...],
        Field(description="Names of the classes, from class 0 on; empty where they have none."),
    ] = ()
    clean_twin: Annotated[
        str | None,
        Field(
            description="Folder of the same run without its attack, relative to this one; null if "
            "none was recorded."
        ),
    ] = None

    def write(self, folder: Path) -> None:
        """Write ``run.json`` atomically.

        Raises:
            OSError: it cannot be written; the error names it.
        """
        write_file(folder / FILE, f"{self.model_dump_json(indent=2)}\n".encode())

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read ``run.json``; in a folder without one, what older versions wrote into ``spec.yaml``.

        Raises:
            InvalidValue: it is damaged.
            OSError: it cannot be read.
        """
        path = folder / FILE
        if not path.exists():
            return cls._from_comments((folder / "spec.yaml").read_text(errors="replace"))
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            allowed = (
                f"a folder of results, but its run.json cannot be read: {where} {first['msg']}"
            )
            raise InvalidValue("RUN", str(folder), allowed) from error

    @classmethod
    def _from_comments(cls, text: str) -> Self:
        """Read the comments of a ``spec.yaml``, which held this before there was ``run.json``."""
        said: dict[str, object] = {}
        notes: list[str] = []
        for line in text.splitlines():
            if not line.startswith("# "):
                break
            comment = line.removeprefix("# ")
            if found := re.fullmatch(r"FedSiege experiment of (\S+)\.", comment):
                said["started"] = found[1]
            elif found := re.fullmatch(
                r"fedsiege (\S+), python (\S+), torch (\S+), numpy (\S+), (.+)", comment
            ):
                names = ("fedsiege", "python", "torch", "numpy", "platform")
                said["versions"] = dict(zip(names, found.groups(), strict=True))
            elif found := re.fullmatch(r"knowledge of the attack: (\w+), (.+)", comment):
                said["knowledge"] = {"level": found[1], "meaning": found[2]}
            elif found := re.fullmatch(r"data set \S+: (.+)", comment):
                said["dataset_reason"] = found[1]
            elif comment.startswith("note: "):
                notes.append(comment.removeprefix("note: "))
        return cls.model_validate({**said, "notes": tuple(notes)})


def record_clean_twin(folder: Path, twin: Path) -> None:
    """Write into the ``run.json`` of an attacked run which run is its clean twin.

    Args:
        folder: the attacked run.
        twin: the same run without its attack.

    Raises:
        OSError: it cannot be written.
    """
    relative = os.path.relpath(twin.resolve(), folder.resolve())
    RunInfo.read(folder).model_copy(update={"clean_twin": relative}).write(folder)
