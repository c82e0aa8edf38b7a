"""The ledger: what is registered, how a verdict comes about, and that every check can fail."""

from __future__ import annotations

import hashlib
import itertools
import json
import math

import jsonschema
import numpy as np
import pytest
from factories import complains
from hypothesis import given, strategies as st
from scipy import stats

from molrg import claims
from molrg.claims import Condition, ControlPassed
from molrg.stats import Summary

REGISTRY = claims.registry()
IDS = [f"C{k:02d}" for k in range(1, 19)]
LANDED = [id for id, entry in REGISTRY.items() if entry["status"] == "landed"]
FIELDS = {
    "title",
    "status",
    "paper",
    "locus",
    "kind",
    "certainty",
    "statement",
    "assumptions",
    "notebook",
    "quantities",
    "criterion",
    "reason",
    "control",
    "expected",
    "scope",
    "but",
}

every_claim = pytest.mark.parametrize("id", REGISTRY)
landed_claim = pytest.mark.parametrize("id", LANDED)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Records of the tests go elsewhere than those of the book."""
    monkeypatch.setenv("MOLRG_RECORDS", str(tmp_path / "records"))
    return tmp_path / "records"


def seeds_of(id):
    return list(range(REGISTRY[id].get("min_seeds", 5)))


def inside(conditions):
    """A number that meets all conditions on one quantity."""
    low, high = max(c.low for c in conditions), min(c.high for c in conditions)
    assert low <= high, f"no value meets {[str(c) for c in conditions]}"
    if math.isinf(low) or math.isinf(
        high
    ):  # not at the bound itself, which rounding of a mean can cross
        return high - 0.1 * abs(high) if math.isinf(low) else low + 0.1 * abs(low)
    return (low + high) / 2


def outside(condition):
    return (
        condition.low - 1 - abs(condition.low)
        if math.isfinite(condition.low)
        else condition.high + 1 + abs(condition.high)
    )


def constants(id, *, controlled=(), profile="quick"):
    """Values that meet every condition, but for the quantities in `controlled`, which miss one."""
    primary, secondary = claims.criterion(id, profile)
    by_quantity = {}
    for condition in primary + secondary:
        by_quantity.setdefault(condition.quantity, []).append(condition)
    return {
        name: [outside(conditions[0]) if name in controlled else inside(conditions)]
        * len(seeds_of(id))
        for name, conditions in by_quantity.items()
    }


def arguments(id, **changed):
    fails = set(REGISTRY[id]["control"]["fails"])
    control = {
        name: value for name, value in constants(id, controlled=fails).items() if name in fails
    }
    return {"id": id, "values": constants(id), "control": control, "seeds": seeds_of(id)} | changed


def check(id, **changed):
    return claims.check(**arguments(id, **changed))


# the registry


def test_all_eighteen_claims_are_registered_and_none_is_left_out():
    assert set(REGISTRY) >= set(IDS)
    assert list(REGISTRY) == sorted(REGISTRY)


@every_claim
def test_an_entry_is_complete(id):
    entry = REGISTRY[id]
    allowed = FIELDS | {"min_seeds", "deviations", "note", "robust_to"}
    assert FIELDS <= set(entry) <= allowed, set(entry) ^ FIELDS
    assert entry["status"] in ("planned", "landed") and entry["expected"] in claims.VERDICTS
    assert entry["certainty"] in ("certain", "second-hand", "ours") and entry["kind"] in (
        "lemma",
        "theorem",
        "bound",
        "experiment",
        "observation",
    )
    assert (
        entry["notebook"][:2] == id[1:]
        and entry["assumptions"]
        and entry["reason"]
        and entry["control"]["description"]
    )
    assert entry["scope"] in claims.SCOPES
    assert 20 < len(entry["but"]) <= 120 and not entry["but"].endswith(".")
    assert not entry["title"].endswith(".") and "$" not in entry["title"]
    assert entry.get("min_seeds", 5) >= 5 or id in ("C09", "C13", "C14", "C18", "C11", "C12"), (
        "three seeds are for trained networks"
    )


@every_claim
@pytest.mark.parametrize("profile", claims.PROFILES)
def test_criteria_are_about_the_quantities_described(id, profile):
    primary, secondary = claims.criterion(id, profile)
    assert primary and {c.quantity for c in primary + secondary} == set(REGISTRY[id]["quantities"])


@every_claim
def test_the_control_fails_a_primary_condition(id):
    """Only primary conditions can make a claim fail; what the control is registered to fail is
    compared, whatever its rank.
    """
    fails, (primary, secondary) = set(REGISTRY[id]["control"]["fails"]), claims.criterion(id)
    assert fails & {c.quantity for c in primary} and fails <= {
        c.quantity for c in primary + secondary
    }


@every_claim
def test_no_profile_is_weaker_than_quick(id):
    """Smaller, never weaker, is said of quick; so the paper sizes must not loosen the criterion."""
    quick, paper = (
        {str(c.quantity) + c.estimator: c for c in claims.criterion(id, p)[0]}
        for p in claims.PROFILES
    )
    assert set(quick) <= set(paper)
    assert all(
        paper[key].low >= quick[key].low and paper[key].high <= quick[key].high for key in quick
    )


def test_the_eighteen_have_landed():
    assert set(LANDED) >= set(IDS)


# oracle: estimators


def test_summary_is_students_interval():
    values = np.array([0.3, 1.2, -0.7, 2.2, 0.1, 0.4])
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    summary = Summary.of(values)
    assert abs(summary.lower - low) < 1e-12 and abs(summary.upper - high) < 1e-12
    assert (summary.mean, summary.min, summary.max, summary.sum) == (
        values.mean(),
        -0.7,
        2.2,
        values.sum(),
    )


def test_the_interval_of_the_mean_covers_it():
    """Share of 4,000 intervals that hold the true mean, within 3.9 standard errors of 95 %: false
    fail 1e-4.
    """
    draws = np.random.default_rng(0).normal(3.0, 2.0, (4000, 5))
    covered = np.mean([(s := Summary.of(row)).lower <= 3 <= s.upper for row in draws])
    assert abs(covered - 0.95) < 3.9 * math.sqrt(0.95 * 0.05 / 4000)


def test_one_seed_has_no_interval():
    summary = Summary.of(np.array([2.0]))
    assert summary.mean == 2 and summary.lower == -math.inf and summary.upper == math.inf
    assert not Condition("x", "upper", high=100.0).met(summary) and not Condition(
        "x", "interval", high=100.0
    ).clearly_failed(summary)


SPREAD = Summary(mean=1.0, lower=0.5, upper=1.5, min=-1.0, max=3.0, sum=5.0)


@pytest.mark.parametrize(
    ("estimator", "low", "high", "met", "failed"),
    [
        ("mean", 0.9, 1.1, True, False),
        ("mean", 1.1, math.inf, False, True),
        ("mean", 1.0, 1.0, True, False),
        ("lower", 0.5, math.inf, True, False),
        ("lower", 0.6, math.inf, False, False),
        ("lower", 1.6, math.inf, False, True),
        ("upper", -math.inf, 1.5, True, False),
        ("upper", -math.inf, 1.4, False, False),
        ("upper", -math.inf, 0.4, False, True),
        ("min", -1.0, math.inf, True, False),
        ("min", 0.0, math.inf, False, False),
        ("min", 3.1, math.inf, False, True),
        ("max", -math.inf, 3.0, True, False),
        ("max", -math.inf, 2.9, False, False),
        ("max", -math.inf, -1.1, False, True),
        ("sum", -math.inf, 5.0, True, False),
        ("sum", -math.inf, 4.0, False, True),
        ("interval", 0.5, 1.5, True, False),
        ("interval", 0.6, 1.5, False, False),
        ("interval", 0.5, 1.4, False, False),
        ("interval", 1.51, 9.0, False, True),
        ("interval", -9.0, 0.49, False, True),
        ("interval", 1.5, 9.0, False, False),
    ],
)
def test_conditions(estimator, low, high, met, failed):
    """met: the estimate is in the closed range; clearly failed: so is even the other end of the
    uncertainty not.
    """
    condition = Condition("x", estimator, low, high)
    assert condition.met(SPREAD) is met and condition.clearly_failed(SPREAD) is failed


@given(
    st.sampled_from(["mean", "sum", "min", "max", "lower", "upper", "interval"]),
    st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=5),
    st.lists(st.one_of(st.none(), st.floats(-1.5, 1.5)), min_size=2, max_size=2).filter(any),
)
def test_what_clearly_fails_is_not_met(estimator, values, bounds):
    low, high = (-math.inf if bounds[0] is None else bounds[0], bounds[1])
    high = math.inf if high is None else max(low, high)
    condition, summary = Condition("x", estimator, low, high), Summary.of(np.array(values))
    assert not (condition.met(summary) and condition.clearly_failed(summary))


@pytest.mark.parametrize(
    ("estimator", "bounds"),
    [
        ("max", {"at_least": 0.5}),
        ("max", {"within": [0.5, 1.0]}),
        ("upper", {"at_least": 0.5}),
        ("min", {"at_most": 0.2}),
        ("lower", {"at_most": 0.2}),
    ],
)
def test_one_end_that_meets_a_condition_does_not_clearly_fail_it(estimator, bounds):
    summary = Summary.of(np.array([0.1, 0.9, 0.2, 0.3, 0.4]))
    condition = Condition.parse({"quantity": "q", "estimator": estimator, **bounds})
    assert condition.met(summary) and not condition.clearly_failed(summary)


@pytest.mark.parametrize(
    ("bound", "low", "high", "text"),
    [
        ({"at_least": 2}, 2, math.inf, "≥ 2"),
        ({"at_most": 1.0e-10}, -math.inf, 1e-10, "≤ 1e-10"),
        ({"within": [0.9, 1.1]}, 0.9, 1.1, "in [0.9, 1.1]"),
        ({"at_least": 1, "at_most": 2}, 1, 2, "in [1, 2]"),
    ],
)
def test_conditions_are_read(bound, low, high, text):
    condition = Condition.parse({"quantity": "x", "estimator": "mean", **bound})
    assert (condition.low, condition.high) == (low, high) and str(condition) == f"mean of x {text}"


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        ({"quantity": "x", "estimator": "median", "at_least": 1}, "estimator"),
        ({"quantity": "x", "estimator": "mean"}, "bounds"),
        ({"quantity": "x", "estimator": "mean", "within": [2, 1]}, "bounds"),
        ({"quantity": "x", "estimator": "mean", "at_least": math.nan}, "bounds"),
        ({"quantity": "x", "estimator": "mean", "at_leats": 1}, "criterion keys"),
        (
            {"quantity": "x", "estimator": "mean", "within": [0, 1], "at_least": 0.9},
            "criterion keys",
        ),
    ],
)
def test_conditions_that_make_no_sense(entry, name):
    with complains(name):
        Condition.parse(entry)


def test_primary_conditions_decide_and_secondary_ones_deviate():
    primary, secondary = [Condition("a", "mean", high=1.0)], [Condition("b", "mean", high=1.0)]
    for a, b, verdict in (
        (0, 0, "reproduced"),
        (0, 2, "with deviation"),
        (2, 0, "not reproduced"),
        (2, 2, "not reproduced"),
    ):
        summaries = {"a": Summary.of(np.full(5, float(a))), "b": Summary.of(np.full(5, float(b)))}
        assert claims.verdict_of(primary, secondary, summaries) == verdict


# check


@landed_claim
def test_values_that_meet_the_criterion_reproduce(id, folder):
    verdict = check(id)
    assert verdict.verdict == "reproduced" and verdict.record["as_expected"] == (
        REGISTRY[id]["expected"] == "reproduced"
    )
    jsonschema.validate(json.loads((folder / f"{id}.json").read_text()), claims.record_schema())


def recorded(id):
    """Values and control of the last run; made up where there is none."""
    there = claims.records(claims.root() / "_build" / "claims")
    if id not in there:
        return {k: v for k, v in arguments(id).items() if k != "id"}
    per_seed = {
        side: {name: q["per_seed"] for name, q in there[id][side].items()}
        for side in ("values", "control")
    }
    return {**per_seed, "seeds": there[id]["seeds"]}


@landed_claim
def test_the_controls_values_as_data_are_not_reproduced(id, folder):
    """The check can fail: with the control in place of the data it does, quantity by quantity, and
    says so.

    A secondary quantity alone leaves a deviation where the primary conditions are met.
    """
    run, primary = recorded(id), {c.quantity for c in claims.criterion(id)[0]}
    for names in (
        REGISTRY[id]["control"]["fails"],
        *([name] for name in REGISTRY[id]["control"]["fails"]),
    ):
        swapped = run["values"] | {name: run["control"][name] for name in names}
        verdict = claims.check(id, **(run | {"values": swapped}))
        assert verdict.verdict == "not reproduced" or (
            not primary & set(names) and verdict.verdict == "with deviation"
        ), names
        assert claims.records(folder)[id]["verdict"] == verdict.verdict


@landed_claim
def test_a_control_that_passes_stops_and_leaves_nothing(id, folder):
    run = recorded(id)
    met = {
        c.quantity
        for c in itertools.chain(*claims.criterion(id))
        if c.met(Summary.of(np.asarray(run["values"][c.quantity], dtype=float)))
    }
    swapped = [
        name for name in REGISTRY[id]["control"]["fails"] if name in met
    ]  # what the data miss, they miss as a control, too
    assert swapped
    for name in swapped:
        with pytest.raises(ControlPassed, match=rf"{id}.*{name}"):
            claims.check(id, **(run | {"control": run["control"] | {name: run["values"][name]}}))
    assert not folder.exists() or not list(folder.iterdir())


def test_a_control_that_fails_by_chance_only_is_no_control():
    """C02, halves_sin: upper end of the interval at most 0.5. A control around it with a wide
    interval is unclear.
    """
    around = {"relative_deviation": [1.0] * 5, "halves_sin": [0.1, 0.9, 0.2, 0.8, 0.6]}
    with pytest.raises(ControlPassed):
        check("C02", control=around)


def test_not_as_expected_is_a_verdict_and_no_exception(folder):
    verdict = check("C02", values=constants("C02", controlled={"sin_to_pca"}))
    assert verdict.verdict == "not reproduced" and not verdict.record["as_expected"]
    assert str(verdict) == "C02: not reproduced (expected: reproduced); the control fails"
    (missed,) = (line for line in verdict.record["conditions"] if not line["met"])
    assert "sin_to_pca" in missed["condition"] and missed["primary"]


def test_an_expected_failure_is_as_expected(monkeypatch):
    other = REGISTRY | {"C02": REGISTRY["C02"] | {"expected": "not reproduced"}}
    monkeypatch.setattr(claims, "registry", lambda: other)
    verdict = check("C02", values=constants("C02", controlled={"sin_to_pca"}))
    assert (
        verdict.record["as_expected"] and str(verdict) == "C02: not reproduced; the control fails"
    )
    assert not check("C02").record["as_expected"], "an unexpected success is unexpected, too"


def test_a_missed_secondary_condition_is_a_deviation(monkeypatch):
    primary = REGISTRY["C02"]["criterion"]["quick"]["primary"]
    secondary = [line for line in primary if line["quantity"] == "sin_to_pca"]
    criterion = {
        "quick": {
            "primary": [line for line in primary if line not in secondary],
            "secondary": secondary,
        }
    }
    monkeypatch.setattr(
        claims, "registry", lambda: REGISTRY | {"C02": REGISTRY["C02"] | {"criterion": criterion}}
    )
    assert check("C02").verdict == "reproduced"
    verdict = check("C02", values=constants("C02", controlled={"sin_to_pca"}))
    assert verdict.verdict == "with deviation" and not verdict.record["conditions"][-1]["primary"]


def test_the_record_says_what_was_measured(folder):
    values = constants("C02") | {"sin_to_pca": [0.01, 0.02, 0.03, 0.04, 0.05]}
    record = check("C02", values=values, seeds=[3, 1, 4, 15, 9], parameters={"n": 48}).record
    assert record == json.loads((folder / "C02.json").read_text())
    assert record["values"]["sin_to_pca"]["per_seed"] == [0.01, 0.02, 0.03, 0.04, 0.05]
    assert abs(record["values"]["sin_to_pca"]["mean"] - 0.03) < 1e-12 and record["seeds"] == [
        3,
        1,
        4,
        15,
        9,
    ]
    assert (
        record["more"] == {"parameters": {"n": 48}}
        and record["versions"]["torch"]
        and record["cpu_seconds"] > 0
    )
    with_control = [
        line["condition"] for line in record["conditions"] if line["control"] is not None
    ]
    assert len(with_control) == 2 and all(
        "relative_deviation" in c or "halves_sin" in c for c in with_control
    )


def test_the_verdict_shows_itself_and_escapes():
    page = check("C02")._repr_html_()
    assert 'class="molrg-verdict" tabindex="0"' in page and page.count("<tr>") == 1 + len(
        claims.criterion("C02")[0]
    )
    assert "color:" not in page.replace("var(--pst-color", "")
    record = check("C02").record
    record["conditions"][0]["condition"] = "<script>"
    shown = claims.Verdict(record)._repr_html_()
    assert "&lt;script&gt;" in shown
    assert "<script>" not in shown


def test_a_figure_is_kept_with_its_hash(folder):
    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().plot([0, 1])
    kept = check("C02", figure=figure).record["figure"]
    assert hashlib.sha256((folder / kept["file"]).read_bytes()).hexdigest() == kept["sha256"]
    assert sorted(p.name for p in folder.iterdir()) == ["C02.json", "C02.svg"]


def test_without_a_figure_none_of_an_earlier_run_stays(folder):
    check("C02", figure=Whole())
    assert check("C02").record["figure"] is None
    assert [path.name for path in folder.iterdir()] == ["C02.json"]


class Torn:
    """A figure that fails half-way through its file."""

    def savefig(self, path, **_):
        path.write_text("<svg")
        raise OSError("no space left on device")


class Whole:
    def savefig(self, path, **_):
        path.write_text("<svg/>")


@pytest.mark.parametrize(
    "bad",
    [
        {"figure": Torn()},
        {"figure": Whole(), "more": {1, 2}},
        {"figure": Whole(), "more": math.nan},
    ],
    ids=["figure", "set", "nan"],
)
def test_what_cannot_be_written_leaves_the_old_record_whole(folder, bad):
    check("C02", figure=Whole())
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    class Other(Whole):
        def savefig(self, path, **_):
            path.write_text("<svg>another</svg>")

    bad = bad | ({"figure": Other()} if isinstance(bad["figure"], Whole) else {})
    with pytest.raises((OSError, TypeError, ValueError)):
        check("C02", **bad)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("MOLRG_RECORDS", str(blocked / "records"))
    with pytest.raises(OSError, match="file"):
        check("C02")


# bad input


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"id": "C99"}, "id"),
        ({"id": "c02"}, "id"),
        ({"profile": "fast"}, "profile"),
        ({"seeds": [0, 1, 2, 3]}, "seeds"),
        ({"seeds": [0, 1, 2, 3, 3]}, "seeds"),
        ({"values": {}}, "values quantities"),
        ({"values": constants("C02") | {"another": [1.0] * 5}}, "values quantities"),
        ({"values": constants("C02") | {"sin_to_pca": [0.0] * 4}}, "values['sin_to_pca']"),
        ({"values": constants("C02") | {"sin_to_pca": 0.0}}, "values['sin_to_pca']"),
        ({"values": constants("C02") | {"sin_to_pca": [[0.0]] * 5}}, "values['sin_to_pca']"),
        (
            {"values": constants("C02") | {"sin_to_pca": [math.nan] + [0.0] * 4}},
            "values['sin_to_pca']",
        ),
        (
            {"values": constants("C02") | {"sin_to_pca": [-math.inf] + [0.0] * 4}},
            "values['sin_to_pca']",
        ),
        ({"control": {}}, "control quantities"),
        ({"control": {"relative_deviation": [1.0] * 5}}, "control quantities"),
        (
            {"control": {"relative_deviation": [1.0] * 5, "halves_sin": [math.nan] * 5}},
            "control['halves_sin']",
        ),
    ],
)
def test_bad_input(changed, name, folder):
    with complains(name):
        claims.check(**(arguments("C02") | changed))
    assert not folder.exists()


def test_a_claim_that_has_not_landed_is_not_checked(monkeypatch):
    monkeypatch.setattr(claims, "claim", lambda id: REGISTRY[id] | {"status": "planned"})
    with complains("status of C02"):
        claims.check("C02", values={}, control={}, seeds=[])


def test_ten_seeds_where_the_claim_asks_for_them():
    assert REGISTRY["C05"]["min_seeds"] == 10
    five = {
        side: {k: v[:5] for k, v in arguments("C05")[side].items()}
        for side in ("values", "control")
    }
    with complains("seeds"):
        claims.check("C05", **five, seeds=range(5))


@pytest.mark.parametrize(
    "broken",
    [
        {"verdict": "perfect"},
        {"seeds": [1, 1]},
        {"seeds": []},
        {"commit": None},
        {"extra": 1},
        {"conditions": []},
        {"figure": {"file": "a.svg", "sha256": "0"}},
        {"id": "X1"},
        {"as_expected": "yes"},
        {"cpu_seconds": -1},
        {"values": {"a": {"mean": 1}}},
    ],
    ids=lambda broken: next(iter(broken)),
)
def test_the_schema_refuses(broken):
    record = check("C02").record
    jsonschema.validate(record, claims.record_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(record | broken, claims.record_schema())


def test_the_schema_asks_for_every_field():
    record = check("C02").record
    assert set(claims.record_schema()["required"]) == set(record)


def test_root_is_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (claims.root() / "book" / "claims.yml").is_file()


def test_seeds_count_from_their_offset():
    assert claims.seeds(5) == [0, 1, 2, 3, 4] and claims.seeds(3, 10) == [10, 11, 12]
    assert (
        claims.seeds(5, 2, "paper") == list(range(2, 22))
        and len(claims.seeds(30, 0, "paper")) == 30
    )


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ((0,), "count"),
        ((5, -1), "offset"),
        ((5, 0, "fast"), "profile"),
        ((2.5,), "count"),
        ((5, 0.5), "offset"),
    ],
)
def test_improper_seeds(given, name):
    with complains(name):
        claims.seeds(*given)
