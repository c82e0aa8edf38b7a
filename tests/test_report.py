"""A report on a model: whole on a tiny one, resumed, within its minutes, safe with odd names."""

from __future__ import annotations

import base64
import html
import json
import re
import subprocess
import sys
import time
import tomllib
from html.parser import HTMLParser

import faults
import pandas as pd
import projects
import pytest
import torch
from factories import complains, normal
from PIL import Image
from rich.console import Console

from molrg import __main__ as command
from molrg.companion import asked, report
from molrg.companion.report import (
    comparing,
    cost,
    drawings,
    findings,
    inputs,
    jacobian_sections,
    levels,
    measured,
    measuring,
    memory,
    page,
    pictures,
    plan,
    reference_findings,
    section,
    sections,
    steps,
    store,
)

ODD = 'm<img src=x onerror="alert(1)">&'


def network_folder(path, channels=1):
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = UNet2DModel(
            sample_size=8,
            in_channels=channels,
            out_channels=channels,
            layers_per_block=1,
            block_out_channels=(8, 8),
            norm_num_groups=4,
            down_block_types=("DownBlock2D",) * 2,
            up_block_types=("UpBlock2D",) * 2,
            add_attention=False,
        )
    DDPMPipeline(network, DDPMScheduler()).save_pretrained(path)
    return path


def picture_folder(path, count=90, side=8):
    path.mkdir()
    factors = normal(count, 4, dtype=torch.float32)
    axes = normal(4, side * side, seed=9, dtype=torch.float32) / 8
    x = (factors @ axes).reshape(count, side, side).clamp(-1, 1)
    for number, image in enumerate(x):
        levels = ((image + 1) * 127.5).round().byte().numpy()
        Image.fromarray(levels).save(path / f"{number:04}.png")
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(network_folder(tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return str(picture_folder(tmp_path_factory.mktemp("data") / "pictures"))


def shrink(patch):
    """Few noise levels, images, samples and strips, so that a report takes seconds."""
    patch.setattr(plan, "SIGMAS", (0.1, 1.0))
    patch.setattr(plan, "_SAMPLES", 16)
    patch.setattr(plan, "_STRIPS", 1)
    patch.setattr(inputs, "_POINTS", 4)


@pytest.fixture(autouse=True)
def few(monkeypatch):
    shrink(monkeypatch)


def written(model, data, out, beside=None, **chosen):
    silent = Console(file=None, quiet=True)
    options = report.Options(**chosen)
    return report.write(model, data, out, options, beside=beside, console=silent)


class Seen(HTMLParser):
    """Tags of a page with their attributes."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, model, data):
    """A whole report: its page as text, and its JSON."""
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        out = tmp_path_factory.mktemp("out") / "tiny.html"
        shown, numbers = written(model, data, out, minutes=5)
    return shown.read_text(encoding="utf-8"), json.loads(numbers.read_text(encoding="utf-8"))


def test_a_report_has_every_part(whole):
    text, record = whole
    assert record["version"] == 2
    assert record["left_out"] == []
    names = {"images", "references", "copies", "strip-1"}
    several = {f"{kind}-{sigma}" for kind in ("dimension", "spectrum") for sigma in ("0.1", "1")}
    assert set(record["parts"]) == names | several
    titles = re.findall("<h2.*?>(.*?)</h2>", text)
    assert titles == [
        "In short",
        "Dimension",
        "Rank of the Jacobian",
        "Is it the best denoiser of any data?",
        "Nearest reference",
        "Denoising error",
        "Copies among samples",
        "Edits",
        "All noise levels",
        "What was left out",
        "How it was measured",
    ]


def test_the_page_needs_nothing_else(whole):
    """Every picture is in it and described; nothing is loaded from elsewhere, nothing runs."""
    seen = Seen(whole[0])
    pictures_shown = seen.all("img")
    assert len(pictures_shown) == 8
    assert all(picture["src"].startswith("data:image/") for picture in pictures_shown)
    assert all(len(picture["alt"]) > 20 for picture in pictures_shown)
    assert not [tag for tag, _ in seen.tags if tag in ("script", "link", "iframe")]
    dark = [source for source in seen.all("source") if "dark" in source["media"]]
    assert len(dark) == 5
    places = {tag["id"] for _, tag in seen.tags if "id" in tag}
    links = [link["href"] for link in seen.all("a")]
    inside = [link for link in links if link.startswith("#")]
    assert len(inside) == 7
    assert {link.removeprefix("#") for link in inside} <= places
    assert sum(link.startswith(page.BOOK) for link in links) == len(links) - len(inside) == 7


def test_links_lead_to_chapters_that_exist(whole):
    from molrg import claims

    links = [link["href"] for link in Seen(whole[0]).all("a")]
    chapters = [link.removeprefix(page.BOOK) for link in links if not link.startswith("#")]
    assert chapters
    assert all((claims.root() / chapter).is_file() for chapter in chapters)


def test_chapters_are_at_the_address_that_the_project_declares():
    """A documentation address, once there is one, would be the better place."""
    from molrg import claims

    declared = tomllib.loads((claims.root() / "pyproject.toml").read_text())["project"]["urls"]
    assert f"{declared['Repository']}/blob/main/" == page.BOOK
    assert not {"Documentation", "Homepage"} & set(declared)


def test_the_table_of_noise_levels_is_that_of_the_parts(whole):
    record = whole[1]
    table = pd.DataFrame(record["levels"])
    assert list(table) == list(levels.KEYS)
    assert table["sigma"].tolist() == [0.1, 1.0]
    parts = record["parts"]
    assert table["trace"][1] == parts["dimension-1"]["trace"]["mean"]
    ranks = [row["rank"] for row in parts["spectrum-1"]["network"]]
    assert table["rank"][1] == sum(ranks) / len(ranks)
    assert table["nearest"].tolist() == [row["reference"] for row in parts["references"]["nearest"]]
    own = [row for row in parts["references"]["errors"] if row["denoiser"] == "the network"]
    assert table["error"].tolist() == [row["error"] for row in own]


def test_the_band_of_the_images_is_inside_the_figure(monkeypatch):
    """A network that keeps all directions lies far above the dimension of its images."""
    shown = []
    monkeypatch.setattr(drawings, "_label_plainly", lambda ax: shown.append(ax.get_ylim()))
    reading = {"mean": 64.0, "low": 60.0, "high": 70.0}
    part = {"sigma": 0.1, "trace": reading, "error": reading}
    drawings.dimension([part], {"low": 3.0, "high": 5.0})
    assert shown[0][0] < 3.0
    assert shown[0][1] > 64.0


def test_two_models_side_by_side(whole, model, data, tmp_path):
    other = tmp_path / "other.json"
    other.write_text(json.dumps(whole[1] | {"model": ODD}))
    out = tmp_path / "r.html"
    written(model, data, out, beside=other, minutes=0.01, pictures=False)
    text = out.read_text(encoding="utf-8")
    assert "OTHER training images" not in text
    assert text.count("&lt;img src=x") == 4  # short and in full above the table, and in two rows
    assert f"<li>tiny: {html.escape(model)}, with the images from {html.escape(data)}</li>" in text
    assert "<img src=x" not in text
    other.write_text(json.dumps(whole[1] | {"images_digest": "0"}))
    written(model, data, out, beside=other, minutes=0.01, pictures=False)
    assert '<p class="warning">The two reports have OTHER training images' in out.read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize(
    "change", [{"version": 1}, {"levels": [{"sigma": 1}]}, {"levels": 3}, {"levels": [None]}]
)
def test_what_is_no_report_is_refused_beside_one(whole, model, data, tmp_path, change):
    other = tmp_path / "other.json"
    other.write_text(json.dumps(whole[1] | change))
    with complains("beside"):
        written(model, data, tmp_path / "r.html", beside=other)


def test_words_where_a_report_has_numbers_are_refused(whole, model, data, tmp_path):
    other = tmp_path / "other.json"
    spoilt = [row | {"rank": "<b>"} for row in whole[1]["levels"]]
    other.write_text(json.dumps(whole[1] | {"levels": spoilt}))
    with pytest.raises(ValueError, match="rank = '<b>': allowed is a number"):
        written(model, data, tmp_path / "r.html", beside=other)
    other.write_text(json.dumps(whole[1] | {"levels": [row | {"tied": 3} for row in spoilt]}))
    with pytest.raises(ValueError, match="allowed is a number"):
        written(model, data, tmp_path / "r.html", beside=other)


def reading(sigma, mean, low):
    return {"sigma": sigma, "trace": {"mean": mean, "low": low, "high": mean + 1}}


def test_a_trace_whose_interval_includes_zero_is_no_count():
    parts = [reading(0.1, 72.0, 60.0), reading(0.5, 15.0, 8.0), reading(1.0, 4.7, -3.2)]
    text = findings.dimension([*parts, reading(5.0, -7.0, -16.0)], None)
    assert text == (
        "At noise level 0.1 the network follows about 72 directions. At 0.5 it follows 15."
        " The trace is no count of directions at 1 and 5: its interval includes zero or less."
    )
    assert "no count of directions at any noise level" in findings.dimension(parts[2:], None)
    assert "no count" not in findings.dimension(parts[:2], None)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(4, 5, "more than"), (70, 90, "about as many"), (80, 90, "fewer than")],
)
def test_directions_at_low_noise_are_compared_with_the_images(low, high, verdict):
    images = {"low": low, "high": high, "n": 256}
    text = findings.dimension([reading(0.1, 72.0, 60.0)], images)
    assert f"the network follows about 72 directions, {verdict}" in text
    assert ("This is expected" in text) == (verdict == "more than")


def ranked(sigma, own, gaussian):
    rows = [{"rank": value, "share": value / 256} for value in own]
    return {"sigma": sigma, "network": rows, "references": {"one Gaussian": gaussian}}


def test_a_rank_is_low_where_it_is_below_that_of_one_gaussian():
    high = [ranked(0.1, (150, 140), 105), ranked(0.5, (138, 138), 53)]
    assert findings.rank(high) == (
        "Not low: at every noise level as high as that of one Gaussian or higher, 138 of 256 at"
        " noise level 0.5 against 53. Mean of 2 images."
    )
    low = findings.rank([*high, ranked(1, (20,), 33)])
    assert low.startswith("Low at 1: below that of one Gaussian, 20 of 256 against 33")
    assert low.endswith("At one image.")


def test_edits_have_a_finding_without_meaningless_decimals(whole):
    part = {"sigma": 1.0, "values": [1.929, 1.5, 1.1], "error": 1.1e-7, "picture": ""}
    text = findings.edits([part, part | {"values": [1.2, 1, 1]}])
    assert "comes out 1.2 to 1.9 times as long, in 2 images" in text
    assert "squared error" not in sections._strip(part, 0).caption
    assert "squared error of 0.02" in sections._strip(part | {"error": 0.02}, 0).caption


def test_in_how_many_images_the_trace_is_negative():
    parts = [
        {"sigma": sigma, "network": [{"trace": trace, "asymmetry": 0.2} for trace in traces]}
        for sigma, traces in ((0.5, (9, 3, 1)), (1, (-1, -2, 9)), (5, (-1, 5, -3)))
    ]
    assert jacobian_sections.asymmetry(parts).lines == (
        "The trace is negative, which no posterior mean allows, in 2 of 3 images at noise level 1"
        " and 5.",
    )


def test_references_that_have_seen_the_answers_are_not_counted():
    values = {"the network": (1, 1, 9), "one Gaussian": (2, 2, 1), "mixture": (0, 2, 1)}
    values |= {"training images": (0, 0, 0), "windows of 5 x 5": (0, 0, 0)}
    rows = [
        {"sigma": sigma, "denoiser": name, "error": error}
        for name, errors in values.items()
        for sigma, error in zip((0.1, 0.5, 1), errors, strict=True)
    ]
    assert reference_findings.errors(rows, unseen=False) == (
        "On training images: better than one Gaussian at 2 of 3 noise levels (0.1 and 0.5), than"
        " the mixture at 1 of 3 (0.5). Windows and training images have seen the answers and are"
        " not counted."
    )
    unseen = reference_findings.errors(rows, unseen=True)
    assert "than the training images and windows of 5 x 5 at 0 of 3" in unseen
    assert "not counted" not in unseen


def test_ties_and_distant_references_are_no_winners():
    rows = [
        {"sigma": sigma, "reference": "mixture", "tied": tied}
        for sigma, tied in ((0.1, ["windows"]), (0.5, []), (1, []), (5, ["windows"]))
    ]
    distances = [
        {"sigma": sigma, "reference": "mixture", "distance": distance}
        for sigma, distance in ((0.1, 0.01), (0.5, 0.1), (1, 0.2), (5, 0.82))
    ]
    assert reference_findings.nearest(rows, distances) == (
        "No reference is clearly nearest at 0.1; nearest at 0.5 and 1: mixture; at 5 none is near"
        " (0.82)."
    )


def test_a_reference_is_tied_unless_it_is_clearly_further():
    near = normal(32, seed=1).abs() + 1
    table = pd.concat(
        pd.DataFrame({"sigma": 1.0, "reference": name, "distance": distance.numpy()})
        for name, distance in (("a", near), ("b", 1.05 * near), ("c", 1.3 * near))
    )
    assert comparing._tied(table, 1.0, "a", 0) == ["b"]


def test_the_page_says_how_it_was_measured(whole):
    text, record = whole
    for words in ("images; trace at 4 of them", "steps of DDIM", "predicts the noise", "DDPM of"):
        assert words in text
    assert "--minutes 5 --seed 0 --device cpu" in record["options"]["command"]
    assert record["settings"]["copies"] == {"samples": 16, "pictures": 1}


def test_numbers_are_those_of_the_studies(whole, model, data):
    """The network's rank, against the matrix itself."""
    from molrg import jacobian
    from molrg.studies import jacobian_rank

    read = inputs.read(model, data, device="cpu", size=None, seed=0)
    row = whole[1]["parts"]["spectrum-1"]
    x_t = jacobian_rank.noised(read.denoiser.schedule, read.points[:1], row["t"], 0)
    J = jacobian.dense(read.denoiser, x_t, row["t"])[0].double()
    assert row["network"][0]["rank"] == int(jacobian_rank.matrix_rank(J))
    assert row["network"][0]["trace"] == pytest.approx(float(J.trace()), rel=1e-4)


def test_a_report_that_was_stopped_goes_on(model, data, tmp_path, monkeypatch):
    out = tmp_path / "r.html"
    real = pictures.copies

    def stopped(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(pictures, "copies", stopped)
    with pytest.raises(KeyboardInterrupt):
        written(model, data, out, minutes=5, pictures=False)
    kept = {path.stem for path in (tmp_path / "r.parts").iterdir()}
    assert kept == {".lock", "plan", "images", "dimension-0.1", "dimension-1", "references"}
    assert not out.exists()

    def again(*args, **kwargs):
        raise AssertionError("measured twice")

    monkeypatch.setattr(pictures, "copies", real)
    monkeypatch.setattr(comparing, "image_dimension", again)
    monkeypatch.setattr(comparing, "nearest_reference", again)
    monkeypatch.setattr(cost, "measure", again)
    written(model, data, out, minutes=5, pictures=False)
    parts = json.loads(out.with_suffix(".json").read_text())["parts"]
    assert {"images", "references", "copies"} <= set(parts)


@pytest.mark.fault(
    "two runs at once",
    "a report while another process writes one to the same file",
    "refused in one line that names the file, before anything is measured",
)
def test_two_reports_to_one_file(model, data, tmp_path, capsys):
    out = tmp_path / "r.html"
    words = ["report", model, "--images", data, "--out", str(out), "--minutes", "0.01"]
    with store.Store(out.with_suffix(".parts"), "another").alone():
        assert command.main(words) == 2
        error = capsys.readouterr().err
        assert faults.one_sentence(error, f"error: out = {out}, which another report is writing")
        assert {path.name for path in (tmp_path / "r.parts").iterdir()} == {".lock"}
    assert command.main(words) == 0
    assert out.is_file()


@pytest.mark.fault(
    "full disk",
    "a part of a report, on a disk that fills up",
    "the folder is named; the parts before it stay whole",
)
def test_a_report_on_a_full_disk(tmp_path):
    script = """
from pathlib import Path
from molrg.companion.report.store import Store
shell("mkdir disk && mount -t tmpfs -o size=64k none disk")
parts = Store(Path("disk/r.parts"), "x")
parts.put("images", {"low": 3}, 1.0, {})
try:
    parts.put("references", {"x": [0.5] * 10**5}, 1.0, {})
except OSError as error:
    tell(error)
tell(parts.get("images")["value"], sorted(path.name for path in parts.folder.iterdir()))
"""
    done = faults.apart(tmp_path, script)
    assert done.returncode == 0, done.stderr
    refused, kept = done.stdout.splitlines()
    assert "No space left on device: 'disk/r.parts'" in refused
    assert kept == "{'low': 3} ['images.json']"


def test_parts_of_another_report_or_torn_ones_are_not_taken(tmp_path):
    first = store.Store(tmp_path, "a")
    first.put("part", {"value": 1}, 2.0, {"images": 3})
    assert first.get("part")["value"] == {"value": 1}
    assert store.Store(tmp_path, "b").get("part") is None
    part = tmp_path / "part.json"
    whole_text = part.read_text()
    for torn in (
        whole_text[:40],
        whole_text.replace('"value": 1', '"value": 2'),
        whole_text.replace("3", "4"),
        "[NaN]",
        "\0",
    ):
        part.write_text(torn)
        assert first.get("part") is None
    with pytest.raises(ValueError, match="not JSON compliant"):
        first.put("part", {"value": float("nan")}, 0.0, {})


@pytest.mark.parametrize("text", ["", "{}", '{"seal": "0", "seconds": 1, "value": {"plan": 1}}'])
def test_a_store_that_was_spoilt_is_measured_again(model, data, tmp_path, text):
    out = tmp_path / "r.html"
    written(model, data, out, minutes=0.01, pictures=False)
    before = json.loads(out.with_suffix(".json").read_text())["parts"]["images"]
    for part in (tmp_path / "r.parts").iterdir():
        part.write_text(text)
    written(model, data, out, minutes=0.01, pictures=False)
    assert json.loads(out.with_suffix(".json").read_text())["parts"]["images"] == before


def test_every_part_was_predicted(whole):
    timing = whole[1]["timing"]
    assert {row["part"] for row in timing} == set(whole[1]["parts"])
    assert all(row["predicted"] > 0 and row["seconds"] > 0 for row in timing)
    assert sum(row["seconds"] for row in timing) == pytest.approx(whole[1]["seconds"])


def test_the_time_of_dimension_and_search_grows_with_the_images(model, tmp_path):
    """Neither was in the plan once, and large sets took longer than they were given."""
    costs = []
    for count in (100, 400):
        folder = picture_folder(tmp_path / str(count), count=count)
        costs.append(cost.measure(inputs.read(model, str(folder), device="cpu", size=None, seed=0)))
    assert costs[1].dimension > costs[0].dimension
    assert costs[1].search > costs[0].search


def test_large_images_are_taken_in_smaller_numbers(model, data, monkeypatch):
    monkeypatch.setattr(inputs, "_NUMBERS", 85 * 64)
    read = inputs.read(model, data, device="cpu", size=None, seed=0)
    assert len(read.training) == 90
    assert len(read.chosen) == 85
    assert any("85 of 90 training images" in note for note in read.notes)


@pytest.mark.filterwarnings("ignore:The `local_dir_use_symlinks`")  # diffusers asks for it
def test_a_model_of_the_hub(data, tmp_path, monkeypatch):
    """In the layout of the hub's cache, as it lies on a disk after a first download."""
    cache = tmp_path / "hub"
    place = cache / "models--owner--tiny"
    commit = "0" * 40
    network_folder(place / "snapshots" / commit)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    out = tmp_path / "r.html"
    written("owner/tiny", data, out, minutes=0.01, pictures=False)
    assert json.loads(out.with_suffix(".json").read_text())["model"] == "owner/tiny"
    with pytest.raises(
        FileNotFoundError, match=r"owner/other: no such folder here, .*hub cannot be reached"
    ):
        written("owner/other", data, out)


def test_without_images_no_picture_is_shown_or_kept(model, data, tmp_path):
    out = tmp_path / "r.html"
    written(model, data, out, minutes=5, pictures=False)
    png = base64.b64encode(b"\x89PNG").decode()[:5]
    for path in [out, out.with_suffix(".json"), *(tmp_path / "r.parts").iterdir()]:
        text = path.read_text(encoding="utf-8")
        assert "image/png" not in text, path.name
        assert png not in text, path.name
    record = json.loads(out.with_suffix(".json").read_text())
    assert record["parts"]["copies"]["ratios"]
    assert any("pictures" in line for line in record["left_out"])


def kept_pictures(folder):
    png = base64.b64encode(b"\x89PNG").decode()[:5]
    return [path for path in folder.rglob("*") if path.is_file() and png in path.read_text()]


def test_without_images_pictures_of_an_earlier_run_are_removed(model, data, tmp_path, capsys):
    """Of this model or another, and those that a killed run left half written."""
    out = tmp_path / "r.html"
    parts = tmp_path / "r.parts"
    written(model, data, out, minutes=5)
    assert {path.name for path in kept_pictures(parts)} == {"copies.json", "strip-1.json"}
    (parts / "strip-9.json").write_text((parts / "strip-1.json").read_text())
    (parts / ".part-x").mkdir()
    (parts / ".part-x" / "strip-2.json").write_text((parts / "strip-1.json").read_text())
    before = json.loads(out.with_suffix(".json").read_text())["parts"]
    words = ["report", model, "--images", data, "--out", str(out), "--no-images"]
    assert command.main([*words, "--minutes", "5"]) == 0
    assert f"removed from {parts}" in capsys.readouterr().out
    assert not kept_pictures(tmp_path)
    after = json.loads(out.with_suffix(".json").read_text())["parts"]
    assert after["copies"] == before["copies"] | {"picture": None, "random": None}
    assert after["references"] == before["references"]


@pytest.mark.fault(
    "time that runs out",
    "a report whose minutes are over before its parts are measured",
    "the parts are named with how to go on; more minutes keep what is there and measure the rest",
)
def test_more_minutes_keep_what_is_there_and_measure_the_rest(
    model, data, tmp_path, capsys, monkeypatch
):
    out = tmp_path / "r.html"
    words = ["report", model, "--images", data, "--out", str(out), "--no-images"]
    real = comparing.image_dimension

    def slow(*args):
        time.sleep(1.5)
        return real(*args)

    monkeypatch.setattr(comparing, "image_dimension", slow)
    assert command.main([*words, "--minutes", "0.02"]) == 0
    *_, last = printed = capsys.readouterr().out.strip().splitlines()
    assert any("left out because the minutes were over:" in line for line in printed)
    assert any(line.strip() == "Jacobian at noise level 1" for line in printed)
    minutes = float(re.search(r"--minutes ([\d.]+) keeps what is there", last)[1])
    assert f"--minutes {minutes:g} keeps" in out.read_text(encoding="utf-8")

    def again(*args):
        raise AssertionError("measured twice")

    monkeypatch.setattr(comparing, "image_dimension", again)
    monkeypatch.setattr(cost, "measure", again)
    for chosen in (5, 0.02):  # and fewer minutes throw nothing away
        assert command.main([*words, "--minutes", str(chosen)]) == 0
        assert "the minutes were over" not in capsys.readouterr().out
        record = json.loads(out.with_suffix(".json").read_text())
        assert {"references", "copies", "spectrum-1", "spectrum-0.1"} <= set(record["parts"])
        names = list(record["parts"])
        assert names.index("images") < names.index("dimension-0.1") < names.index("copies")


def test_what_was_measured_with_far_less_is_measured_again(model, data, tmp_path, monkeypatch):
    out = tmp_path / "r.html"
    monkeypatch.setattr(plan, "_PROBES", 2)
    written(model, data, out, minutes=5, pictures=False)
    monkeypatch.setattr(plan, "_PROBES", 3)
    assert written_settings(model, data, out)["dimension-1"]["probes"] == 2
    monkeypatch.setattr(plan, "_PROBES", 9)
    assert written_settings(model, data, out)["dimension-1"]["probes"] == 9


def written_settings(model, data, out):
    written(model, data, out, minutes=5, pictures=False)
    return json.loads(out.with_suffix(".json").read_text())["settings"]


def test_a_part_that_cannot_be_measured_is_named_and_the_others_are_there(tmp_path):
    def refuses():
        raise ValueError("x = nan: allowed is a finite tensor")

    def works():
        return {"N": 3}

    parts = [
        steps.Step("references", "references", refuses, {}, 1.0),
        steps.Step("images", "images", works, {}, 1.0),
    ]
    told, silent = measured.Measured(), Console(quiet=True)
    measuring.measure(parts, told, store.Store(tmp_path, "print"), 60.0, silent)
    assert told.parts == {"images": {"N": 3}}
    assert told.left_out == [
        "distances to references, and denoising errors: x = nan: allowed is a finite tensor"
    ]
    assert not told.unfinished, "more minutes would not help"


def test_what_the_minutes_do_not_allow_is_named(model, data, tmp_path, monkeypatch):
    """A network of which every product takes half a minute."""
    slow = cost.Cost(10.0, 30.0, 60.0, window=1.0, law=1.0, fit=1.0, dimension=1, search=1, bytes=1)
    monkeypatch.setattr(cost, "measure", lambda read: slow)
    out = tmp_path / "r.html"
    written(model, data, out, minutes=1)
    record = json.loads(out.with_suffix(".json").read_text())
    assert set(record["parts"]) == {"images"}
    assert not record["plan"]["dense"]
    left = " ".join(record["left_out"])
    names = (
        "rank of the",
        "strips",
        "distances to",
        "copies",
        "from the denoiser at noise level 0.1",
    )
    for name in names:
        assert name in left
    assert "What was left out" in out.read_text(encoding="utf-8")


def test_leading_values_where_the_matrix_is_too_large(model, data, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "DENSE", 10)
    out = tmp_path / "r.html"
    written(model, data, out, minutes=5, pictures=False)
    part = json.loads(out.with_suffix(".json").read_text())["parts"]["spectrum-1"]
    assert all(len(values) == plan.LEADING for values in part["leading"])
    assert "Largest singular values" in out.read_text(encoding="utf-8")


@pytest.mark.fault(
    "hostile names and texts",
    "a model or a folder called like HTML: `report`",
    "no tag but the page's own",
)
def test_names_from_outside_are_escaped():
    odd = section.Section(ODD, ODD, (section.Shown("", ODD, ODD),), ODD, 'a"b', (ODD,), (ODD,))
    text = page.page(
        page.Contents(
            title=ODD,
            about=ODD,
            words={ODD: ODD},
            sections=[odd],
            tables=[page.Table(ODD, [ODD], [[ODD]], ODD)],
            left_out=[ODD],
            advice=ODD,
            notes=[ODD],
            facts={ODD: ODD},
        )
    )
    seen = Seen(text)
    assert [image["alt"] for image in seen.all("img")] == [ODD]
    assert "<img src=x" not in text
    assert text.count("&lt;img src=x") == 24
    assert [link["href"] for link in seen.all("a")][-1] == f'{page.BOOK}a"b'


def test_an_odd_folder_name_is_only_text(data, tmp_path):
    folder = tmp_path / "<b>&"
    network_folder(folder)
    out = tmp_path / "r.html"
    written(str(folder), data, out, minutes=0.01, pictures=False)
    assert "<b>" not in out.read_text(encoding="utf-8")


def test_images_of_another_size_or_too_few_are_refused(model, tmp_path):
    large = picture_folder(tmp_path / "large", count=3, side=16)
    few_pictures = picture_folder(tmp_path / "few", count=20)
    out = tmp_path / "r.html"
    with complains(f"images in {large}"):
        written(model, str(large), out)
    with complains(f"images in {few_pictures}"):
        written(model, str(few_pictures), out)
    assert not out.exists()
    assert not out.with_suffix(".parts").exists()


def test_what_does_not_fit_into_memory_is_refused(model, data, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "saved_bytes", lambda read: 10**15)
    with complains("memory of products with J"):
        written(model, data, tmp_path / "r.html")


def test_the_predicted_memory_counts_what_is_kept(model, data):
    """At least the activations of the first layer, at most a thousand images."""
    read = inputs.read(model, data, device="cpu", size=None, seed=0)
    image = read.points[0].numel() * 4
    assert 8 * image < memory.saved_bytes(read) < 10_000 * image


def test_asymmetry_without_the_matrix_is_near_that_of_the_matrix(model, data):
    from molrg import jacobian
    from molrg.companion.report import spectra

    read = inputs.read(model, data, device="cpu", size=None, seed=0)
    exact = float(jacobian.asymmetry(jacobian.dense(read.denoiser, read.points[:1], 0.5)[0]))
    estimate = spectra._asymmetry(read.denoiser, read.points[:1], 0.5, 0)
    assert estimate == pytest.approx(exact, rel=0.3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--minutes", "-3"], "minutes = -3.0: allowed is a number of at least 0.01"),
        (["--minutes", "nan"], "minutes = nan"),
        (["--seed", "-1"], "seed = -1"),
        (["--out", "r.txt"], "ends in .html"),
        (["--images", "nowhere"], "nowhere: no such folder"),
        (["--device", "nonsense"], "device = 'nonsense'"),
    ],
)
def test_bad_options_are_refused_in_one_line(
    words, message, model, data, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert command.main(["report", model, "--images", data, *words]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error


@pytest.mark.parametrize("text", ["[1, 2]", '{"model": "mine"}', "{torn"])
def test_the_json_beside_the_page_replaces_a_reports_only(text, tmp_path):
    (tmp_path / "r.json").write_text(text)
    with complains("out"):
        asked.require_out(tmp_path / "r.html")
    assert (tmp_path / "r.json").read_text() == text
    (tmp_path / "r.json").write_text('{"version": 1, "molrg": "0", "model": "a", "images": "b"}')
    asked.require_out(tmp_path / "r.html")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fashion-mnst", "did you mean fashion-mnist? Shipped are cifar10, faces,"),
        ("./tiny-modle", "./tiny-modle: no such folder"),
        ("a/b/c", "a/b/c: no such folder"),
        ("~/tiny", "~/tiny: no such folder"),
    ],
)
def test_a_model_that_is_missing_is_named_at_once(
    name, message, data, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(report, "write", None)
    out = ["--out", str(tmp_path / "r.html")]
    assert command.main(["report", name, "--images", data, *out]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert "-classifier" not in printed.err
    assert "hub" not in printed.out


def test_where_the_hub_does_not_answer_it_is_asked_once(data, tmp_path, capsys, monkeypatch):
    asked_for = []

    def nobody(name, **_):
        asked_for.append(name)
        raise OSError("no network")

    monkeypatch.setattr("diffusers.utils.hub_utils.model_info", nobody)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    out = ["--out", str(tmp_path / "r.html")]
    assert command.main(["report", "owner/tiny", "--images", data, *out]) == 2
    printed = capsys.readouterr()
    assert "owner/tiny is no folder here; trying the hub" in printed.out
    assert "owner/tiny: no such folder here" in printed.err
    assert "the hub cannot be reached" in printed.err
    assert asked_for == ["owner/tiny"]


def test_shipped_denoisers_are_those_of_the_zoo():
    from molrg import zoo

    kinds = {name: zoo.record(name)["kind"] for name in zoo.names()}
    assert asked.denoisers() == [
        name for name, kind in kinds.items() if kind not in ("classifying", "reading")
    ]


def test_errors_speak_of_the_model(data, tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    with complains("model"):
        written(str(folder), data, tmp_path / "r.html")


def test_a_place_that_cannot_be_written_is_named_with_the_option(model, data, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    out = ["--out", str(tmp_path / "file" / "r.html")]
    assert command.main(["report", model, "--images", data, *out]) == 2
    error = capsys.readouterr().err.strip()
    assert f"{tmp_path / 'file'}: nothing can be written there" in error
    assert error.endswith("choose another place with --out")


def test_a_bad_request_is_refused_before_torch_is_loaded(tmp_path):
    code = (
        "import sys; from molrg import __main__ as m;"
        "rc = m.main(['report', 'x', '--images', 'y', '--minutes', '-3']);"
        "sys.exit(10 * rc + ('torch' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True)
    assert done.returncode == 20, done.stderr


def test_a_model_that_is_no_denoiser_and_one_that_is_missing_are_refused(data, tmp_path, capsys):
    out = ["--out", str(tmp_path / "r.html")]
    for name in ("fashion-mnist-classifier", "no-such-model"):
        assert command.main(["report", name, "--images", data, *out]) == 2
        assert name in capsys.readouterr().err


def test_the_command_writes_both_files(model, data, tmp_path, capsys):
    out = tmp_path / "r.html"
    words = ["report", model, "--images", data, "--out", str(out), "--no-images"]
    assert command.main([*words, "--minutes", "0.01"]) == 0
    assert str(out.with_suffix(".json")) in capsys.readouterr().out
    assert out.is_file()


@pytest.mark.nightly
@pytest.mark.fault(
    "installed package",
    "a report on a tiny diffusers folder, from a wheel unpacked beside no clone",
    "page and numbers are written, with the chapters' addresses on the project's site",
)
def test_a_report_from_a_wheel(model, data, tmp_path):
    site, out = faults.unpacked_wheel(tmp_path / "wheel"), tmp_path / "r.html"
    script = """
import sys, molrg
from molrg.__main__ import main
assert molrg.__file__.startswith(sys.argv[1]), molrg.__file__
sys.exit(main(sys.argv[2:]))
"""
    words = ["report", model, "--images", data, "--out", str(out), "--minutes", "0.2"]
    done = subprocess.run(
        [sys.executable, "-c", script, str(site), *words],
        cwd=tmp_path,
        env=projects.environment() | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "images" in json.loads(out.with_suffix(".json").read_text())["parts"]
    links = [link["href"] for link in Seen(out.read_text(encoding="utf-8")).all("a")]
    assert any(link.startswith(f"{page.BOOK}notebooks/") for link in links)


def test_the_command_needs_no_clone_of_the_project(monkeypatch):
    """Its arguments can be read where only the package is."""
    from molrg import claims

    def nowhere():
        raise FileNotFoundError("no book/claims.yml")

    monkeypatch.setattr(claims, "root", nowhere)
    args = command.parser().parse_args(["report", "faces", "--images", "faces"])
    assert args.minutes == 10
