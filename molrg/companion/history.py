"""The history of every criterion: from git and the ledger, kept in a file of the book."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from molrg import claims, files
from molrg.claims import Condition
from molrg.companion.stopped import Stopped

FILE = "book/criteria_history.yml"
LEDGER = "book/claims.yml"


class NoHistory(Stopped):
    """The project is not a clone with its whole history."""


def _git(root: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoHistory(
            f"git {words[0]} gave nothing in {root}: a whole clone is needed"
        ) from error
    return done.stdout


def _commits(root: Path, path: str) -> Iterator[tuple[str, str, str]]:
    """Commit, day and subject of every change of a file, oldest first."""
    if _git(root, "rev-parse", "--is-shallow-repository").strip() != "false":
        raise NoHistory(f"{root}: a shallow clone; its history begins too late")
    log = _git(
        root, "log", "--reverse", "--format=%h%x09%ad%x09%s", "--date=iso-strict", "--", path
    )
    for line in log.splitlines():
        commit, day, subject = line.split("\t", 2)
        yield commit, day, subject


def _judged(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What a verdict depends on: the conditions of both profiles, the control, the expectation."""
    profiles: dict[str, list[str]] = {}
    for profile, parts in entry["criterion"].items():
        for rank in ("primary", "secondary"):
            for line in parts.get(rank) or []:
                profiles.setdefault(f"{rank} condition, {Condition.parse(line)}", []).append(
                    profile
                )
    return {
        "conditions": [
            f"{line} ({' and '.join(sorted(names, reverse=True))})"
            for line, names in profiles.items()
        ],
        "control fails": sorted(entry["control"]["fails"]),
        "expected": entry["expected"],
    }


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    lines = [f"added: {c}" for c in new["conditions"] if c not in old["conditions"]]
    lines += [f"removed: {c}" for c in old["conditions"] if c not in new["conditions"]]
    if old["control fails"] != new["control fails"]:
        lines.append(f"the control must fail: {', '.join(new['control fails'])}")
    if old["expected"] != new["expected"]:
        lines.append(f"expected: {old['expected']} became {new['expected']}")
    return lines


def _later(day: str, other: str) -> bool:
    """Whether a time is after another one; each has the offset of its own place."""
    return datetime.fromisoformat(day) > datetime.fromisoformat(other)


def _first_runs(root: Path) -> dict[str, str]:
    """When the first recorded run of each claim was committed."""
    first: dict[str, str] = {}
    for id in claims.registry():
        for _, day, _ in _commits(root, f"book/results/paper/{id}.json"):
            first.setdefault(id, day)
    return first


def collect(root: Path) -> dict[str, dict[str, Any]]:
    """By claim: when it was registered, first recorded, and what was changed when and why.

    Raises:
        NoHistory: outside a whole clone.
    """
    first = _first_runs(root)
    seen: dict[str, dict[str, Any]] = {}
    history: dict[str, dict[str, Any]] = {}
    for commit, day, subject in _commits(root, LEDGER):
        ledger = yaml.safe_load(_git(root, "show", f"{commit}:{LEDGER}"))["claims"]
        for id, entry in ledger.items():
            judged = _judged(entry)
            if id not in seen:
                history[id] = {"registered": day[:10], "first recorded": None, "changes": []}
                history[id]["first recorded"] = first.get(id, "")[:10] or None
            elif lines := _differences(seen[id], judged):
                after = id in first and _later(day, first[id])
                history[id]["changes"].append(
                    {
                        "day": day[:10],
                        "why": subject,
                        "when": f"{'after' if after else 'before'} the first recorded run",
                        "what": lines,
                    }
                )
            seen[id] = judged
    return history


def write(root: Path) -> Path:
    """Write the history of this clone to book/criteria_history.yml."""
    text = "# Made by `python -m molrg claims --write-history` from git and the ledger.\n"
    path = root / FILE
    text += yaml.safe_dump(collect(root), sort_keys=False, allow_unicode=True, width=100)
    with files.replacing(path) as aside:
        aside.write_text(text, encoding="utf-8")
    return path


def reasons(changelog: str) -> dict[str, list[str]]:
    """By claim, what the changelog says of its criterion; such an item begins with its number."""
    section = changelog.partition("### Criteria and expected verdicts")[2].partition("\n### ")[0]
    found: dict[str, list[str]] = {}
    for item in re.findall(r"^- (.*?)(?=^- |^\S|\Z)", section, flags=re.MULTILINE | re.DOTALL):
        text = " ".join(item.split())
        for id in re.findall(r"\bC\d\d\b", text.partition(":")[0]):
            found.setdefault(id, []).append(text)
    return found


def kept(root: Path) -> dict[str, dict[str, Any]]:
    """The committed history, with the reasons that the changelog gives."""
    history = yaml.safe_load((root / FILE).read_text(encoding="utf-8"))
    why = reasons((root / "CHANGELOG.md").read_text(encoding="utf-8"))
    return {id: entry | {"reasons": why.get(id, [])} for id, entry in history.items()}


def markdown(id: str, history: Mapping[str, Any]) -> list[str]:
    """The history of one claim's criterion as lines of Markdown, folded."""
    if id not in history:
        return []
    entry = history[id]
    recorded = entry["first recorded"] or "not yet"
    lines = [f"Registered {entry['registered']}; first recorded run {recorded}.", ""]
    if not entry["changes"]:
        lines += ["No condition, control or expectation has changed since.", ""]
    for change in entry["changes"]:
        lines += [
            f"**{change['day']}, {change['when']}.** {change['why']}",
            "",
        ]
        lines += [*(f"- {line}" for line in change["what"]), ""]
    lines += [f"From the changelog: {text}" for text in entry["reasons"]]
    return ["````{dropdown} History of the criterion", *lines, "````", ""]
