"""The page of a run: found by its name, it says what the figures are and what is missing."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from fedsiege.cli import show
from fedsiege.cli.screen import Screen
from fedsiege.errors import InvalidValue
from fedsiege.results import HistoryRow

WriteRun = Callable[..., Path]


class Shown:
    """What ``fedsiege show`` prints."""

    def __init__(self, name: str, runs: Path, **options: object) -> None:
        self.output = io.StringIO()
        console = Console(file=self.output, width=80, highlight=False)
        asked = {"target": 0.8, "clean": None, "as_json": False, **options}
        show.run(name, runs=runs, screen=Screen(console), **asked)  # type: ignore[arg-type]

    @property
    def lines(self) -> list[str]:
        """The lines, runs of blanks as one."""
        return [" ".join(line.split()) for line in self.output.getvalue().splitlines()]


def test_the_page_of_a_siege(tmp_path: Path, write_run: WriteRun) -> None:
    clean = write_run(tmp_path / "clean", (0.9, 0.95, 0.95, 0.95), attack=0)
    write_run(tmp_path / "siege")
    lines = Shown("siege", tmp_path).lines
    for line in (
        "participants 5, 2 of them hostile",
        "attack mpaf",
        "knowledge none, the broadcast model only",
        "rule krum:f=1",
        "audit norm",
        "at the start accuracy 90.0%",
        "at the end accuracy 60.0%, in round 3 of 3",
        "change -30.0 points since the start",
        "lowest 50.0%, in round 2",
        "loss at the end 0.4 nats",
        "instability 12.47 points, standard deviation over the last ten rounds",
        "rounds to 80% 0: the initial model reached it",
        "attack success 30.0%; 30.0% without the attack",
        "round accuracy clean cost ASR loss instability updates quarantined",
        "2 50.0% 95.0% +45.0 20.0% 0.5 15.00 5",
        "3 60.0% 95.0% +35.0 30.0% 0.4 12.47 5 1",
        f"0 62.5% {'█' * 19}",
        "1 0.0%",
        "0 1 none",
        "0 5 3 0",
        "1 1 · 1",
        "detector TPR FPR precision ROC-AUC rounds never",
        "selection 16.7% 11.1% 50.0% 1.000 50.0%",
        "audit 16.7% 0.0% 100.0% 50.0%",
    ):
        assert line in lines, line
    assert not any("fedsiege sim" in line for line in lines)
    text = "".join("".join(lines).split())  # paths are folded where they are long
    assert "selection:givennoweightbyarulethataccusesnoparticipant" in text
    assert "35.0pointsinround3,wherethecleanrunhas95.0%;atmost45.0points,inround2;" in text
    assert f"against{clean}" in text


def test_without_a_clean_twin_it_says_how_to_get_one(tmp_path: Path, write_run: WriteRun) -> None:
    path = write_run(tmp_path / "siege")
    lines = Shown(str(path), tmp_path / "elsewhere").lines
    assert "attack cost not known: no run without the attack is beside this one" in lines
    assert lines[-1] == f"fedsiege sim --spec={path}/spec.yaml --attack=0 --out={path}-clean"
    assert "rounds to 95% never" in Shown("siege", tmp_path, target=0.95).lines


def test_a_clean_run_has_no_impact(tmp_path: Path, write_run: WriteRun) -> None:
    write_run(tmp_path / "calm", attack=0)
    lines = Shown("calm", tmp_path).lines
    assert "attack none" in lines
    assert "attack success 30.0% without an attack: the base rate" in lines
    assert not any(line.startswith(("attack cost", "knowledge")) for line in lines)


def test_the_named_clean_run_and_where_it_differs(tmp_path: Path, write_run: WriteRun) -> None:
    write_run(tmp_path / "siege")
    write_run(tmp_path / "calm", attack=0, seed=3)
    lines = Shown("siege", tmp_path, clean="calm").lines
    assert "which differs in more than the attack: seed" in lines


def test_a_run_that_has_just_begun_has_a_page(tmp_path: Path, write_run: WriteRun) -> None:
    write_run(tmp_path / "begun", (0.9,))
    lines = Shown("begun", tmp_path).lines
    assert "at the start accuracy 90.0%" in lines
    assert not any("points" in line for line in lines)
    assert not any("detector" in line or "instability" in line for line in lines)


def test_names_are_no_markup(tmp_path: Path, write_run: WriteRun) -> None:
    path = write_run(tmp_path / "[bold]", audit="[red]x[/red]")
    table = path / "detection.csv"
    table.write_text(table.read_text().replace("norm", "[red]x[/red]"))
    lines = Shown("[bold]", tmp_path).lines
    assert f"Run{path}" in "".join("".join(lines).split())
    assert "audit [red]x[/red]" in lines
    assert any(line.startswith("[red]x[/red] 50.0%") for line in lines)


def test_json_is_whole_however_narrow_the_window_is(tmp_path: Path, write_run: WriteRun) -> None:
    write_run(tmp_path / "siege", name="a" * 100)
    shown = Shown("siege", tmp_path, as_json=True)
    assert json.loads(shown.output.getvalue())["spec"]["name"] == "a" * 100


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("krum", "did you mean 20261120-mpaf-krum?"),
        ("20261121-mpaf-krumm", "did you mean 20261120-mpaf-krum?"),
        ("xyz", "a folder of results, or the name of one in "),
        ("", "a folder of results, or the name of one in "),
        ("other", "it has no spec.yaml and no history.csv"),
        ("begun", "it has no spec.yaml"),
    ],
)
def test_a_run_that_is_not_there(
    tmp_path: Path, write_run: WriteRun, name: str, words: str
) -> None:
    write_run(tmp_path / "20261120-mpaf-krum")
    (tmp_path / "other").mkdir()
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "history.csv").touch()
    with pytest.raises(InvalidValue, match=r"^RUN=") as caught:
        Shown(name, tmp_path)
    assert words in str(caught.value)


def test_a_clean_run_that_is_not_there_is_called_that(tmp_path: Path, write_run: WriteRun) -> None:
    write_run(tmp_path / "siege")
    with pytest.raises(InvalidValue, match=r"^CLEAN='siegf' .*did you mean siege\?"):
        Shown("siege", tmp_path, clean="siegf")


def test_a_round_in_which_nothing_was_aggregated_is_not_passed_over(
    tmp_path: Path, write_run: WriteRun
) -> None:
    """A model that nobody moved keeps its accuracy, whatever the attack."""
    path = write_run(tmp_path / "run")
    why = "bulyan needs 19 updates, there are 16; the model is kept"
    with (path / "history.csv").open("a") as history:
        csv.writer(history).writerow(HistoryRow(4, 0.6, 0.4, 5, 0, 0.1, problem=why).to_row())
    lines = Shown("run", tmp_path).lines
    assert f"went wrong in 1 of 4 rounds; round 4: {why[:20]}" in " ".join(lines)
    assert ["!" in line.split() for line in lines if line.startswith("4 60.0%")] == [True]
    assert not any("!" in line.split() for line in lines if line.startswith("3 60.0%"))
    shown = Shown("run", tmp_path, as_json=True)
    report = json.loads(shown.output.getvalue())
    assert report["rounds_gone_wrong"] == 1
    assert [row["problem"] for row in report["rounds"]] == ["", "", "", "", why]


def test_a_run_with_every_column_is_whole_at_80_columns(
    tmp_path: Path, write_run: WriteRun
) -> None:
    write_run(tmp_path / "clean", (0.9, 0.95, 0.95, 0.95), attack=0)
    path = write_run(tmp_path / "siege")
    table = path / "history.csv"
    header, *rows = (line.split(",") for line in table.read_text().splitlines())
    for row in rows:
        for name, value in (("missing_honest", "1"), ("hostile_share", "0.5"), ("rejected", "2")):
            row[header.index(name)] = value
        row[header.index("problem")] = "too few"
    table.write_text("".join(",".join(row) + "\n" for row in (header, *rows)))
    shown = Shown("siege", tmp_path)
    assert max(map(len, shown.output.getvalue().splitlines())) <= 80
    headings = "round accuracy clean cost ASR loss instability updates rejected quarantined"
    (first,) = (line for line in shown.lines if line.startswith("round accuracy"))
    at = shown.lines.index(first)
    second = next(line for line in shown.lines[at + 1 :] if line.startswith("round "))
    expected = [*headings.split(), "wrong", "missing", "hostile"]
    shown_headings = [*first.split(), *second.split()[1:]]
    assert [one for one in shown_headings if one in expected] == expected
