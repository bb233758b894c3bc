"""Rounds and runs as lines of text, for the screen, the log and ``show``."""

from collections import Counter

from fedsiege.results.history import HistoryRow
from fedsiege.results.report import RunReport

#: Percentage points by which two accuracies of 93 % on 10,000 samples differ by chance.
NOISE = 0.3


def summary(report: RunReport) -> dict[str, str]:
    """Return the results of a run as lines by name; those that do not apply are empty."""
    run, change = report.run, report.change
    last, lowest = run.history[-1], run.history[change.lowest_round]
    start = {"at the start": f"accuracy {run.history[0].accuracy_text}"}
    if len(run.history) == 1:
        return start
    return {
        **start,
        "at the end": f"accuracy {last.accuracy_text}, in round {last.round} of {run.spec.rounds}",
        "change": "" if last.destroyed else f"{change.points:+.1f} points since the start",
        "lowest": f"{lowest.accuracy_text}, in round {lowest.round}",
        "destroyed": _destroyed(report),
        "attack success": _success(report),
        "privacy budget": _budget(report),
        "attack cost": _cost(report),
        "incomplete": _incomplete(report),
        "went wrong": _trouble(report),
    }


def round_line(row: HistoryRow, total: int) -> str:
    """Return the figures of a round as one line.

    Args:
        row: the round.
        total: the rounds of the run, 1 or more.
    """
    parts = [f"accuracy {row.accuracy_text}"]
    if row.asr is not None:
        parts.append(f"attack success {row.asr:.1%}")
    parts.append(f"loss {row.loss:.4g}")
    if row.round:
        parts += [f"{row.updates} updates", f"{row.rejected} rejected"]
        if row.quarantined:
            parts.append(f"{row.quarantined} quarantined")
        if row.incomplete:
            parts.append(missing_in_words(row))
        parts.append(f"{row.seconds:.2f} s")
    return f"round {row.round}/{total}: {', '.join(parts)}"


def missing_in_words(row: HistoryRow) -> str:
    """Return how many honest updates a round lacks, why it closed, and the hostile share."""
    reason = str(row.close_reason or "closed").replace("_", " ")
    text = f"{reason} closed it without {row.missing_honest} honest updates"
    return text if row.hostile_share is None else f"{text} ({row.hostile_share:.0%} hostile)"


def _destroyed(report: RunReport) -> str:
    """Return in which rounds the model was destroyed."""
    rows = [row.round for row in report.run.history if row.destroyed]
    if not rows:
        return ""
    return f"in {len(rows)} rounds, first in round {rows[0]}: the model's outputs are not numbers"


def _success(report: RunReport) -> str:
    """Return the attack success rate, and the base rate without the attack."""
    success, base = report.run.history[-1].asr, report.base_rate
    if success is None:
        return ""
    if not report.run.spec.attack:
        return f"{success:.1%} without an attack: the base rate"
    return f"{success:.1%}" + ("" if base is None else f"; {base:.1%} without the attack")


def _budget(report: RunReport) -> str:
    """Return what was spent of the privacy budget."""
    spent = report.run.history[-1].epsilon
    return (
        "" if spent is None else f"epsilon {spent:.4g} after {report.run.history[-1].round} rounds"
    )


def _cost(report: RunReport) -> str:
    """Return what the attack cost against the clean twin."""
    if not report.run.spec.attack:
        return ""
    if report.clean is None:
        return "not known: no run without the attack is beside this one"
    run, cost, lines = report.run, report.cost, []
    if cost is not None:
        lines += [
            f"{cost.points:.1f} points in round {cost.round}, where the clean run has "
            f"{cost.clean:.1%}",
            f"at most {cost.most:.1f} points, in round {cost.most_round}",
        ]
        if cost.most < NOISE and run.history[-1].asr is None:
            lines.append(
                f"less than {NOISE:g} points is noise: PRESET=ladder shows what attacks cost"
            )
        if cost.half_lost is not None:
            lines.append(f"from round {cost.half_lost} on half of what is above chance is lost")
    lines.append(f"against {report.clean.path}")
    text = "; ".join(lines)
    if report.differences:
        text += f"\nwhich differs in more than the attack: {', '.join(report.differences)}"
    return text


def _incomplete(report: RunReport) -> str:
    """Return in how many rounds honest updates were missing, and the largest hostile share."""
    rows, rounds = report.incomplete, len(report.run.history) - 1
    if not rows:
        return ""
    reasons = Counter(str(row.close_reason).replace("_", " ") for row in rows)
    counted = " and ".join(f"{reason} ({count})" for reason, count in reasons.most_common())
    text = f"honest updates missing in {len(rows)} of {rounds} rounds, closed by: {counted}"
    shares = [row.hostile_share for row in rows if row.hostile_share is not None]
    if shares and max(shares) > 0:
        text += f"; hostile participants sent up to {max(shares):.0%} of the updates aggregated"
    return text


def _trouble(report: RunReport) -> str:
    """Return in how many rounds something went wrong, and the problem of the first."""
    rows, rounds = report.troubled, len(report.run.history) - 1
    if not rows:
        return ""
    return f"in {len(rows)} of {rounds} rounds; round {rows[0].round}: {rows[0].problem}"
