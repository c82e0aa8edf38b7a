"""The faces' network of the live page: the shipped one, small enough, the same in its runtime."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest
import torch
from factories import normal

from molrg import claims, sampling, zoo
from molrg.companion import graphs, live_faces, live_files, live_network
from molrg.images import faces

STATIC = claims.root() / "book" / "_static"
NETWORK = STATIC / "live" / "faces-network.js"
RENEW = "run `python -m molrg export faces`"
NODE = pytest.mark.skipif(
    shutil.which("node") is None, reason="no node to run the page's scripts with"
)

# The page's runtime.js with the runtime of the site; node imports modules from files only.
RUN = """
const fs = require("fs"), { pathToFileURL } = require("url");
const [site, cases, imported] = process.argv.slice(2);
const keep = { "vendor/ort/ort.wasm.min.js": "\\nglobalThis.ort = ort;" };  // a strict script's own
const run = (path) => (0, eval)(fs.readFileSync(`${site}/${path}`, "utf8") + (keep[path] || ""));
const handed = { networks: {} };
globalThis.window = globalThis;
globalThis.navigator ??= {};
globalThis.molrgLive = {
  handed, script: async (path) => run(path),
  faces: (content) => { handed.faces = content; },
  network: (content) => { handed.networks[content.name] = content; },
  runtime: (content) => { handed.runtime = content; },
};
globalThis.Blob = class extends Blob {
  constructor(parts, options) { super(parts, options); this.parts = parts; }
};
URL.createObjectURL = (blob) => {
  fs.writeFileSync(imported, blob.parts[0]);
  return pathToFileURL(imported).href;
};
["molrg-live/differences.js", "molrg-live/runtime.js", "live/faces.js"].forEach(run);
(async () => {
  const { network: { weights }, levels } = handed.faces, answers = [];
  const network = await molrgLive.session("faces", weights);
  for (const { x, level } of JSON.parse(fs.readFileSync(cases, "utf8"))) {
    const sigma = levels.sigma[level], s = 1 / Math.sqrt(1 + sigma * sigma);
    const numbers = { time: levels.time[level], s, gamma: sigma * s };
    answers.push([...await molrgLive.denoise(network, Float32Array.from(x), [3, 32, 32], numbers)]);
  }
  console.log(JSON.stringify(answers));
})();
"""


@pytest.fixture(scope="module")
def denoiser():
    return zoo.load("faces")


def test_the_page_has_the_shipped_network():
    content = live_files.content_of(NETWORK)
    shipped = live_files.weights_of("faces")
    assert content["weights"] == live_faces.content()["network"]["weights"] == shipped, RENEW
    model = live_files.unpacked(content["onnx"])
    assert b".py" not in model and str(claims.root()).encode() not in model


def test_runtime_and_weights_are_eight_megabytes_at_most():
    runtime = sum(path.stat().st_size for path in (STATIC / "vendor" / "ort").glob("*.js"))
    assert runtime + NETWORK.stat().st_size <= 8e6


def test_the_exported_network_is_the_shipped_one_over_a_whole_run(denoiser):
    model = live_files.unpacked(live_files.content_of(NETWORK)["onnx"])
    graphs.require_equal(denoiser, model)
    other = graphs.Runtime(model, denoiser.schedule)
    x_t = normal(2, *denoiser.event, seed=1).float()
    # weights are the same numbers in half precision, so only single precision rounds
    times = sampling.time_grid(denoiser.schedule, 3)
    assert graphs.deviation(denoiser, other, x_t, times) < 1e-3


@NODE
@torch.no_grad()
def test_the_page_computes_what_torch_computes(tmp_path, denoiser):
    """By the page's own script and runtime, at low, middle and high noise."""
    levels, clean = (
        live_faces.levels(),
        faces.draw(3, generator=torch.Generator().manual_seed(2))[0],
    )
    cases, expected = [], []
    for image, level in zip(clean, (5, 60, 110), strict=True):
        t = denoiser.schedule.t_of_sigma(levels["sigma"][level])
        s, gamma = denoiser.schedule.at(t, image)
        x_t = s * image + gamma * normal(*image.shape, seed=level).float()
        expected.append(denoiser(x_t[None], t).flatten())
        cases.append({"x": x_t.flatten().tolist(), "level": level})
    (tmp_path / "run.js").write_text(RUN)
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    arguments = [tmp_path / "run.js", STATIC, tmp_path / "cases.json", tmp_path / "module.mjs"]
    done = subprocess.run(["node", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for answer, estimate in zip(json.loads(done.stdout), expected, strict=True):
        assert (torch.tensor(answer) - estimate).abs().max() < 1e-4


def test_what_is_written_is_read_back(monkeypatch, tmp_path, denoiser):
    """A graph that is the network's is written with a picture; another is not."""
    model = live_files.unpacked(live_files.content_of(NETWORK)["onnx"])
    monkeypatch.setattr(graphs, "to_onnx", lambda _: model)
    network, picture = live_network.export(tmp_path)
    assert live_files.content_of(network) == live_files.content_of(NETWORK)
    assert picture.stat().st_size < 200_000
    assert live_network.shipped_in(tmp_path) == {"weights": live_files.weights_of("faces")}
    assert live_network.shipped_in(tmp_path / "elsewhere") is None
    denoiser.network.conv_out.weight.data.mul_(1.1)
    monkeypatch.setattr(zoo, "load_denoiser", lambda _: denoiser)
    with pytest.raises(ValueError, match="ONNX and torch"):
        live_network.export(tmp_path / "new")
    assert not (tmp_path / "new").exists()
