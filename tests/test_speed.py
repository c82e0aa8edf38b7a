"""Benchmarks: times count only where results agree; the page is made from the run that is kept."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from projects import ROOT

from molrg.companion import speed


@pytest.fixture
def measuring(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import measuring

    return measuring


def work(*values: float):
    return lambda: lambda: torch.tensor(values)


def test_a_time_counts_only_where_both_ways_agree(measuring):
    same = measuring.Comparison("sum", "two", work(1.0, 2.0), work(1.0), "a loop", 1e-6, 0.5)
    row = measuring.compare(same)
    assert row.apart == 0 and row.ours.seconds >= 0 and row.other is not None
    other = measuring.Comparison("sum", "two", work(1.0, 2.0), work(1.1, 2.0), "a loop", 1e-3)
    with pytest.raises(measuring.Differ, match=r"sum, two: apart = 0\.05: allowed is 0\.001"):
        measuring.compare(other)
    unknown = measuring.Comparison("sum", "two", work(float("nan")), work(1.0), "a loop", 1e-3)
    with pytest.raises(measuring.Differ, match="apart = nan"):
        measuring.compare(unknown)


def test_time_of_a_part_stands_for_the_whole(measuring, monkeypatch):
    monkeypatch.setattr(
        measuring,
        "measured",
        lambda prepare, repeats: (measuring.Cost(2.0, 1.0), prepare()().numpy()),
    )
    part = measuring.Comparison("sum", "two", work(1.0, 2.0), work(1.0), "a loop", 1e-6, part=0.25)
    assert measuring.compare(part).other == measuring.Cost(8.0, 1.0)


def test_a_process_without_an_answer_is_noticed(measuring):
    def dies():
        raise SystemExit(3)

    with pytest.raises(RuntimeError, match="ended without an answer"):
        measuring.measured(dies)


def test_work_that_grows_with_the_square_has_the_exponent_two(measuring, monkeypatch):
    import growth

    seconds = lambda prepare: (measuring.Cost(3e-6 * prepare**2, 0.0), None)
    monkeypatch.setattr(growth, "measured", seconds)
    found = growth.fitted("a matrix", "rows", [10, 20, 40], 2, lambda size: size)
    assert found.exponent == pytest.approx(2) and found.sizes == [10, 20, 40]


def kept() -> dict:
    return speed.read(ROOT / speed.FILE)


def test_the_kept_run_is_whole():
    run = kept()
    names = {row["name"] for row in run["comparisons"]}
    assert {
        "exact denoiser of a mixture",
        "belief propagation",
        "sweep over a diagram",
        "training of a U-Net",
        "all singular values",
        "ten largest singular values",
    } <= names
    for row in run["comparisons"]:
        assert row["ours"]["seconds"] > 0
        assert row["other"] is None or row["apart"] <= 0.01, row
    assert len(run["growth"]) >= 5
    assert run["commit"] and run["versions"]["torch"]


def test_the_page_has_a_row_for_each_comparison():
    run = kept()
    page = speed.markdown(run)
    assert page.count("\n| ") == len(run["comparisons"]) + len(run["growth"]) + 4
    row = run["comparisons"][0]
    changed = copy.deepcopy(run)
    changed["comparisons"][0]["other"]["seconds"] = 7 * row["ours"]["seconds"]
    assert "**7**" in speed.markdown(changed)


@pytest.mark.parametrize("text", [None, "{"])
def test_a_missing_or_torn_run_is_named(tmp_path, text):
    file = tmp_path / "benchmarks.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ValueError, match=rf"{file} = .*: allowed is what `make bench` writes"):
        speed.read(file)
    file.write_text(json.dumps({"a": 1}))
    assert speed.read(file) == {"a": 1}
