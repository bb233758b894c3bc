"""Plug-ins are found by name; one that cannot be used says why, and stops only what asks for it."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fedsiege import attacks, datasets, detectors, models, plugins, rules
from fedsiege.errors import InvalidValue
from fedsiege.experiment.plugins_used import plugins_used
from fedsiege.experiment.resolve import resolve
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.plugins import Plugin
from fedsiege.registry import Registry
from fedsiege.results.run_info import PluginUsed
from fedsiege.rules import pre

REGISTRIES: list[Registry[Any]] = [
    *(rules.registry, attacks.registry, detectors.registry),
    *(models.registry, datasets.registry, pre.registry),
]
RULE = '''
from dataclasses import dataclass
from typing import Annotated, ClassVar
import torch
from annotated_types import Gt
from fedsiege import rules

@rules.register
@dataclass(frozen=True)
class {cls}(rules.Rule):
    """Take a share of the first row."""
    name: ClassVar[str] = "{name}"
    summary: ClassVar[str] = "a share of the first row"
    share: Annotated[float, Gt(0), "share"] = 0.5
    def combine(self, updates, context):
        accepted = torch.ones(len(updates), dtype=torch.bool)
        return rules.Aggregation(self.share * updates[0], accepted)
'''
MODEL = '''
from dataclasses import dataclass
from typing import Annotated, ClassVar
from annotated_types import Ge
from torch import nn
from fedsiege import models

@dataclass(frozen=True)
class Flat(models.Model):
    """Flat."""
    name: ClassVar[str] = "flat"
    summary: ClassVar[str] = "one layer"
    classes: Annotated[int, Ge(1), "logits"] = 10
    def build(self, inputs):
        return nn.Sequential(nn.Flatten(), nn.Linear({inputs}, self.classes))
'''
DATA = '''
from dataclasses import dataclass
from typing import ClassVar
import numpy as np
from fedsiege import datasets

@dataclass(frozen=True)
class Grey(datasets.DatasetSource):
    """Grey."""
    name: ClassVar[str] = "grey"
    summary: ClassVar[str] = "grey images"
    side: int = 28
    classes: int = 10
    def read(self, root):
        images = np.full((40, self.side, self.side), 7, np.uint8)
        labels = np.arange(40) % self.classes
        return datasets.Dataset("grey", images, labels, images, labels)
'''
Install = Callable[..., None]


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget the plug-ins of a test."""
    monkeypatch.setenv(plugins.VARIABLE, "")  # else what a test sets would stay
    monkeypatch.delenv(plugins.VARIABLE)
    registered = [dict(one._registered) for one in REGISTRIES]
    loaded, modules = dict(plugins._files), set(sys.modules)
    yield
    plugins.offers_of_packages.cache_clear()
    plugins._files.clear()
    plugins._files.update(loaded)
    for registry, before in zip(REGISTRIES, registered, strict=True):
        registry._registered = before
    for name in set(sys.modules) - modules:
        if name.startswith(("plug_", "fedsiege_plugin_")):
            del sys.modules[name]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a package where Python finds it, as pip does: its module, and what it says of itself."""

    def put(package: str, text: str, version: str = "1.2", **points: str) -> None:
        folder = tmp_path / package
        information = folder / f"{package}-{version}.dist-info"
        information.mkdir(parents=True)
        (folder / f"{package}.py").write_text(text)
        (information / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
        )
        lines = []
        for kind, names in points.items():
            lines.append(f"[fedsiege.{kind}]")
            lines += [f"{one.split()[0]} = {package}:{one.split()[1]}" for one in names.split(",")]
        (information / "entry_points.txt").write_text("\n".join(lines) + "\n")
        monkeypatch.syspath_prepend(folder)
        plugins.offers_of_packages.cache_clear()

    return put


def refusal(registry: Registry[Any], name: str) -> str:
    with pytest.raises(InvalidValue) as caught:
        registry.get(name)
    return str(caught.value)


def test_a_component_of_a_package_is_like_any_other(install: Install) -> None:
    install("plug_one", RULE.format(cls="Share", name="share"), rules="share Share")
    assert "plug_one" not in sys.modules, "a package is loaded when it is asked for"
    rule: Any = rules.parse("share:share=0.25")
    assert rule.share == 0.25
    assert rules.spell(rule) == "share:share=0.25"
    assert "share" in rules.names()
    assert [one.name for one in rules.registry].count("share") == 1
    assert rules.registry.origin("share") == Plugin("plug_one", "1.2")
    assert rules.registry.origin("median") is None
    assert list(rules.registry.problems()) == []
    with pytest.raises(InvalidValue, match="share:share='0' is not possible: a finite number abo"):
        rules.parse("share:share=0")
    with pytest.raises(InvalidValue, match="did you mean share"):
        rules.parse("shore")


def test_only_what_is_asked_for_is_loaded(install: Install) -> None:
    install("plug_one", RULE.format(cls="Share", name="share"), rules="share Share")
    install("plug_two", "raise ImportError('no such thing')", rules="other Other")
    assert rules.create("share").name == "share"
    assert rules.create("median").name == "median"
    assert "plug_two" not in sys.modules


def test_a_plugin_that_cannot_be_used_says_why(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = RULE.format(cls="C", name="c{}")
    texts = {
        "import nothing_of_this_name": "ModuleNotFoundError: No module named 'nothing_of_this_n",
        "x = ": "SyntaxError: invalid syntax",
        "raise SystemExit(3)": "SystemExit: 3",
        "1 / 0": "ZeroDivisionError",
        "D = 1": "AttributeError",
        "C = 1": "1 is no class that derives from fedsiege's Rule",
        "class C: name = 'c6'": "is no class that derives from fedsiege's Rule",
        "from fedsiege.rules import Rule\nclass C(Rule): name = 'c7'": "is no frozen dataclass",
        sound.format(88): "the name of plug_8.C is 'c88', not 'c8'",
        sound.format(9).replace("float", "complex"): "a parameter is a bool, int, float",
        sound.format(10).replace(" = 0.5", " = -1.0"): "c10:share=-1.0 is not possible",
        sound.format(11).replace(" = 0.5", ""): "missing 1 required positional argument",
        sound.format(12).replace("def combine", "def other"): "abstract",
        sound.format(13).replace("summary: C", "no: C"): "has no summary",
    }
    for number, text in enumerate(texts):
        install(f"plug_{number}", text, version=f"{number}.0", rules=f"c{number} C")
    for number, reason in enumerate(texts.values()):
        said = refusal(rules.registry, f"c{number}")
        assert f"the plug-in plug_{number} {number}.0 cannot be used: " in said, number
        assert reason in said, number
    assert rules.create("median").name == "median"
    assert "c0" not in [one.name for one in rules.registry]
    problems = {name: (plugin, reason) for name, plugin, reason in rules.registry.problems()}
    assert set(problems) == {f"c{number}" for number in range(len(texts))}
    from fedsiege.cli.rules import rules as list_rules

    list_rules()
    printed = " ".join(capsys.readouterr().out.split())
    assert "The rule c2 of the plug-in plug_2 2.0 cannot be used: SystemExit: 3" in printed
    assert "krum" in printed


def test_every_kind_has_its_group(install: Install) -> None:
    """A class derived from a built-in one, under another name, for each kind."""
    bases = {
        "rules": "rules.Median",
        "attacks": "attacks.Random",
        "detectors": "detectors.Norm",
        "models": "models.registry.get('net')",
        "datasets": "datasets.registry.get('digits')",
        "pre": "pre.Clipping",
    }
    text = "from dataclasses import dataclass\nfrom fedsiege import attacks, datasets, detectors\n"
    text += "from fedsiege import models, rules\nfrom fedsiege.rules import pre\n"
    for kind, base in bases.items():
        text += f"@dataclass(frozen=True)\nclass Own_{kind}({base}):\n    name = 'own-{kind}'\n"
    install("plug_one", text, **{kind: f"own-{kind} Own_{kind}" for kind in bases})
    for kind, registry in zip(bases, REGISTRIES, strict=True):
        assert registry.create(f"own-{kind}").name == f"own-{kind}"
        assert registry.origin(f"own-{kind}") == Plugin("plug_one", "1.2")
    spec = ExperimentSpec(
        rule="own-pre/own-rules",
        attack_name="own-attacks",
        audit="own-detectors",
        model="own-models",
        dataset="own-datasets",
    )
    [components] = plugins_used(resolve(spec).spec).values()
    assert [one.split()[1] for one in components] == [
        *("own-pre", "own-rules", "own-attacks", "own-detectors", "own-models", "own-datasets")
    ]


def test_of_two_of_one_name_neither_is_used(install: Install) -> None:
    install("plug_one", RULE.format(cls="Share", name="share"), rules="share Share")
    install("plug_two", RULE.format(cls="Other", name="share"), "3.4", rules="share Other")
    said = refusal(rules.registry, "share")
    assert "plug_one 1.2 and plug_two 3.4 offer a rule of this name, and neither is used" in said
    assert [name for name, _, _ in rules.registry.problems()] == ["share", "share"]
    assert not {"plug_one", "plug_two"} & set(sys.modules)


def test_the_name_of_a_built_in_component_stays_what_it_was(install: Install) -> None:
    install("plug_one", RULE.format(cls="Krum", name="krum"), rules="krum Krum")
    assert rules.registry.get("krum") is rules.Krum
    assert rules.registry.origin("krum") is None
    [(name, plugin, reason)] = rules.registry.problems()
    assert (name, str(plugin)) == ("krum", "plug_one 1.2")
    assert "FedSiege has a rule of this name" in reason
    assert "plug_one" not in sys.modules


def test_a_package_that_is_imported_offers_the_same_class_once(install: Install) -> None:
    install("plug_one", RULE.format(cls="Share", name="share"), rules="share Share")
    import plug_one  # type: ignore[import-not-found]  # noqa: F401 - whose decorator registers it

    assert rules.create("share").name == "share"
    assert rules.registry.origin("share") == Plugin("plug_one", "1.2")


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    def write(text: str, name: str = "own.py") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_a_file_registers_components(file: Callable[..., Path]) -> None:
    path = file(RULE.format(cls="Share", name="share"))
    plugins.use_files([path, path])
    assert os.environ[plugins.VARIABLE] == str(path)
    assert rules.create("share", share=0.2).name == "share"
    origin = rules.registry.origin("share")
    assert origin is not None
    assert (origin.name, len(origin.sha256)) == ("own.py", 64)
    path.write_text("raise RuntimeError('a file is loaded once')")
    plugins.load_files()


def test_a_file_that_cannot_be_used_ends_the_command(
    file: Callable[..., Path], tmp_path: Path
) -> None:
    sound = RULE.format(cls="Share", name="share")
    texts = {
        "x = ": "SyntaxError: invalid syntax",
        "x = 1": "it registers no component",
        f"{sound}\nraise SystemExit('enough')": "SystemExit: enough",
        f"{sound}\n\n1 / 0": "line 20: ZeroDivisionError",
        f"{sound}\n{RULE.format(cls='Krum', name='krum')}": "FedSiege has a rule of this name",
        RULE.format(cls="Share", name="sh/are"): "is not of letters, digits, dots and hyphens",
    }
    for number, (text, reason) in enumerate(texts.items()):
        with pytest.raises(InvalidValue) as caught:
            plugins.use_files([file(text, f"own{number}.py")])
        assert f"PLUGIN='{tmp_path}/own{number}.py' is not possible" in str(caught.value)
        assert reason in str(caught.value), number
    with pytest.raises(InvalidValue, match=r"none\.py' is not possible: .* No such file"):
        plugins.use_files([tmp_path / "none.py"])
    assert plugins.VARIABLE not in os.environ
    assert "share" not in rules.names(), "nothing of such a file is kept"
    assert not [name for name in sys.modules if name.startswith("fedsiege_plugin_")]


def test_paths_in_the_environment_are_absolute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(plugins.VARIABLE, "own.py")
    with pytest.raises(InvalidValue, match=r"FEDSIEGE_PLUGINS='own.py' .* absolute paths"):
        rules.parse("share")


def test_processes_that_are_started_have_the_file(file: Callable[..., Path]) -> None:
    path = file(RULE.format(cls="Share", name="share"))
    command = "from fedsiege import rules; rules.create('share')"
    environment = {**os.environ, plugins.VARIABLE: str(path)}
    subprocess.run([sys.executable, "-c", command], env=environment, check=True)


def test_a_name_never_leads_to_a_file(file: Callable[..., Path], tmp_path: Path) -> None:
    """Names come over the network: whatever they look like, they are looked up and nothing else."""
    path = file("from pathlib import Path\nPath(__file__).with_suffix('.ran').touch()", "evil.py")
    names = [
        str(path),
        "evil",
        "evil:C",
        f"../{path.name}",
        "evil.py",
        "os:system",
        "\0",
        "a" * 10**5,
    ]
    for registry in REGISTRIES:
        for name in names:
            with pytest.raises(InvalidValue):
                registry.parse(name)
    for setting in ("plugin", "plugins", plugins.VARIABLE):
        with pytest.raises(InvalidValue):
            ExperimentSpec.of({setting: str(path)})
    assert not path.with_suffix(".ran").exists()


def test_a_model_of_another_shape_is_refused_before_a_run(install: Install) -> None:
    install("plug_one", MODEL.format(inputs=784), models="flat Flat")
    install("plug_two", MODEL.format(inputs=1024).replace("flat", "wide"), models="wide Flat")
    assert resolve(ExperimentSpec(model="flat")).spec.model == "flat:classes=10"
    for model, reason in {
        "flat:classes=5": r"MODEL='flat:classes=5' .*returns \(N, 10\) logits; .*\(2, 5\)",
        "flat:classes=0": "flat:classes",
        "wide": r"MODEL='wide:.* takes grey pictures of 28x28, 10 classes, \(1, 28, 28\); it fails",
    }.items():
        with pytest.raises(InvalidValue, match=reason):
            resolve(ExperimentSpec(model=model))


def test_a_data_set_of_another_shape_is_refused(install: Install) -> None:
    install("plug_one", DATA, datasets="grey Grey")
    assert datasets.load("grey", Path()).classes == 10
    assert resolve(ExperimentSpec(dataset="grey")).spec.dataset == "grey:side=28,classes=10"
    for text, reason in {
        "grey:side=32": r"grey pictures of 28x28.*; its train part has uint8 \(40, 32, 32\)",
        "grey:classes=12": "10 classes, with labels from 0 to 9; it has labels from 0 to 11",
    }.items():
        with pytest.raises(InvalidValue, match=reason):
            datasets.load(text, Path())


def test_a_run_records_the_plugins_that_it_uses(
    install: Install, file: Callable[..., Path]
) -> None:
    install("plug_one", MODEL.format(inputs=784), models="flat Flat")
    install("plug_two", DATA, datasets="grey Grey")
    plugins.use_files([file(RULE.format(cls="Share", name="share"))])
    spec = resolve(ExperimentSpec(model="flat", rule="clipping/share")).spec
    used = {plugin.name: components for plugin, components in plugins_used(spec).items()}
    assert used == {"own.py": ("rule share",), "plug_one": ("model flat",)}
    assert plugins_used(resolve(ExperimentSpec()).spec) == {}
    for known, missing in (
        (PluginUsed(name="plug_one", version="9"), False),
        (PluginUsed(name="plug_none", version="1"), True),
        (PluginUsed(name="own.py", sha256="0" * 64), False),
        (PluginUsed(name="other.py", sha256="0" * 64), True),
    ):
        assert known.missing is missing, known


def test_the_names_of_before_warn() -> None:
    with pytest.warns(DeprecationWarning, match=r"models.Model now"):
        assert models.Architecture is models.Model
    with pytest.warns(DeprecationWarning, match=r"datasets.DatasetSource now"):
        assert datasets.Source is datasets.DatasetSource


def test_the_commands_take_files(file: Callable[..., Path], tmp_path: Path) -> None:
    """A file is loaded before anything starts, by options, assignments and the environment."""
    path = file(textwrap.dedent(RULE.format(cls="Share", name="share")))
    bad = file("x = ", "bad.py")
    program = [sys.executable, "-m", "fedsiege.cli.main"]

    def called(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*program, *words],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "COLUMNS": "200", **environment},
        )

    for words, environment in (
        (["rules", "share", f"--plugin={path}"], {}),
        (["rules", "share", f"PLUGIN={path}"], {}),
        (["rules", "share", "--plain-environment"], {"PLUGIN": str(path)}),
        (["rules", "share"], {plugins.VARIABLE: str(path)}),
    ):
        done = called(*words, **environment)
        assert done.returncode == 0, done.stderr
        assert "from the plug-in own.py" in done.stdout
    grid = file("base: {rule: share}\nvary: {seed: [0]}", "grid.yaml")
    for words in (["sim", f"--out={tmp_path / 'out'}"], ["grid", str(grid)], ["serve"], ["models"]):
        done = called(*words, f"--plugin={path}:{bad}")
        assert done.returncode == 2, words
        assert "bad.py' is not possible: a file that can be loaded: SyntaxError" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_grid_runs_its_cells_with_the_file(file: Callable[..., Path], tmp_path: Path) -> None:
    path = file(RULE.format(cls="Share", name="share"))
    base = "{dataset: digits, clients: 3, attack: 0, rounds: 1}"
    grid = file(f"base: {base}\nvary: {{rule: ['share:share=0.1', median]}}", "grid.yaml")
    command = [sys.executable, "-m", "fedsiege.cli.main", "grid", str(grid), "--jobs=2"]
    out = tmp_path / "out"
    subprocess.run([*command, f"--plugin={path}", f"--out={out}"], check=True, capture_output=True)
    used = {
        run.parent.name: json.loads(run.read_text())["plugins"] for run in out.rglob("run.json")
    }
    assert [bool(one) for _, one in sorted(used.items())] == [False, True]
    # Run again without the file, the error names it.
    [spec] = [run for run in out.rglob("spec.yaml") if used[run.parent.name]]
    command = [sys.executable, "-m", "fedsiege.cli.main", "sim", f"--spec={spec}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    said = " ".join(done.stderr.split())
    assert "The run used the plug-in own.py" in said
    assert "give it as --plugin own.py" in said
