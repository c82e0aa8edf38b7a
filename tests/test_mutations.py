"""Contract: for each claim its formula was mutated, and a test failed for every mutant."""

from __future__ import annotations

from pathlib import Path

import mutations
import pytest
import yaml

from molrg.companion import mutations as page

ROOT = Path(__file__).resolve().parents[1]
ROWS = mutations.read_results()
MUTATED = sorted({row["claim"] for row in ROWS})  # `make mutate` goes through the others, too


def test_targets_are_for_every_claim():
    entries = yaml.safe_load((ROOT / "book" / "claims.yml").read_text())["claims"]
    assert mutations.claims() == sorted(entries)
    assert mutations.claims()[: len(MUTATED)] == MUTATED


@pytest.mark.parametrize("claim", MUTATED)
def test_at_least_three_mutants_of_a_claim_are_caught(claim):
    caught = [row for row in ROWS if row["claim"] == claim and row["caught"]]
    assert len(caught) >= 3, "run `make mutate`"


@pytest.mark.parametrize("claim", MUTATED)
def test_the_mutants_are_those_of_the_functions_as_they_are(claim):
    kept = {(*mutations._key(row), row["fingerprint"]) for row in ROWS if row["claim"] == claim}
    now = {(*m.key(), mutations.fingerprint(m)) for m in mutations.chosen(claim)}
    assert kept == now, "run `make mutate`"


def test_none_survives():
    survivors = [row["after"] for row in ROWS if not row["caught"] and not row["equivalent"]]
    assert not survivors


def test_the_tests_that_caught_them_are_there():
    for row in ROWS:
        path = row["caught"].partition("::")[0]
        assert row["equivalent"] or path.startswith("stopped") or (ROOT / path).is_file(), row


@pytest.mark.parametrize(
    ("code", "kinds"),
    [
        ("a + b.T", {"+ and -", "transpose dropped"}),
        ("2 * math.sqrt(x)", {"* and /", "factor dropped", "constant", "sqrt dropped"}),
        ("x[0] < 3", {"comparison", "index off by one"}),
        ("-x.max(1)", {"sign", "max swapped"}),
        ("f'{a + b}'", set()),
        ("torch.sum(x, -1)", set()),
    ],
)
def test_kinds_of_change(code, kinds, tmp_path, monkeypatch):
    (tmp_path / "module.py").write_text(f"def f(x):\n    '''Words.'''\n    return {code}\n")
    monkeypatch.setattr(mutations, "ROOT", tmp_path)
    found = mutations.mutants(mutations.Target("C01", "module.py", ("f",), ()))
    assert {m.kind for m in found} >= kinds
    for mutant in found:
        compile(mutant.source, "module.py", "exec")
        assert mutant.after != mutant.before
        assert mutant.source.count("\n") == 3
    assert bool(found) == bool(kinds) or code.startswith("torch")


def test_a_check_is_no_formula(tmp_path, monkeypatch):
    code = "def f(x):\n    if x < 0:\n        raise ValueError(f'{x - 1}')\n    return x\n"
    (tmp_path / "module.py").write_text(code)
    monkeypatch.setattr(mutations, "ROOT", tmp_path)
    assert not mutations.mutants(mutations.Target("C01", "module.py", ("f",), ()))


def test_a_mutant_is_imported_in_place_of_the_module():
    mutant = mutations.chosen("C02")[0]
    planted = mutations.Planted(mutant)
    assert planted.find_spec("molrg.studies.curves") is None
    spec = planted.find_spec("molrg.studies.identities")
    assert spec.origin == str(ROOT / mutant.file)
    assert spec.loader.get_data(spec.origin).decode() == mutant.source


def test_the_page_says_what_failed():
    rows = [
        {
            "claim": "C01",
            "function": "f",
            "before": "a | b",
            "after": "a",
            "caught": "",
            "equivalent": "",
        },
        {
            "claim": "C01",
            "function": "f",
            "before": "a",
            "after": "b",
            "caught": "tests/x.py::t",
            "equivalent": "",
        },
        {
            "claim": "C02",
            "function": "g",
            "before": "a",
            "after": "+a",
            "caught": "",
            "equivalent": "the same",
        },
    ]
    text = page.markdown(rows)
    assert "Of 2 changes a test caught 1. 1 more" in text
    assert "`a \\| b` | `a` | none: it survived" in text
    assert "`x.py::t`" in text and "none can: the same" in text
    assert text.count("{dropdown}") == 2
