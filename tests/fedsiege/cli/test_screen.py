"""The screen: people see what they should, on a terminal and in a file."""

import io
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from fedsiege.cli.screen import Screen
from fedsiege.experiment.resolve import ResolvedSpec
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.results import CloseReason, Confusion, HistoryRow, RunRecords
from fedsiege.results.report import RunReport
from fedsiege.results.summary import round_line, summary

RESOLVED = ResolvedSpec(
    ExperimentSpec(attack_name="mpaf:scale=1.0", rule="krum:f=20", threshold=100),
    ("krum assumes f=20",),
)
CALM = ResolvedSpec(ExperimentSpec(attack=0, threshold=100))


def history(*accuracies: float) -> list[HistoryRow]:
    return [HistoryRow(i, a, 0.5, 100, 3, 0.25) for i, a in enumerate(accuracies)]


def run_of(
    rows: list[HistoryRow], resolved: ResolvedSpec = RESOLVED, path: Path = Path("runs/a")
) -> RunRecords:
    tests = {0: Confusion(np.zeros((10, 10), np.int64), np.full(10, 100))}
    return RunRecords(path, resolved.spec, tuple(rows), tests, (), {})


class Captured(Screen):
    def __init__(self, *, terminal: bool = False, width: int = 100) -> None:
        self.output = io.StringIO()
        super().__init__(
            Console(file=self.output, force_terminal=terminal, width=width, highlight=False)
        )

    @property
    def lines(self) -> list[str]:
        """What was printed, runs of blanks as one."""
        return [" ".join(line.split()) for line in self.output.getvalue().splitlines()]


@pytest.fixture
def screen() -> Captured:
    return Captured()


def test_the_spec_shows_the_setting_and_the_notes(screen: Captured) -> None:
    screen.print_spec(RESOLVED)
    assert "participants 100, 20 of them hostile" in screen.lines
    assert "attack mpaf:scale=1.0" in screen.lines
    assert "rule krum:f=20" in screen.lines
    assert "note krum assumes f=20" in screen.lines


def test_the_training_is_named_with_what_it_goes_by(screen: Captured) -> None:
    screen.print_spec(CALM)
    screen.print_spec(ResolvedSpec(ExperimentSpec(optimizer="adam", lr=0.01, threshold=100)))
    training = [line for line in screen.lines if line.startswith("training")]
    assert training == [
        "training SGD, lr 0.001, momentum 0.9, 2 epochs, batch 4, trainer auto",
        "training Adam, lr 0.01, 2 epochs, batch 4, trainer auto",
    ]


def test_without_hostile_participants_there_is_no_attack(screen: Captured) -> None:
    screen.print_spec(CALM)
    assert "attack none" in screen.lines
    screen.print_summary(RunReport(run_of(history(0.9, 0.9), CALM)))
    assert "Without an attack" in screen.lines


def test_without_a_terminal_each_round_is_a_line(screen: Captured) -> None:
    with screen.rounds(2) as show:
        for row in history(0.932, 0.743, 0.32):
            show(row)
            assert screen.lines[-1].startswith(f"round {row.round}/2: accuracy {row.accuracy:.1%}")
    assert len(screen.lines) == 3
    assert screen.lines[1].endswith("100 updates, 3 rejected, 0.25 s")


def test_on_a_terminal_a_bar_counts_the_rounds() -> None:
    screen = Captured(terminal=True, width=80)
    with screen.rounds(2) as show:
        for row in history(0.932, 0.743, 0.32):
            show(row)
    text = screen.output.getvalue()
    assert "2/2" in text
    assert "accuracy 32.0%" in text


def test_the_cells_of_a_grid_are_counted_with_the_time_left(screen: Captured) -> None:
    terminal = Captured(terminal=True, width=100)
    for one in (screen, terminal):
        with one.cells(3, complete=1) as show:
            for cell in ("none, median", "mpaf, median", "alie, median"):
                show(cell, "accuracy 50.0%")
    assert screen.lines == [
        "cell 1/3: none, median: accuracy 50.0%",
        "cell 2/3: mpaf, median: accuracy 50.0%, about 0 s left",
        "cell 3/3: alie, median: accuracy 50.0%",
    ]
    text = terminal.output.getvalue()
    assert "3/3" in text
    assert "alie, median: accuracy 50.0%" in text
    assert "about 0 s left" not in text.splitlines()[-1]


def test_in_a_file_a_line_is_a_line() -> None:
    narrow = Captured(width=20)
    narrow.say("a long line " * 10)
    assert len(narrow.lines) == 1
    window = Captured(terminal=True, width=20)
    window.say("a long line " * 10)
    assert len(window.lines) > 1


def test_a_broken_run_leaves_the_terminal_in_order() -> None:
    screen = Captured(terminal=True)
    with pytest.raises(KeyboardInterrupt), screen.rounds(2):
        raise KeyboardInterrupt
    hidden, shown = "\x1b[?25l", "\x1b[?25h"
    assert screen.output.getvalue().rindex(shown) > screen.output.getvalue().rindex(hidden)


def test_notes_that_differ_in_numbers_alone_are_summed_up(screen: Captured) -> None:
    for number in range(1, 8):
        screen.note(f"round {number}: 1{number} updates of client-{number} were refused")
    screen.note("round 3: the rule failed")
    screen.sum_up_notes()
    assert screen.lines == [
        *(f"round {n}: 1{n} updates of client-{n} were refused" for n in (1, 2, 3)),
        "round 3: the rule failed",
        "4 more like this: round 7: 17 updates of client-7 were refused",
    ]
    screen.sum_up_notes()
    assert len(screen.lines) == 5, "once is enough"


def test_the_table_tells_each_round_and_its_change(screen: Captured) -> None:
    screen.print_history(
        [*history(0.932, 0.743), HistoryRow(2, 0.098, math.inf, 99, 1, 1.5)],
    )
    assert "round accuracy change loss updates rejected seconds" in screen.lines
    assert "0 93.2% 0.5 100 3 0.25" in screen.lines
    assert "1 74.3% -18.9 0.5 100 3 0.25" in screen.lines
    assert "2 9.8% -64.5 inf 99 1 1.50" in screen.lines


@pytest.mark.parametrize("count", [1, 26, 27, 1001])
def test_a_long_table_is_thinned_but_keeps_both_ends(screen: Captured, count: int) -> None:
    screen.print_history(history(*[0.5] * count))
    rounds = [int(line.split()[0]) for line in screen.lines if line.endswith("100 3 0.25")]
    assert (rounds[0], rounds[-1]) == (0, count - 1)
    assert len(rounds) == len(set(rounds)) == min(count, 26)
    assert any("history.csv has all" in line for line in screen.lines) == (count > 26)


def test_without_a_clean_twin_there_is_a_change_and_no_cost(screen: Captured) -> None:
    """Compared with round 0, a model that learns under attack would have gained by it."""
    screen.print_summary(RunReport(run_of(history(0.12, 0.911, 0.743, 0.098, 0.645))))
    assert "mpaf:scale=1.0 by 20 of 100 participants" in screen.lines
    assert "at the start accuracy 12.0%" in screen.lines
    assert "at the end accuracy 64.5%, in round 4 of 10" in screen.lines
    assert "change +52.5 points since the start" in screen.lines
    assert "lowest 9.8%, in round 3" in screen.lines
    assert "attack cost not known: no run without the attack is beside this one" in screen.lines


def test_the_cost_is_told_against_the_clean_twin(screen: Captured) -> None:
    clean = run_of(history(0.12, 0.92, 0.93), CALM, Path("runs/a-clean"))
    screen.print_summary(RunReport(run_of(history(0.12, 0.92, 0.43)), clean=clean))
    text = " ".join(screen.lines)
    assert "attack cost 50.0 points in round 2, where the clean run has 93.0%" in text
    assert "from round 2 on half of what is above chance is lost" in text
    assert "against runs/a-clean" in text


def test_a_cost_within_the_noise_names_a_preset_in_which_attacks_show(screen: Captured) -> None:
    clean = run_of(history(0.93, 0.932, 0.931), CALM)
    for accuracy, shown in ((0.930, True), (0.934, True), (0.925, False)):
        run = run_of(history(0.93, 0.931, accuracy))
        text = summary(RunReport(run, clean=clean))["attack cost"]
        assert ("noise: PRESET=ladder" in text) == shown, accuracy
    success = run_of([replace(row, asr=0.9) for row in history(0.93, 0.931, 0.93)])
    assert "noise" not in summary(RunReport(success, clean=clean))["attack cost"]


def test_the_success_of_a_backdoor_is_told_everywhere(screen: Captured) -> None:
    rows = [replace(row, asr=0.29 * row.round) for row in history(0.93, 0.92)]
    clean = run_of([replace(row, asr=0.01) for row in history(0.93, 0.93)], CALM)
    for row in rows:
        assert f"attack success {row.asr:.1%}" in round_line(row, 1)
    screen.print_history(rows)
    assert "round accuracy change ASR loss updates rejected seconds" in screen.lines
    assert "1 92.0% -1.0 29.0% 0.5 100 3 0.25" in screen.lines
    spec = RESOLVED.spec.model_copy(update={"attack_name": "badnets"})
    clean = replace(clean, spec=spec.model_copy(update={"attack": 0.0}))
    screen.print_summary(RunReport(run_of(rows, ResolvedSpec(spec)), clean=clean))
    assert "attack success 29.0%; 1.0% without the attack" in screen.lines
    terminal = Captured(terminal=True, width=100)
    with terminal.rounds(1) as show:
        show(rows[1])
    assert "attack success 29.0%" in terminal.output.getvalue()


CUT = HistoryRow(
    1, 0.094, 2.3, 6, 0, 2.5, close_reason=CloseReason.DEADLINE, expected=30,
    missing_honest=24, missing_hostile=0, hostile_share=1.0,
)  # fmt: skip


def test_a_round_without_all_honest_updates_is_marked(screen: Captured) -> None:
    assert "deadline closed it without 24 honest updates (100% hostile)" in round_line(CUT, 1)
    screen.print_history([*history(0.094), CUT])
    assert "round accuracy change loss updates rejected seconds missing hostile" in screen.lines
    assert "1 9.4% +0.0 2.3 6 2.50 24 100%" in screen.lines
    screen.print_summary(RunReport(run_of([*history(0.094), CUT])))
    text = " ".join(screen.lines)
    assert "incomplete honest updates missing in 1 of 1 rounds, closed by: deadline (1)" in text
    assert "hostile participants sent up to 100% of the updates aggregated" in text
    terminal = Captured(terminal=True, width=100)
    with terminal.rounds(1) as show:
        show(CUT)
    assert "without 24 honest updates" in terminal.output.getvalue()
    whole = replace(CUT, missing_honest=0, missing_hostile=3)
    assert "without" not in round_line(whole, 1)


def test_a_destroyed_model_has_no_accuracy(screen: Captured) -> None:
    rows = [*history(0.93), HistoryRow(1, 0.0, math.nan, 100, 0, 0.25)]
    assert round_line(rows[1], 1).startswith("round 1/1: accuracy destroyed, ")
    screen.print_history(rows)
    assert "1 destroyed nan 100 0.25" in screen.lines
    screen.print_summary(RunReport(run_of(rows)))
    assert "at the end accuracy destroyed, in round 1 of 10" in screen.lines
    assert not any("points" in line for line in screen.lines)
    assert "destroyed in 1 rounds, first in round 1: the model's outputs are not numbers" in (
        screen.lines
    )


def test_the_widest_history_fits_a_window_of_80() -> None:
    screen = Captured(width=80)
    rows = [replace(CUT, quarantined=3, asr=0.125, rejected=2, loss=1.234e-12)]
    screen.print_history([*history(0.9), *rows])
    assert "…" not in screen.output.getvalue()
    assert any("0.125" in line or "12.5%" in line for line in screen.lines)


def test_a_run_without_a_round_has_no_cost(screen: Captured) -> None:
    screen.print_summary(RunReport(run_of(history(0.932))))
    assert "No round was played" in screen.lines
    assert "at the start accuracy 93.2%" in screen.lines
    assert "Results: runs/a" in screen.lines
    assert not any("points" in line or "cost" in line for line in screen.lines)


def test_the_path_of_the_results_stays_on_one_line() -> None:
    screen = Captured(width=40)
    path = Path("/home/somebody/a/rather/long/way/down/runs/20261120-141500-mpaf-krum")
    screen.print_summary(RunReport(run_of(history(0.9, 0.1), path=path)))
    assert f"Results: {path}" in screen.lines


def test_a_warning_is_loud_and_text_is_no_markup() -> None:
    screen = Captured(terminal=True)
    screen.warn("no [bold]MNIST[/bold] in [data]", title="Another [data] set")
    text = screen.output.getvalue()
    assert "no [bold]MNIST[/bold] in [data]" in text
    assert "Another [data] set" in text
    assert "\x1b[1;33m" in text


def test_names_are_no_markup(screen: Captured) -> None:
    screen.print_spec(ResolvedSpec(ExperimentSpec(name="[red]x[/red]", threshold=1)))
    assert "experiment [red]x[/red]" in screen.lines


def test_who_is_kept_out_is_counted_where_anybody_is() -> None:
    console = Console(file=io.StringIO(), width=100)
    rows = [HistoryRow(0, 0.9, 0.2, 0, 0, 0.1), HistoryRow(1, 0.9, 0.2, 8, 0, 0.1, quarantined=2)]
    screen = Screen(console)
    with screen.rounds(1) as show:
        show(rows[1])
    screen.print_history(rows)
    screen.print_history(rows[:1])
    text = console.file.getvalue()
    assert "8 updates, 0 rejected, 2 quarantined" in text
    assert text.count("quarantined") == 2, "once in the line, once as a heading, not without any"


@pytest.mark.parametrize(
    ("settings", "weights"),
    [
        ({"dataset": "digits"}, "net, initial weights: pretrained"),
        ({"dataset": "digits", "model": "cnn"}, "random, no checkpoint ships for digits"),
        ({"dataset": "digits", "init": "random"}, "initial weights: random"),
        ({"dataset": "digits", "init": "my.safetensors"}, "initial weights: my.safetensors"),
        ({}, "initial weights: pretrained where a checkpoint ships"),
    ],
)
def test_the_header_says_which_weights_are_taken(
    settings: dict[str, object], weights: str, screen: Captured
) -> None:
    screen.print_spec(ResolvedSpec(ExperimentSpec.of(settings)))
    (line,) = (line for line in screen.lines if line.startswith("model "))
    assert line.endswith(weights)
