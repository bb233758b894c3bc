"""Each command of a page is one that works, with options and settings that there are.

Every command line is checked by a function of ``CHECKS``, chosen by its first word. A command that
no function knows fails, so that none goes unchecked. ``test_blocks.py`` runs those that can run.
"""

import contextlib
import importlib.util
import io
import itertools
import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from functools import cache

import typer
import yaml
from google.protobuf import json_format
from google.protobuf.message_factory import GetMessageClass

from fedsiege.cli import main
from fedsiege.experiment.resolve import resolve
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.v1 import aggregator_pb2, simulator_pb2
from tests.docs.pages import BLOCKS, ROOT, TEXTS, lines, spans, without_make

COMPOSE_FILES = [ROOT / "docker-compose.yml", *(ROOT / "docker").glob("*.yml")]

SIM = typer.main.get_command(importlib.import_module("fedsiege.cli.sim").app)
VARIABLES = {
    *re.findall(r"^([A-Z_]+) \?=", (ROOT / "Makefile").read_text(), re.MULTILINE),
    *(name.upper() for name in ExperimentSpec.model_fields),
    *(parameter.name.upper() for parameter in SIM.params),
}
CONTAINER_VARIABLES = {
    name
    for path in COMPOSE_FILES
    for pair in re.findall(r"\$\{([A-Z_]+)|^ +- ([A-Z_]+)\b", path.read_text(), re.MULTILINE)
    for name in pair
    if name
}
SERVICES = {
    name: (port, message.DESCRIPTOR.services_by_name[name].methods_by_name)
    for name, port, message in (
        ("AggregatorService", 50051, aggregator_pb2),
        ("SimulatorService", 50052, simulator_pb2),
    )
}

# A line and where it stands, for messages of failure.
Line = tuple[str, str]


#: Lines that need a plug-in: test_blocks.py runs those with a file, .ci/plugin those of a package.
WITH_PLUGIN = re.compile(r"--plugin|PLUGIN=|plugins\.|winsorized-mean|examples/plugin")


def commands() -> Iterator[Line]:
    """Yield each command line of the pages once, from shell blocks and from code spans."""
    seen = set()
    for page, text in TEXTS.items():
        found = [
            line
            for block in BLOCKS
            if block.page == page and block.language == "sh"
            for line in lines(block.text)
        ]
        first = rf"(\.venv/bin/)?({'|'.join(map(re.escape, CHECKS))}) [a-z-]"
        found += [span for span in spans(text) if re.match(first, span)]
        for line in found:
            if line not in seen and not WITH_PLUGIN.search(line):
                seen.add(line)
                yield page, line


def check(line: str) -> None:
    """Check one command line; pipes join several."""
    words = shlex.split(line, comments=True)
    while words and re.fullmatch(r"[A-Z]+=.*", words[0]):
        name = words.pop(0).partition("=")[0]
        known = len(name) == 1 or name in VARIABLES | CONTAINER_VARIABLES
        assert known, f"no variable {name} in the Makefile or the Compose files"
    while words:
        end = words.index("|") if "|" in words else len(words)
        name = words[0].removeprefix(".venv/bin/")
        assert name in CHECKS, f"no check for {name}"
        CHECKS[name](words[1:end])
        words = words[end + 1 :]


def check_make(words: list[str]) -> None:
    """Run make without its commands; the experiment of `make sim` must be possible."""
    options = ["--no-print-directory", "-n", "-o", ".venv/.ready", "-o", ".venv/.ready-dev"]
    done = subprocess.run(
        ["make", *options, *words],
        cwd=ROOT,
        env=without_make(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown = done.stdout.replace("\\\n", " ").replace("$(nproc)", "2").strip().splitlines()
    made = shlex.split(shown[-1])
    if "exec" in made and ".venv/bin/fedsiege" in made:
        check_fedsiege(made[made.index(".venv/bin/fedsiege") + 1 :])


def check_fedsiege(words: list[str]) -> None:
    """Parse a command with its options; the experiment of `sim` must be possible."""
    command = typer.main.get_command(main.app)
    while hasattr(command, "get_command") and words != ["--help"]:
        if not words:
            return  # a group of commands, by its name
        parent, (name, *words) = command, words
        command = parent.get_command(typer.Context(parent), name)
        assert command, f"no command {name}"
    if "--help" in words or not any(word.startswith("-") for word in words):
        return
    command.make_context(command.name, list(words))
    if command.name == "sim":
        pairs = (word.removeprefix("--").partition("=") for word in words)
        settings = {name.lower().replace("-", "_"): value for name, _, value in pairs}
        possible({key: settings[key] for key in settings.keys() & ExperimentSpec.model_fields})


def check_python(words: list[str]) -> None:
    """A module that exists, and whose help names the options."""
    assert words[0] == "-m", words
    assert has_module(words[1]), f"no module {words[1]}"
    options = {word.partition("=")[0] for word in words[2:] if word.startswith("--")}
    if options:
        assert options <= set(re.findall(r"--[a-z-]+", help_of(words[1])))


def has_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


@cache
def run_as(module: str) -> str:
    """Return the module that ``python -m`` runs."""
    found = importlib.util.find_spec(module)
    assert found is not None
    return f"{module}.__main__" if found.submodule_search_locations else module


def help_of(module: str) -> str:
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        importlib.import_module(run_as(module)).main(["--help"])
    return text.getvalue()


def check_docker(words: list[str]) -> None:
    """The Compose files that are named exist, and have the services that are scaled."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for option, value in itertools.pairwise(words):
        if option in {"-f", "-c"} and value.endswith(".yml"):
            assert (ROOT / value).exists(), f"no file {value}"
        if option in {"--scale", "scale", "logs"} and "=" in value:
            assert value.partition("=")[0].removeprefix("fedsiege_") in services


def check_rpc(words: list[str]) -> None:
    """The method exists, the port is its service's, and the data fit the request."""
    line = " ".join(words)
    for name, method in re.findall(r"fedsiege\.v1\.(\w+)/(\w+)", line):
        port, methods = SERVICES[name]
        assert method in methods, f"{name} has no method {method}"
        assert f":{port}" in line, f"{name} is on port {port}"
        if "-d" in words:
            data = words[words.index("-d") + 1]
            json_format.Parse(data, GetMessageClass(methods[method].input_type)())
            possible(json.loads(data).get("spec", {}))
    for name in re.findall(r"describe fedsiege\.v1\.(\w+)", line):
        assert name in SERVICES


def check_script(words: list[str]) -> None:
    """Nothing to check: the words are those of another program."""


CHECKS: dict[str, Callable[[list[str]], None]] = {
    "make": check_make,
    "fedsiege": check_fedsiege,
    "python": check_python,
    "docker": check_docker,
    "docker-compose": check_docker,
    "docker/two-nodes.sh": check_script,
    "grpcurl": check_rpc,
    "buf": check_rpc,
    "source": check_script,
    "ssh": check_script,
    "cmp": check_script,
    "npm": check_script,
    "pip": check_script,
    "node": check_script,
    "git": check_script,
}


def possible(settings: dict[str, object]) -> None:
    """Resolve an experiment, which fails for one that could not start."""
    if settings:
        resolve(ExperimentSpec.of({"dataset": "digits", **settings}))


def failures(check: Callable[[str], None], lines: Iterator[Line]) -> list[str]:
    """Return one line for each of the lines that fails its check."""
    failed = []
    for page, line in lines:
        try:
            check(line)
        except Exception as problem:  # all of them are shown together
            failed.append(f"{page}: {line}\n    {type(problem).__name__}: {problem}")
    return failed


def test_every_command_of_a_page_is_one_that_works():
    lines = list(commands())
    assert len(lines) > 50
    assert not (failed := failures(check, iter(lines))), "\n".join(failed)


def test_every_setting_of_a_page_is_possible():
    """``RULE=krum:f=20`` in a page is a variable with a value that an experiment takes."""

    def check_setting(span: str) -> None:
        name, _, value = span.removeprefix("FEDSIEGE_").partition("=")
        assert name in VARIABLES | CONTAINER_VARIABLES, f"no variable {name}"
        if name.lower() in ExperimentSpec.model_fields and re.match(r"[a-z0-9]", value):
            possible({name.lower(): value})

    lines = [
        (page, setting)
        for page, text in TEXTS.items()
        for span in dict.fromkeys(spans(text))
        if re.fullmatch(r"([A-Z_]+=\S+ ?)+", span)
        for setting in shlex.split(span)
    ]
    assert len(lines) > 30
    assert not (failed := failures(check_setting, iter(lines))), "\n".join(failed)
