"""The scorecard: made from the ledger and the records, and from nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich.table import Table

from molrg import claims
from molrg.companion import history as criteria

NOT_YET = "planned"
NO_RECORD = "not run"


def outcome(id: str, records: Mapping[str, dict]) -> str:
    """The verdict of a claim; "not run" without a record, "planned" before it lands."""
    if claims.claim(id)["status"] == "planned":
        return NOT_YET
    return records[id]["verdict"] if id in records else NO_RECORD


def sentence(records: Mapping[str, dict]) -> str:
    """How many claims ended how, of all that are registered."""
    counts = Counter(outcome(id, records) for id in claims.registry())
    order = [*claims.VERDICTS, NO_RECORD, NOT_YET]
    told = ", ".join(f"{counts[name]} {name}" for name in order if counts[name])
    return f"{len(claims.registry())} claims registered: {told}."


def totals(records: Mapping[str, dict]) -> tuple[str, float]:
    """How many of the records ended how, and the CPU seconds of all together."""
    counts = Counter(record["verdict"] for record in records.values())
    told = ", ".join(
        f"{counts[verdict]} {verdict}" for verdict in claims.VERDICTS if counts[verdict]
    )
    return told or "nothing to run", sum(record["cpu_seconds"] for record in records.values())


def kept(profile: str = "paper") -> dict[str, dict]:
    """Recorded runs that are part of the repository, in book/results."""
    return claims.records(claims.root() / "book" / "results" / profile)


def terminal_table(records: Mapping[str, dict]) -> Table:
    """The verdicts for a terminal."""
    table = Table("id", "claim", "verdict", "seeds", "CPU s", box=None, header_style="bold")
    table.columns[0].no_wrap = True  # a narrow terminal must not cut it: it says which claim
    for column in table.columns[1:3]:
        column.overflow = "fold"
    for id, entry in claims.registry().items():
        record = records.get(id, {})
        row = (str(len(record["seeds"])), f"{record['cpu_seconds']:.0f}") if record else ("", "")
        table.add_row(id, entry["title"], outcome(id, records), *row)
    return table


def _badge(text: str) -> str:
    return f'<span class="molrg-badge molrg-{text.replace(" ", "-")}">{text}</span>'


def _rows(records: Mapping[str, dict]) -> list[tuple[str, str, str, str]]:
    rows = []
    for id, entry in claims.registry().items():
        title = entry["title"]
        if entry["status"] == "landed":
            title = f"{{doc}}`{title} <../notebooks/{entry['notebook']}>`"
        rows.append((id, title, outcome(id, records), entry["expected"]))
    return rows


def summary_markdown(records: Mapping[str, dict], shaky: Mapping[str, str] | None = None) -> str:
    """The counts and a line per claim, for the front page.

    Args:
        records: by claim.
        shaky: what is to be said after a verdict that other seeds change, by claim.
    """
    lines = [sentence(records), "", "| claim | | verdict |", "|---|---|---|"]
    for id, title, verdict, _ in _rows(records):
        said = f", {shaky[id]}" if shaky and id in shaky else ""
        lines.append(f"| {id} | {title} | {_badge(verdict)}{said} |")
    return "\n".join(lines) + "\n"


def full_markdown(
    records: Mapping[str, dict],
    recorded: Mapping[str, dict],
    history: Mapping[str, Any],
    moved: Mapping[str, list[str]] | None = None,
) -> str:
    """Every claim: statement and verdict, and folded its criterion, measurements and history.

    Args:
        records: of the book's run, by claim.
        recorded: of the recorded runs.
        history: of the criteria.
        moved: lines that say what other seeds and parameters do to the verdict.
    """
    parts = [sentence(records), ""]
    for id, entry in claims.registry().items():
        parts += [
            f"(claim-{id.lower()})=",
            f"## {id}: {entry['title']}",
            "",
            entry["statement"],
            "",
        ]
        parts += [
            f"{_badge(outcome(id, records))}, but: {entry['but']}. Reaches: {entry['scope']}. "
            f"Expected: {entry['expected']}. Source: {_source(entry)}.",
            "",
        ]
        if entry["status"] == "landed":
            parts += [
                f"Notebook: {{doc}}`../notebooks/{entry['notebook']}`. "
                f"Control: {entry['control']['description']}.",
                "",
            ]
        parts += (moved or {}).get(id, [])
        if id in records:
            parts += _measured(records[id], recorded.get(id))
        else:
            primary, secondary = claims.criterion(id)
            parts += [
                "Registered criterion:",
                "",
                *(f"- {in_words(id, str(c), c.quantity)}" for c in primary + secondary),
                "",
            ]
        parts += criteria.markdown(id, history)
    return "\n".join(parts) + "\n"


def _source(entry: Mapping[str, str]) -> str:
    return (
        entry["locus"]
        if entry["certainty"] == "ours"
        else f"arXiv {entry['paper']}, {entry['locus']} ({entry['certainty']})"
    )


def in_words(id: str, condition: str, quantity: str) -> str:
    """A condition in the ledger's own sentence: what is measured, then estimator and bound."""
    estimator, _, bound = condition.partition(f" of {quantity} ")
    return f"{claims.claim(id)['quantities'][quantity]}: {estimator} {bound}"


def _measured(record: dict, recorded: dict | None) -> list[str]:
    columns = ["registered condition", "this run", "control"] + (
        ["recorded run"] if recorded else []
    )
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    earlier = {c["condition"]: c["estimate"] for c in recorded["conditions"]} if recorded else {}
    for line in record["conditions"]:
        met = "" if line["met"] else " (missed)"
        row = [
            in_words(record["id"], line["condition"], line["quantity"]),
            line["estimate"] + met,
            line["control"] or "—",
        ]
        row += [earlier.get(line["condition"], "judged otherwise")] if recorded else []
        lines.append("| " + " | ".join(row) + " |")
    told = (
        f"{len(record['seeds'])} seeds, {record['cpu_seconds']:.0f} CPU seconds, "
        f"{record['peak_memory_mb']:.0f} MB."
    )
    if recorded:
        told += (
            f" Recorded run: {recorded['profile']} profile, {len(recorded['seeds'])} seeds, "
            f"{recorded['cpu_seconds']:.0f} CPU seconds, {recorded['recorded'][:10]}, "
            f"{recorded['verdict']}."
        )
    return [
        "`````{dropdown} Conditions, control, recorded run",
        *lines,
        "",
        told,
        "",
        *(_recorded_figure(recorded) if recorded and recorded["figure"] else []),
        "`````",
        "",
    ]


def _recorded_figure(record: dict) -> list[str]:
    """The figure of a recorded run, folded; its notebook says what to see in it."""
    place = f"results/{record['profile']}/{record['figure']['file']}"
    alt = f"The figure of {record['id']} from the recorded run; the notebook describes its like"
    return [
        "````{dropdown} Figure of the recorded run",
        f"```{{image}} {place}",
        f":alt: {alt}",
        ":width: 100%",
        "```",
        "````",
        "",
    ]
