"""The ledger: criteria registered in ``book/claims.yml`` before the run, and their verdicts.

A notebook hands over what it measured, `check` looks up the criterion, decides, requires the
control to fail the same criterion, and writes one record. A notebook never states a verdict itself.
"""

from __future__ import annotations

import html
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import fastjsonschema
import numpy as np
import yaml

from molrg import checks, files
from molrg.provenance import (
    commit,
    cost,
    provenance,  # noqa: F401 - claims.provenance() ends a notebook
    root,
    versions,
)
from molrg.stats import Summary

PROFILES = ("quick", "paper")
SCOPES = ("identity", "finite instance", "small model")
_RANKS = ("primary", "secondary")
VERDICTS = ("reproduced", "with deviation", "not reproduced")


# What an entry of the ledger cannot do without; a dot goes one level down.
_NEEDED = (
    "title",
    "status",
    "locus",
    "certainty",
    "statement",
    "scope",
    "but",
    "notebook",
    "quantities",
    "criterion.quick.primary",
    "criterion.paper.primary",
    "control.fails",
    "expected",
)


class ControlPassed(RuntimeError):
    """The control met the criterion it must fail: the check shows nothing, and decides nothing."""


@lru_cache
def _registry(path: Path, changed: int) -> dict[str, dict]:
    ledger = yaml.safe_load(path.read_text(encoding="utf-8"))
    entries = _at(ledger, "claims")
    if not isinstance(entries, dict):
        raise ValueError(f"{path} = no list of claims: allowed are entries by id under `claims:`")
    for id, entry in entries.items():
        if key := next(_lacking(entry), None):
            raise ValueError(f"{path} = {id} without {key}: allowed is an entry that has it")
    return entries


def _lacking(entry: Any) -> Iterator[str]:
    """The keys that an entry of the ledger lacks, each with the way to it."""
    yield from (key for key in _NEEDED if _at(entry, key) is None)
    for place in (f"criterion.{profile}.{rank}" for profile in PROFILES for rank in _RANKS):
        for number, line in enumerate(_at(entry, place) or []):
            for key in ("quantity", "estimator"):
                if _at(line, key) is None:
                    yield f"{place}[{number}].{key}"


def _at(node: Any, place: str) -> Any:
    """What stands at a place, such as `control.fails`; None where nothing does."""
    for key in place.split("."):
        node = node.get(key) if isinstance(node, dict) else None
    return node


def registry() -> dict[str, dict]:
    """All registered claims by id, as they stand in book/claims.yml.

    Raises:
        ValueError: where an entry lacks a key that is needed.
    """
    path = root() / "book" / "claims.yml"
    return _registry(path, path.stat().st_mtime_ns)


def claim(id: str) -> dict:
    """One registered claim.

    Raises:
        ValueError: where there is no such id.
    """
    claims = registry()
    checks.one_of("id", id, tuple(claims))
    return claims[id]


def seeds(count: int, offset: int = 0, profile: str = "quick") -> list[int]:
    """The seeds of a run: `count` whole numbers from `offset`, at least 20 in the paper profile.

    Raises:
        ValueError: where count < 1, offset < 0 or the profile is unknown.
    """
    checks.one_of("profile", profile, PROFILES)
    total = max(checks.count("count", count), 20 if profile == "paper" else 1)
    return [checks.count("offset", offset, 0) + k for k in range(total)]


def records_folder() -> Path:
    """Where records go: the folder named by MOLRG_RECORDS, else _build/claims of the project."""
    return Path(os.environ.get("MOLRG_RECORDS") or root() / "_build" / "claims")


# The least and the largest value that an estimator's uncertainty leaves open.
_ENDS = {
    "lower": ("lower", "upper"),
    "upper": ("lower", "upper"),
    "interval": ("lower", "upper"),
    "min": ("min", "max"),
    "max": ("min", "max"),
    "mean": ("mean", "mean"),
    "sum": ("sum", "sum"),
}


@dataclass(frozen=True)
class Condition:
    """One line of a criterion: an estimator of a quantity, and the closed range it must fall in."""

    quantity: str
    estimator: str
    low: float = -np.inf
    high: float = np.inf

    @classmethod
    def parse(cls, entry: Mapping[str, Any]) -> Condition:
        """Read ``{quantity, estimator, at_least | at_most | within: [low, high]}``.

        Raises:
            ValueError: where a key or an estimator is unknown, no bound is given, or another one
                beside `within`.
        """
        unknown = set(entry) - {"quantity", "estimator", "at_least", "at_most", "within"}
        checks.require(
            not unknown,
            "criterion keys",
            sorted(unknown),
            "quantity, estimator, at_least, at_most, within",
        )
        checks.one_of("estimator", entry["estimator"], tuple(_ENDS))
        bounds = sorted({"at_least", "at_most", "within"} & set(entry))
        checks.require(
            "within" not in bounds or bounds == ["within"],
            "criterion keys",
            bounds,
            "within alone, or at_least and at_most",
        )
        low, high = entry.get(
            "within", (entry.get("at_least", -np.inf), entry.get("at_most", np.inf))
        )
        checks.require(
            low <= high and (low > -np.inf or high < np.inf),
            "bounds",
            (low, high),
            "low <= high, one finite",
        )
        return cls(entry["quantity"], entry["estimator"], float(low), float(high))

    def met(self, summary: Summary) -> bool:
        """Whether the estimate falls in the range; the whole interval, for estimator "interval"."""
        low, high = ("lower", "upper") if self.estimator == "interval" else (self.estimator,) * 2
        return self.low <= getattr(summary, low) and getattr(summary, high) <= self.high

    def clearly_failed(self, summary: Summary) -> bool:
        """Whether all that the uncertainty leaves open is outside, on one side: for controls.

        What clearly fails is not met.
        """
        least, most = _ENDS[self.estimator]
        return getattr(summary, most) < self.low or getattr(summary, least) > self.high

    def __str__(self) -> str:
        names = {
            "lower": "lower 95 % bound",
            "upper": "upper 95 % bound",
            "max": "largest",
            "min": "smallest",
            "interval": "95 % interval",
        }
        if np.isinf(self.low):
            bound = f"≤ {self.high:g}"
        elif np.isinf(self.high):
            bound = f"≥ {self.low:g}"
        else:
            bound = f"in [{self.low:g}, {self.high:g}]"
        return f"{names.get(self.estimator, self.estimator)} of {self.quantity} {bound}"


def criterion(id: str, profile: str = "quick") -> tuple[list[Condition], list[Condition]]:
    """Primary and secondary conditions of a claim.

    Raises:
        ValueError: where the claim or the profile is unknown.
    """
    entry = claim(id)["criterion"][checks.one_of("profile", profile, PROFILES)]
    primary, secondary = entry["primary"], entry.get("secondary") or []
    return [Condition.parse(line) for line in primary], [
        Condition.parse(line) for line in secondary
    ]


@dataclass(frozen=True)
class Verdict:
    """What `check` found; shows itself as a table in a notebook and as one line in print."""

    record: dict

    @property
    def verdict(self) -> str:
        """One of `VERDICTS`."""
        return self.record["verdict"]

    def glue(self) -> None:
        """Make verdict, caveat, scope, cost and memory quotable: c02_verdict, c02_but, ..."""
        from myst_nb import glue  # noqa: PLC0415 - only inside a notebook

        quoted = {
            "verdict": self.verdict,
            "cpu": self.record["cpu_seconds"],
            "memory": self.record["peak_memory_mb"],
            "but": claim(self.record["id"])["but"],
            "scope": claim(self.record["id"])["scope"],
        }
        for name, value in quoted.items():
            glue(f"{self.record['id'].lower()}_{name}", value, display=False)

    def __str__(self) -> str:
        surprise = "" if self.record["as_expected"] else f" (expected: {self.record['expected']})"
        return f"{self.record['id']}: {self.verdict}{surprise}; the control fails"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(line['condition'])}</td><td>{html.escape(line['estimate'])}</td>"
            f"<td>{'met' if line['met'] else 'missed'}</td>"
            f"<td>{html.escape(line['control'] or '—')}</td></tr>"
            for line in self.record["conditions"]
        )
        return (
            '<div class="molrg-verdict" tabindex="0" role="region" aria-label="Verdict">'
            f"<p><strong>{html.escape(str(self))}</strong> "
            f"({len(self.record['seeds'])} seeds, {self.record['profile']} profile)</p>"
            "<table><thead><tr><th>registered condition</th><th>measured</th>"
            "<th>outcome</th><th>control</th></tr></thead>"
            f"<tbody>{rows}</tbody></table></div>"
        )


def _arrays(
    name: str, given: Mapping[str, Any], wanted: set[str], length: int
) -> dict[str, np.ndarray]:
    unknown, missing = sorted(set(given) - wanted), sorted(wanted - set(given))
    checks.require(
        not unknown and not missing,
        f"{name} quantities",
        sorted(given),
        f"exactly {sorted(wanted)}",
    )
    arrays = {key: np.asarray(value, dtype=float) for key, value in given.items()}
    for key, array in arrays.items():
        ok = array.shape == (length,) and bool(np.isfinite(array).all())
        checks.require(
            ok, f"{name}[{key!r}]", array.tolist(), f"{length} finite numbers, one per seed"
        )
    return arrays


def _estimate(condition: Condition, summary: Summary) -> str:
    if condition.estimator in ("max", "min", "sum"):
        return f"{getattr(summary, condition.estimator):.3g}"
    return f"{summary.mean:.3g} [{summary.lower:.3g}, {summary.upper:.3g}]"


def check(
    id: str,
    *,
    values: Mapping[str, Any],
    control: Mapping[str, Any],
    seeds: Sequence[int],
    profile: str = "quick",
    figure: Any = None,
    **more: Any,
) -> Verdict:
    """Judge what a notebook measured against the registered criterion, and record it.

    Args:
        id: the claim, such as "C02"; it must have landed.
        values: {quantity: one number per seed}, exactly the quantities of the criterion.
        control: the same for the quantities that the registered control must fail.
        seeds: the seeds used, at least as many as the claim's ``min_seeds`` (5 unless it says
            otherwise).
        profile: "quick" or "paper".
        figure: a matplotlib figure to keep beside the record.
        **more: anything else worth keeping, JSON-serialisable, such as parameters.

    Returns:
        The verdict; its ``record`` is what was written to ``records_folder()``.

    Raises:
        ValueError: where the claim, the profile, the quantities, the seeds or the numbers are not
            as above.
        ControlPassed: where the control does not clearly fail each condition it is registered to
            fail.
    """
    entry = claim(id)
    checks.require(
        entry["status"] == "landed",
        f"status of {id}",
        entry["status"],
        "landed: only claims with a notebook are checked",
    )
    primary, secondary = criterion(id, profile)
    seeds = [int(seed) for seed in seeds]
    enough = len(set(seeds)) == len(seeds) >= entry.get("min_seeds", 5)
    checks.require(enough, "seeds", seeds, f"at least {entry.get('min_seeds', 5)} different seeds")
    conditions = primary + secondary
    measured = _arrays("values", values, {c.quantity for c in conditions}, len(seeds))
    controlled = _arrays("control", control, set(entry["control"]["fails"]), len(seeds))
    summaries = {key: Summary.of(array) for key, array in measured.items()}
    control_summaries = {key: Summary.of(array) for key, array in controlled.items()}
    _control_must_fail(id, conditions, control_summaries)
    verdict = verdict_of(primary, secondary, summaries)
    record = {
        "id": id,
        "verdict": verdict,
        "expected": entry["expected"],
        "as_expected": verdict == entry["expected"],
        "profile": profile,
        "seeds": seeds,
        "conditions": [
            _line(c, summaries, control_summaries) | {"primary": c in primary} for c in conditions
        ],
        "values": _with_summaries(measured),
        "control": _with_summaries(controlled),
        **cost(),
        "versions": versions(),
        "commit": commit(),
        "recorded": datetime.now(UTC).isoformat(timespec="seconds"),
        "figure": None,
        "more": more,
    }
    _write(record, figure)
    return Verdict(record)


def _control_must_fail(
    id: str, conditions: Sequence[Condition], control: Mapping[str, Summary]
) -> None:
    """Raise ControlPassed where the control does not clearly fail a condition on what it has."""
    for condition in conditions:
        summary = control.get(condition.quantity)
        if summary is not None and not condition.clearly_failed(summary):
            seen = _estimate(condition, summary)
            raise ControlPassed(
                f"{id}: the control gives {seen}, which does not clearly fail: {condition}"
            )


def _line(
    condition: Condition, measured: Mapping[str, Summary], control: Mapping[str, Summary]
) -> dict[str, Any]:
    """What a record says of a condition."""
    quantity = condition.quantity
    known = quantity in control
    return {
        "condition": str(condition),
        "quantity": quantity,
        "estimate": _estimate(condition, measured[quantity]),
        "met": condition.met(measured[quantity]),
        "control": _estimate(condition, control[quantity]) if known else None,
    }


def verdict_of(
    primary: Sequence[Condition], secondary: Sequence[Condition], summaries: Mapping[str, Summary]
) -> str:
    """The verdict: primary conditions decide, a missed secondary one is a deviation."""
    if not all(c.met(summaries[c.quantity]) for c in primary):
        return "not reproduced"
    return (
        "reproduced" if all(c.met(summaries[c.quantity]) for c in secondary) else "with deviation"
    )


def _with_summaries(arrays: Mapping[str, np.ndarray]) -> dict[str, dict]:
    def finite(x: float) -> float | None:
        return x if np.isfinite(x) else None

    return {
        key: {
            "per_seed": array.tolist(),
            **{k: finite(v) for k, v in vars(Summary.of(array)).items()},
        }
        for key, array in arrays.items()
    }


def _write(record: dict, figure: Any) -> None:
    """Write record and figure aside, and rename both once both are complete."""
    folder, id = records_folder(), record["id"]
    # left in the opposite order: the record comes last, and names a figure that is there
    with (
        files.replacing(folder / f"{id}.json") as written,
        files.replacing(folder / f"{id}.svg") as drawn,
    ):
        if figure is not None:
            figure.savefig(drawn, metadata={"Date": None})
            record["figure"] = {"file": drawn.name, "sha256": files.sha256(drawn)}
        _validator()(record)
        text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
        written.write_text(text + "\n", encoding="utf-8")
    if figure is None:  # one of an earlier run is not this record's
        (folder / f"{id}.svg").unlink(missing_ok=True)


def record_schema() -> dict:
    """The published JSON schema of a record, book/record.schema.json."""
    return json.loads((root() / "book" / "record.schema.json").read_text(encoding="utf-8"))


def _validator() -> Callable[[Any], Any]:
    """Checks a record against the schema; raises JsonSchemaValueException where it is none."""
    return _compiled(json.dumps(record_schema()))


@lru_cache(maxsize=4)
def _compiled(schema: str) -> Callable[[Any], Any]:
    return fastjsonschema.compile(json.loads(schema))


def recorded(id: str, profile: str = "paper") -> dict[str, Any]:
    """The further arguments of `check` that the recorded run of a claim has kept.

    Empty where there is no such run.
    """
    return recorded_run(id, profile).get("more", {})


def recorded_run(id: str, profile: str = "paper") -> dict[str, Any]:
    """The whole record that the recorded run of a claim has kept; empty where there is none."""
    return records(root() / "book" / "results" / profile).get(id, {})


def records(folder: Path | None = None) -> dict[str, dict]:
    """All records in a folder by claim id; an empty dict where there are none.

    Raises:
        ValueError: where a file is torn, or is no record as book/record.schema.json describes it.
    """
    paths = sorted((folder or records_folder()).glob("C[0-9][0-9].json"))
    if not paths:
        return {}
    validate = _validator()
    return {path.stem: _read(path, validate) for path in paths}


def _read(path: Path, validate: Callable[[Any], Any]) -> dict[str, Any]:
    """One record, checked."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # torn, or not even text
        raise ValueError(f"{path} = torn ({error}): allowed is a whole record; run again") from None
    try:
        validate(record)
    except fastjsonschema.JsonSchemaValueException as error:
        what = error.message.splitlines()[0].removeprefix("data.").removeprefix("data ")[:160]
        raise ValueError(
            f"{path} = no record ({what}): allowed is what book/record.schema.json describes"
        ) from None
    if record["id"] != path.stem:
        raise ValueError(f"{path} = the record of {record['id']}: allowed is one of {path.stem}")
    return record
