"""README and documentation are true: commands, code, links, paths and settings hold as written.

Every command line of a page is checked by a function of ``CHECKS``, chosen by its first word. A
command that no function knows fails, so that none goes unchecked. Containers and clusters are
exercised for real by ``tests/containers``.
"""

import contextlib
import importlib.util
import io
import itertools
import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import tomllib
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import typer
import yaml
from google.protobuf import json_format
from google.protobuf.message_factory import GetMessageClass

from fedsiege.cli import main
from fedsiege.errors import InvalidValue
from fedsiege.experiment.resolve import resolve
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.v1 import aggregator_pb2, simulator_pb2

ROOT = Path(__file__).parent.parent
BUF = ROOT / "node_modules" / ".bin" / "buf"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "fedsiege/checkpoints/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
TEXTS = {str(page.relative_to(ROOT)): page.read_text() for page in PAGES}
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


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced blocks of one language; those in lists are indented."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


def spans(text: str) -> list[str]:
    """Return the code spans outside of fenced blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S))


def commands() -> Iterator[Line]:
    """Yield each command line of the pages once, from shell blocks and from code spans."""
    seen = set()
    for page, text in TEXTS.items():
        lines = "\n".join(blocks(text, "sh")).replace("\\\n", " ").splitlines()
        first = rf"(\.venv/bin/)?({'|'.join(map(re.escape, CHECKS))}) [a-z-]"
        lines += [span for span in spans(text) if re.match(first, span)]
        for line in dict.fromkeys(line.strip() for line in lines):
            if line and not line.startswith("#") and line not in seen:
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
        ["make", *options, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    shown = done.stdout.replace("\\\n", " ").replace("$(nproc)", "2").strip().splitlines()
    made = shlex.split(shown[-1])
    if "exec" in made and ".venv/bin/fedsiege" in made:
        check_fedsiege(made[made.index(".venv/bin/fedsiege") + 1 :])


def check_fedsiege(words: list[str]) -> None:
    """Parse a command with its options; the experiment of `sim` must be possible."""
    command = typer.main.get_command(main.app)
    while hasattr(command, "get_command"):
        assert words, f"{command.name} needs a command"
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
def help_of(module: str) -> str:
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        importlib.import_module(f"{module}.__main__").main(["--help"])
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


def test_python_examples_run():
    examples = [(page, code) for page, text in TEXTS.items() for code in blocks(text, "python")]
    assert examples
    for page, code in examples:
        with warnings.catch_warnings(action="error"):
            exec(compile(code, page, "exec"), {})


def test_every_link_leads_to_a_page_and_a_heading():
    def anchors(path: Path) -> set[str]:
        headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
        words = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
        return {heading.replace(" ", "-") for heading in words}

    missing = []
    for page, text in TEXTS.items():
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            name, _, anchor = link.partition("#")
            target = (ROOT / page).parent / name if name else ROOT / page
            if "://" in link:
                continue
            if not target.exists() or (anchor and anchor not in anchors(target)):
                missing.append(f"{page}: {link}")
    assert not missing


def test_every_path_of_a_page_exists():
    """``fedsiege/rules/base.py`` in a page is a file of the tree."""
    rooms = "fedsiege|services|protos|tests|docs|docker|experiments|benchmarks"
    missing = [
        f"{page}: {span}"
        for page, text in TEXTS.items()
        for span in spans(text)
        if re.fullmatch(rf"({rooms})/[\w./-]+", span) and not (ROOT / span).exists()
    ]
    assert not missing


def test_the_direction_of_imports_is_that_of_import_linter():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = project["tool"]["importlinter"]["contracts"]
    layers = ["\n".join(one["layers"]) for one in contracts if one["type"] == "layers"]
    shown = [block.strip() for block in blocks(TEXTS["docs/architecture.md"], "text")]
    assert [block for block in shown if block.startswith("fedsiege.cli")] == layers


def test_every_message_that_is_explained_is_one_of_ours():
    """The code spans in the first column of troubleshooting.md stand in the code."""
    sources = [ROOT / "Makefile", *(ROOT / "fedsiege").rglob("*.py")]
    sources += (ROOT / "services").rglob("*.py")
    code = re.sub(r'"\s*f?"', "", "".join(path.read_text() for path in sources))
    rows = re.findall(r"^\| ([^|]*`[^|]*) \|", TEXTS["docs/troubleshooting.md"], re.MULTILINE)
    parts = [part for row in rows for span in spans(row) for part in span.split("…")]
    assert len(parts) > 10
    assert [part for part in parts if part.strip() not in code] == []


def test_every_page_is_reached_from_the_index_and_the_readme_names_the_most_used():
    index = (ROOT / "docs" / "README.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or f"({page.name})" in index, page.name
    assert README.count("](docs/") > 10
    assert len(README.splitlines()) <= 95


def test_an_impossible_request_is_answered_as_shown():
    with pytest.raises(InvalidValue) as refused:
        ExperimentSpec.of({"attack": 1.2})
    assert f'"message": "{refused.value}"' in TEXTS["docs/grpc.md"]


README = TEXTS["README.md"]


def free_ports() -> int:
    """Two neighbouring ports that are free; return the first."""
    for port in range(51_000, 60_000, 2):
        with socket.socket() as one, socket.socket() as two:
            try:
                one.bind(("127.0.0.1", port))
                two.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
    raise AssertionError("no free ports")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The services of `make serve`, on ports of their own; yields the aggregator's."""
    folder, port = tmp_path_factory.mktemp("serve"), free_ports()
    command = [sys.executable, "-m", "fedsiege.cli.main", "serve", f"--port={port}"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while "Ctrl-C" not in process.stdout.readline():
            assert process.poll() is None
        yield port
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def buf(*words: str, port: int) -> str:
    """Run buf with the ports of the documentation replaced by those of the fixture."""
    shown = [word.replace("50051", str(port)).replace("50052", str(port + 1)) for word in words]
    done = subprocess.run(
        [str(BUF), *shown], capture_output=True, text=True, check=False, timeout=40
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not BUF.exists(), reason="buf is not there: `make proto` installs it")
def test_buf_commands_work_through_reflection(served):
    text = TEXTS["docs/grpc.md"]
    lines = [line for block in blocks(text, "sh") for line in block.splitlines()]
    lines = [line for line in lines if line.startswith("buf")]
    assert len(lines) >= 2
    assert text.count("grpcurl -plaintext") >= 4
    answers = "".join(buf(*shlex.split(line)[1:], port=served) for line in lines)
    assert "fedsiege.v1.AggregatorService/GetAccuracyHistory" in answers
    assert "experimentId" in answers


@pytest.mark.skipif(not BUF.exists(), reason="buf is not there: `make proto` installs it")
def test_an_experiment_is_started_followed_and_read_by_buf_alone(served):
    def curl(method: str, data: str) -> str:
        port = SERVICES[method.partition("/")[0]][0]
        url = f"http://127.0.0.1:{port}/fedsiege.v1.{method}"
        flags = ("--protocol", "grpc", "--http2-prior-knowledge")
        return buf("curl", *flags, "-d", data, url, port=served)

    spec = '{"spec":{"attack":0.2,"clients":10,"rounds":2,"dataset":"digits","rule":"median"}}'
    started = curl("SimulatorService/StartExperiment", spec)
    experiment = re.search(r'"experimentId": "(\w+)"', started)[1]
    watched = curl("SimulatorService/WatchExperiment", f'{{"experiment_id":"{experiment}"}}')
    assert "EXPERIMENT_STATE_FINISHED" in watched
    federation = re.search(r'"federationId": "(\w+)"', watched)[1]
    history = curl("AggregatorService/GetAccuracyHistory", "{}")
    assert history.count('"accuracy"') == 3
    assert f'"federationId": "{federation}"' in history, "the newest, and it says so"
    asked = f'{{"federation_id":"{federation}"}}'
    people = curl("AggregatorService/ListParticipants", asked)
    assert people.count('"participantIndex"') + people.count("participants") >= 10
