"""The live faces: their drawings are the shipped ones, and the page's scripts are the package."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from factories import normal, rng

from molrg import zoo
from molrg.companion import live_faces, live_files
from molrg.denoisers.networks import network_time
from molrg.images import faces
from molrg.schedules import DDPM, EDM

ROOT = Path(__file__).resolve().parents[1]
STATIC = ROOT / "book" / "_static"
CODE = STATIC / "molrg-live"
RENEW = "from molrg.companion import live_faces; live_faces.write()"
NODE = pytest.mark.skipif(
    shutil.which("node") is None, reason="no node to run the page's scripts with"
)

# The page's files in the order of start.js, as far as they need no page; then a case.
LOAD = """
const fs = require("fs"), vm = require("vm");
const [code, data, cases, job] = process.argv.slice(2);
globalThis.molrgLive = { faces: (content) => { globalThis.data = content; } };
for (const name of ["differences", "numbers", "law", "drawing", "face", "directions", "sample"])
  vm.runInThisContext(fs.readFileSync(`${code}/${name}.js`, "utf8"), name);
vm.runInThisContext(fs.readFileSync(data, "utf8"));
const told = JSON.parse(fs.readFileSync(cases, "utf8"));
const jobs = {
  denoise: (law) => told.map(({ x, sigma }) => {
    const posterior = law.denoise(Float64Array.from(x), sigma);
    const { weights, estimate } = posterior;
    return { weights: [...weights], estimate: [...estimate], colours: law.colours(posterior),
      attributes: law.attributes(weights) };
  }),
  directions: (law) => {
    const face = new molrgLive.Face(law);
    face.set(told.chosen, Float64Array.from(told.factors));
    return { picture: [...face.picture], directions: molrgLive.directionsOf(face).map((direction) =>
      ({ ...direction, vector: [...direction.vector()] })) };
  },
  words: (law) => {
    const face = new molrgLive.Face(law), z = molrgLive.normals(law.n, 1);
    face.set(told.chosen, Float64Array.from(told.factors));
    const direction = molrgLive.directionsOf(face).find(({ name }) => name === told.name);
    const noisy = face.picture.map((value, i) => value + told.sigma * z[i]);
    const v = direction.vector(), moved = noisy.map((value, i) => value + told.alpha * v[i]);
    const posteriors = [noisy, moved].map((x) => law.denoise(x, told.sigma));
    return molrgLive.whatCameBack(law, direction, told.alpha, ...posteriors);
  },
  sample: async (law) => {
    const steps = [];
    for await (const { sigma, x, estimate } of molrgLive.reverse(law, told.seed))
      steps.push({ sigma, x: [...x], estimate: [...estimate] });
    return steps;
  },
};
molrgLive.Faces.of(globalThis.data).then(jobs[job])
  .then((answer) => console.log(JSON.stringify(answer)));
"""


def page(tmp_path, job, cases):
    """What the page's scripts answer."""
    (tmp_path / "run.js").write_text(LOAD)
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    command = ["node", tmp_path / "run.js", CODE, ROOT / live_faces.FILE, tmp_path / "cases.json"]
    done = subprocess.run([*map(str, command), job], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def wide(values):
    return torch.tensor(values, dtype=torch.float64)


def one_face(seed=4):
    """A face, its factors, and the same as the page has them."""
    picture, factors = faces.draw(1, generator=rng(seed), dtype=torch.float64)
    chosen = [values.index(factors[name].iloc[0]) for name, values in faces.ATTRIBUTES.items()]
    colours = [float(factors[name].iloc[0]) for name in faces.COLOURS]
    return picture[0], factors, {"chosen": chosen, "factors": colours}


def test_the_drawings_of_the_page_are_the_shipped_ones():
    path = ROOT / live_faces.FILE
    assert live_files.content_of(path) == json.loads(json.dumps(live_faces.content())), RENEW
    assert path.stat().st_size < 100_000


def test_the_page_needs_no_network():
    scripts = {path.name: path.read_text(encoding="utf-8") for path in CODE.glob("*.js")}
    assert "start.js" in scripts
    words = ("http", "fetch(", "XMLHttpRequest", "import(")
    assert not [(name, word) for name, text in scripts.items() for word in words if word in text]


def test_noise_levels_are_those_of_the_networks_schedule():
    levels, schedule = live_faces.levels(), DDPM()
    t = schedule.t_of_sigma(wide(levels["sigma"]))
    assert network_time(schedule, t).tolist() == levels["time"]
    torch.testing.assert_close(schedule.sigma(t), wide(levels["sigma"]))
    torch.testing.assert_close(schedule.s(t), 1 / (1 + wide(levels["sigma"]).square()).sqrt())


@NODE
def test_the_script_is_the_exact_denoiser(tmp_path):
    """Posterior of kinds and estimate at low, middle and high noise, as float64 rounds."""
    schedule, mixture = EDM(), faces.mixture(dtype=torch.float64)
    clean, factors = faces.draw(3, generator=rng(1), dtype=torch.float64)
    cases, expected = [], []
    for image, sigma, seed in zip(clean, (0.1, 1.0, 8.0), range(3), strict=True):
        x_t = image[None] + sigma * normal(1, *image.shape, seed=seed)
        t = schedule.t_of_sigma(wide(sigma))
        weights = mixture.responsibilities(x_t, t, schedule)[0]
        expected.append((weights, mixture.denoiser(schedule)(x_t, t).flatten()))
        cases.append({"x": x_t.flatten().tolist(), "sigma": sigma})
    answers = page(tmp_path, "denoise", cases)
    for answer, (weights, estimate) in zip(answers, expected, strict=True):
        # sums of 3,072 terms, divided by sigma^2
        assert (wide(answer["weights"]) - weights).abs().max() < 1e-7
        assert (wide(answer["estimate"]) - estimate).abs().max() < 1e-6
    hair = list(faces.ATTRIBUTES["hair"]).index(factors["hair"][0])
    first = answers[0]["attributes"][0]
    assert first[hair] > 0.99 and sum(first) == pytest.approx(1)
    true = wide(factors[list(faces.COLOURS)].iloc[0].tolist())
    assert (wide(answers[0]["colours"]) - true).abs().max() < 0.3, "at sigma = 0.1"


@NODE
def test_directions_are_tangents_and_differences_of_faces(tmp_path):
    picture, factors, told = one_face()
    answer = page(tmp_path, "directions", told)
    directions = {d["name"]: d | {"vector": wide(d["vector"])} for d in answer["directions"]}
    assert (wide(answer["picture"]) - picture.flatten()).abs().max() < 1e-12
    tangents = faces.tangents(factors, dtype=torch.float64)[0]
    colours = [d for d in directions.values() if d["group"] == "colours"]
    for direction, tangent in zip(colours, tangents.mT, strict=True):
        assert (direction["vector"] - tangent).abs().max() < 1e-12
    others = [d for d in directions.values() if d["group"] == "to another kind"]
    assert len(others) == sum(len(values) - 1 for values in faces.ATTRIBUTES.values())
    for direction in others:
        axis = list(faces.ATTRIBUTES)[direction["axis"]]
        value = faces.ATTRIBUTES[axis][direction["value"]]
        there = faces.render(factors.assign(**{axis: value}), dtype=torch.float64)
        assert (direction["vector"] + picture.flatten() - there.flatten()).abs().max() < 1e-12
    white = directions["random pattern"]["vector"]
    like = directions["hair, redder"]["vector"]
    torch.testing.assert_close(white.norm(), like.norm())
    assert (tangents.mT @ white).abs().max() < 0.1 * like.norm() * tangents.norm(dim=0).max()


@NODE
def test_the_words_say_what_came_back(tmp_path):
    """Nearly all of a colour's step at little noise, and less at much; a step to another kind
    changes the attribute; a random pattern changes little.
    """
    _, _, told = one_face()
    told["factors"] = [0.0] * 7
    told["chosen"] = [2, 0, 0, 0]
    told |= {"name": "hair, redder", "alpha": 2.0, "sigma": 0.2}
    sentence = page(tmp_path, "words", told)
    assert "2.0 standard deviations of “hair, redder” went in, " in sentence
    back = float(sentence.split("went in, ")[1].split(" ")[0])
    assert 1.9 < back < 2.0 and sentence.endswith("The likeliest kind is the same.")
    noisy = page(tmp_path, "words", told | {"sigma": 8.0})
    assert float(noisy.split("went in, ")[1].split(" ")[0]) < 1.0
    glasses = page(tmp_path, "words", told | {"name": "glasses", "alpha": 1.0})
    assert "The probability of “glasses” went from 0.00 to 1.00" in glasses
    assert glasses.endswith("Likeliest now: eyes glasses, no longer open eyes.")
    white = page(tmp_path, "words", told | {"name": "random pattern"})
    step, change = (float(part) for part in _moves(white))
    assert change < 0.2 * step


def _moves(sentence):
    """The two numbers of "The picture moved by a, the estimate by b."."""
    return sentence.split("moved by ")[1].split(". ")[0].split(", the estimate by ")


@NODE
def test_sampling_is_ddim_with_the_exact_denoiser(tmp_path):
    """Each step of the page is the package's estimate, and the step of DDIM between them."""
    steps = page(tmp_path, "sample", {"seed": 5})
    schedule = EDM(sigma_max=40.0)
    denoiser = faces.mixture(dtype=torch.float64).denoiser(schedule)
    assert len(steps) == 25 and steps[0]["sigma"] == pytest.approx(40.0)
    for step, after in zip(steps[::6], steps[1::6], strict=False):
        x, estimate = wide(step["x"]), wide(step["estimate"])
        t = schedule.t_of_sigma(wide(step["sigma"]))
        exact = denoiser(x.reshape(1, 3, 32, 32), t).flatten()
        assert (exact - estimate).abs().max() < 1e-6
        ratio = after["sigma"] / step["sigma"]
        assert (wide(after["x"]) - estimate - ratio * (x - estimate)).abs().max() < 1e-9
    nearest = faces.nearest(wide(steps[-1]["estimate"]).reshape(1, 3, 32, 32).float())
    assert nearest.distances.item() < 0.5, "at the end there is a face"


def test_the_page_knows_of_a_network_where_there_is_one():
    """And of its weights, which are those of the zoo."""
    told = live_faces.content()["network"]
    assert (told is not None) == (STATIC / "live" / "faces-network.js").is_file()
    if told is not None:
        assert told["weights"] == live_files.weights_of("faces") and "faces" in zoo.names()
