"""Benchmarks: times count only where results agree; the page is made from the run that is kept."""

from __future__ import annotations

import copy
import dataclasses
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


def test_the_other_librarys_loss_is_ours_with_its_weighting(measuring):
    import denoising_diffusion

    from molrg import training
    from molrg.schedules import DDPM

    generator = torch.Generator().manual_seed(0)
    x0, noise = torch.randn(2, 5, 1, 4, 4, generator=generator)
    t = torch.linspace(0, 1, 5)
    denoiser = denoising_diffusion.Denoiser(HalfOfIt())
    s, gamma = DDPM().at(t, x0)
    errors = 0.5 * (s * x0 + gamma * noise) - (s * noise - gamma * x0)
    theirs = (errors.square().mean((1, 2, 3)) * DDPM().alpha_bar[DDPM().step(t)]).mean()
    weighting = training.output_weighting("eps", DDPM())
    ours = training.loss(
        denoiser, x0, t, noise=noise, weighting=lambda time: weighting(time) / x0[0].numel()
    )
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-4)


class HalfOfIt(torch.nn.Module):
    def forward(self, x, time):
        assert time.shape == x.shape[:1] and not time.is_floating_point()
        return x / 2


def test_the_other_library_is_left_out_by_name(measuring, monkeypatch):
    import denoising_diffusion

    monkeypatch.setattr(denoising_diffusion, "installed", lambda: False)
    (missing,) = denoising_diffusion.left_out()
    assert denoising_diffusion.version() == {} and missing["name"] == denoising_diffusion.NAME
    page = speed.markdown(kept() | {"left_out": [missing]})
    assert "library's U-Net: left out, as denoising-diffusion-pytorch was not installed." in page
    monkeypatch.setattr(denoising_diffusion, "installed", lambda: True)
    assert denoising_diffusion.left_out() == []


def test_two_libraries_train_one_network_to_the_same_losses(measuring):
    pytest.importorskip("denoising_diffusion_pytorch", reason="of the extra bench")
    import denoising_diffusion

    row = measuring.compare(denoising_diffusion.comparison(steps=2))
    assert row.apart <= 1e-5


def test_notebooks_of_both_ways_have_the_same_values(measuring, monkeypatch):
    import whole_run

    spent = 60.0, 80.0
    monkeypatch.setattr(whole_run, "_both", lambda which, jobs: (*spent, True))
    (row,) = whole_run.rows()
    assert row.note == "time on the clock, not of the processor"
    written = {"comparisons": [dataclasses.asdict(row)]}
    assert "<td>60\N{NO-BREAK SPACE}s</td>" in speed.markdown(kept() | written)
    assert "apart 0<" in speed.markdown(kept() | written)
    monkeypatch.setattr(whole_run, "_both", lambda which, jobs: (*spent, False))
    with pytest.raises(measuring.Differ, match=r"run of notebooks, .*: values differ"):
        list(whole_run.rows())


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
        most = 0.1 if "exact values are not known" in row["note"] else 0.01
        assert row["other"] is None or row["apart"] <= most, row
    assert len(run["growth"]) >= 5
    assert run["commit"] and run["versions"]["torch"]


def test_the_page_has_a_row_for_each_comparison():
    run = kept()
    page = speed.markdown(run)
    names = {row["name"] for row in run["comparisons"]}
    assert page.count('<th scope="row">') == len(run["comparisons"]) + len(run["growth"])
    assert page.count('<th scope="rowgroup"') == len(names)
    row = run["comparisons"][0]
    changed = copy.deepcopy(run)
    changed["comparisons"][0]["other"]["seconds"] = 7 * row["ours"]["seconds"]
    assert "<strong>7</strong>" in speed.markdown(changed)
    changed["comparisons"][0]["size"] = "<b>"
    assert "&lt;b&gt;" in speed.markdown(changed)


@pytest.mark.parametrize("text", [None, "{"])
def test_a_missing_or_torn_run_is_named(tmp_path, text):
    file = tmp_path / "benchmarks.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ValueError, match=rf"{file} = .*: allowed is what `make bench` writes"):
        speed.read(file)
    file.write_text(json.dumps({"a": 1}))
    assert speed.read(file) == {"a": 1}
