"""The scorecard's first screen: a row per claim, what was measured drawn against its bound."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping

from molrg import claims
from molrg.claims import Condition
from molrg.companion.scorecard import outcome, sentence

WIDTH = 110  # of a small picture, in pixels
HEIGHT = 22
FAR = 100.0  # a hundred times the bound, or a hundredth of it, is the end of the axis
_OTHER_END = {"lower": "upper", "upper": "lower"}


def share(condition: Condition, value: float) -> float:
    """What was measured as a share of what is allowed: below one it is met, above one missed.

    For a largest allowed value v / b, for a smallest b / v, for a range the distance to its middle
    over its half-width; clipped to 1 / `FAR` and `FAR`.
    """
    low, high = condition.low, condition.high
    if math.isinf(low):
        ratio = _ratio(value, high)
    elif math.isinf(high):
        ratio = _ratio(low, value)
    elif high == low:
        ratio = 0.0 if value == low else math.inf
    else:
        ratio = abs(value - (low + high) / 2) / ((high - low) / 2)
    return min(max(ratio, 1 / FAR), FAR)


def _ratio(small: float, large: float) -> float:
    """small / large where both are positive; else only which is the larger counts."""
    if small > 0 and large > 0:
        return small / large
    return 0.0 if small <= large else math.inf


def judged(condition: Condition, summary: Mapping[str, float]) -> float:
    """The estimate that is judged; of an interval, the end that is nearer to failing."""
    if condition.estimator != "interval":
        return summary[condition.estimator]
    ends = (summary["lower"], summary["upper"])
    return max(ends, key=lambda end: share(condition, end))


def picture(record: Mapping) -> str:
    """Every primary condition as a dot, the control's as rings; right of the line is missed."""
    primary, _ = claims.criterion(record["id"], record["profile"])
    dots, rings = [], []
    for condition in primary:
        name = condition.quantity
        dots.append(share(condition, judged(condition, record["values"][name])))
        if name in record["control"]:
            rings.append(share(condition, judged(condition, record["control"][name])))
    missed = sum(dot > 1 for dot in dots)
    label = (
        f"{len(dots) - missed} of {len(dots)} primary conditions met; "
        f"the control misses {sum(ring > 1 for ring in rings)} of {len(rings)}"
    )
    marks = [f'<line class="bound" x1="{_x(1)}" y1="1" x2="{_x(1)}" y2="{HEIGHT - 1}"/>']
    marks += [
        f'<circle class="control" cx="{_x(r)}" cy="{HEIGHT * 0.72:.1f}" r="3"/>' for r in rings
    ]
    marks += [
        f'<circle class="{"missed" if dot > 1 else "met"}" cx="{_x(dot)}" '
        f'cy="{HEIGHT * 0.28:.1f}" r="3.5"/>'
        for dot in dots
    ]
    return (
        f'<svg class="molrg-margin" role="img" aria-label="{label}" width="{WIDTH}" '
        f'height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">{"".join(marks)}</svg>'
    )


def _x(ratio: float) -> str:
    place = (math.log(ratio) / math.log(FAR) + 1) / 2
    return f"{5 + place * (WIDTH - 10):.1f}"


_SIGNS = {"reproduced": "✓", "with deviation": "≈", "not reproduced": "✗"}


def sign(id: str, records: Mapping[str, dict]) -> str:
    """The sign of a claim's verdict, a dot where there is none."""
    return _SIGNS.get(outcome(id, records), "·")


def strip(records: Mapping[str, dict]) -> str:
    """All verdicts at a glance: a cell per claim, which leads to its page."""
    cells = []
    for id, entry in claims.registry().items():
        verdict = outcome(id, records)
        label = f"{id}, {verdict}: {html.escape(entry['title'], quote=True)}"
        place = f"../notebooks/{entry['notebook']}.html" if entry["status"] == "landed" else "#"
        cells.append(
            f'<a class="molrg-cell molrg-cell-{verdict.replace(" ", "-")}" href="{place}" '
            f'title="{label}" aria-label="{label}"><b>{id[1:]}</b>{sign(id, records)}</a>'
        )
    key = ", ".join(f"{sign} {verdict}" for verdict, sign in _SIGNS.items())
    return f'<p class="molrg-strip">{"".join(cells)}</p>\n\n{key}. {sentence(records)}\n'


_COLUMNS = ("claim", "verdict", "other seeds", "against the bound", "but")


def table(records: Mapping[str, dict], other_seeds: Mapping[str, str] | None = None) -> str:
    """The overview as HTML inside Markdown.

    Args:
        records: of the book's run, by claim.
        other_seeds: HTML that says how often a verdict stays with other seeds, by claim.
    """
    rows = [
        _row(id, entry, records.get(id), (other_seeds or {}).get(id, ""))
        for id, entry in claims.registry().items()
    ]
    head = "".join(f"<th>{name}</th>" for name in _COLUMNS)
    return "\n".join(
        [
            '<div class="molrg-overview"><table class="table">',
            f"<thead><tr>{head}</tr></thead><tbody>",
            *rows,
            "</tbody></table></div>",
            "",
        ]
    )


def _row(id: str, entry: Mapping, record: Mapping | None, seeds: str) -> str:
    verdict = outcome(id, {id: dict(record)} if record else {})
    badge = f'<span class="molrg-badge molrg-{verdict.replace(" ", "-")}">{verdict}</span>'
    link = f'<a href="#claim-{id.lower()}">{id}</a> {html.escape(entry["title"])}'
    reach = entry["scope"] + (f", {len(record['seeds'])} seeds" if record else "")
    drawn = picture(record) if record else ""
    judged = f"{badge}<br><small>{reach}</small>"
    cells = [link, judged, seeds, drawn, html.escape(entry["but"])]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
