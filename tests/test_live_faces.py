"""The live face: its drawings are the shipped ones, and its JavaScript is the exact denoiser."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from factories import normal, rng

from molrg.companion import live_faces
from molrg.images import faces
from molrg.schedules import EDM

ROOT = Path(__file__).resolve().parents[1]
STATIC = ROOT / "book" / "_static"
RENEW = "from molrg.companion import live_faces; live_faces.write()"

SCRIPT = """
const fs = require("fs"), vm = require("vm");
const [code, data, cases] = process.argv.slice(2).map((path) => fs.readFileSync(path, "utf8"));
vm.runInThisContext(code);
const page = {};
new Function("window", data)(page);
molrgFacesMath.Faces.of(page.molrgFacesData).then((law) => {
  const answers = JSON.parse(cases).map(({ x, sigma }) => {
    const { weights, estimate } = law.denoise(Float64Array.from(x), sigma);
    return { weights: [...weights], estimate: [...estimate], attributes: law.attributes(weights) };
  });
  console.log(JSON.stringify(answers));
});
"""


def test_the_drawings_of_the_page_are_the_shipped_ones():
    assert (ROOT / live_faces.FILE).read_text(encoding="utf-8") == live_faces.script(), RENEW
    assert (ROOT / live_faces.FILE).stat().st_size < 100_000


def test_the_page_needs_no_network():
    text = (STATIC / "molrg-faces.js").read_text(encoding="utf-8")
    assert not [word for word in ("http", "fetch(", "XMLHttpRequest", "import(") if word in text]


@pytest.mark.skipif(shutil.which("node") is None, reason="no node to run the page's script with")
def test_the_script_is_the_exact_denoiser(tmp_path):
    """Posterior of kinds and estimate at low, middle and high noise, as float64 rounds."""
    schedule, mixture = EDM(), faces.mixture(dtype=torch.float64)
    clean, factors = faces.draw(3, generator=rng(1), dtype=torch.float64)
    cases, expected = [], []
    for image, sigma, seed in zip(clean, (0.1, 1.0, 8.0), range(3), strict=True):
        x_t = image[None] + sigma * normal(1, *image.shape, seed=seed)
        t = schedule.t_of_sigma(torch.tensor(sigma, dtype=torch.float64))
        weights = mixture.responsibilities(x_t, t, schedule)[0]
        expected.append((weights, mixture.denoiser(schedule)(x_t, t).flatten()))
        cases.append({"x": x_t.flatten().tolist(), "sigma": sigma})
    (tmp_path / "run.js").write_text(SCRIPT)
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    files = [STATIC / "molrg-faces.js", ROOT / live_faces.FILE, tmp_path / "cases.json"]
    done = subprocess.run(
        ["node", str(tmp_path / "run.js"), *map(str, files)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for answer, (weights, estimate) in zip(json.loads(done.stdout), expected, strict=True):
        # sums of 3,072 terms, divided by sigma^2
        assert (torch.tensor(answer["weights"]) - weights).abs().max() < 1e-7
        assert (torch.tensor(answer["estimate"]).double() - estimate).abs().max() < 1e-6
    hair = list(faces.ATTRIBUTES["hair"]).index(factors["hair"][0])
    first = json.loads(done.stdout)[0]["attributes"][0]
    assert first[hair] > 0.99 and sum(first) == pytest.approx(1)
