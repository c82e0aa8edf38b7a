"""The live figure: the exported network is the shipped one, what lies beside it is true."""

from __future__ import annotations

import copy
import hashlib
import re

import pytest
import torch
from diffusers import UNet2DModel

from molrg import claims, editing, images, jacobian, sampling, zoo
from molrg.companion import graphs, live, live_files
from molrg.denoisers.networks import UNet
from molrg.schedules import DDPM

STATIC = claims.root() / "book" / "_static"
NAME = "fashion-mnist"
RENEW = f"run `python -m molrg export {NAME}`"


@pytest.fixture(scope="module")
def denoiser():
    return zoo.load(NAME)


@pytest.fixture(scope="module")
def network():
    return live_files.content_of(STATIC / "live" / f"{NAME}-network.js")


@pytest.fixture(scope="module")
def scene():
    return live_files.content_of(STATIC / "live" / f"{NAME}-scene.js")


@pytest.fixture(scope="module")
def runtime(network, denoiser):
    return graphs.Runtime(live_files.unpacked(network["onnx"]), denoiser.schedule)


def noise(denoiser, n=3, seed=5):
    return sampling.prior(
        (n, *denoiser.event),
        denoiser.schedule,
        generator=torch.Generator().manual_seed(seed),
        dtype=torch.float32,
    )


def small(prediction):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = UNet2DModel(
            8,
            1,
            1,
            block_out_channels=(8,),
            layers_per_block=1,
            norm_num_groups=4,
            attention_head_dim=4,
            down_block_types=("DownBlock2D",),
            up_block_types=("UpBlock2D",),
        )
    return UNet(network, DDPM(), prediction=prediction).eval().requires_grad_(False)


def gathered(scene):
    return [torch.stack(parts) for parts in zip(*live_files.stored(scene), strict=True)]


def test_the_figure_shows_the_shipped_weights(network, scene):
    assert network["weights"] == scene["weights"] == live_files.weights_of(NAME), RENEW


def test_the_exported_network_is_the_shipped_one_over_a_whole_run(runtime, denoiser):
    times = sampling.time_grid(denoiser.schedule, graphs.STEPS)
    assert len(times) == 26
    assert graphs.deviation(denoiser, runtime, noise(denoiser), times) <= graphs.TOLERANCE, RENEW


def test_other_weights_would_be_noticed(runtime, denoiser, monkeypatch):
    """One kernel a tenth larger is too much; so is a time that is five steps of a thousand off."""
    times, x_t = sampling.time_grid(denoiser.schedule, graphs.STEPS), noise(denoiser)
    other = copy.deepcopy(denoiser)
    other.network.conv_out.weight.data.mul_(1.1)
    assert graphs.deviation(other, runtime, x_t, times) > graphs.TOLERANCE
    monkeypatch.setattr(graphs, "network_time", lambda schedule, t: schedule.step(t) + 5)
    assert graphs.deviation(denoiser, runtime, x_t, times) > graphs.TOLERANCE


def test_images_do_not_depend_on_their_batch(runtime, denoiser):
    x_t = noise(denoiser, 5)
    alone = torch.cat([runtime(x.unsqueeze(0), 0.6) for x in x_t])
    torch.testing.assert_close(runtime(x_t, 0.6), alone, atol=1e-4, rtol=0)


def test_no_place_of_a_machine_is_in_the_model(network):
    model = live_files.unpacked(network["onnx"])
    assert (
        b".py" not in model
        and str(claims.root()).encode() not in model
        and b"site-packages" not in model
    )


def test_pictures_are_test_images(scene):
    pixels, labels = images.load(f"{NAME}-slice", "test")
    shown, _, _ = gathered(scene)
    places = [entry["place"] for entry in scene["pictures"]]
    torch.testing.assert_close(shown, pixels[places], atol=1e-6, rtol=0)
    assert [entry["class"] for entry in scene["pictures"]] == [
        live.CLASSES[NAME][k] for k in labels[places]
    ]
    assert len(set(places)) == live.PER_CLASS * 10


@torch.no_grad()
def test_noise_leads_back_to_the_pictures(scene, denoiser):
    """As far as the figure's few steps allow; the noise of another picture does not."""
    shown, x_t, _ = gathered(scene)
    finished = sampling.finish(
        sampling.ddim(denoiser, x_t, torch.tensor(scene["edit"]["t"], dtype=torch.float64))
    )
    assert (
        (finished - shown).square().mean()
        < 0.001
        < 0.1
        < (finished - shown.roll(2, 0)).square().mean()
    ), RENEW


def test_directions_are_singular_vectors(scene, denoiser):
    """J^T J v = s^2 v to what eight bits leave; of length one, brightening, and orthogonal."""
    _, x_t, directions = gathered(scene)
    some = slice(0, None, 7)
    assert directions.shape[1] == live.DIRECTIONS + 1, "the last is a random one"
    V = directions[some, : live.DIRECTIONS].flatten(2).mT.double()
    singular = torch.tensor(
        [entry["singular"] for entry in scene["pictures"]], dtype=torch.float64
    )[some]
    linear = jacobian.Linearised(denoiser, x_t[some], scene["t"])
    image = linear.jvp(V)
    torch.testing.assert_close(torch.linalg.vector_norm(image, dim=-2), singular, rtol=0.02, atol=0)
    misses = torch.linalg.vector_norm(
        linear.vjp(image) - singular.square().unsqueeze(-2) * V, dim=-2
    )
    assert (misses < 0.05 * singular[:, :1].square()).all(), RENEW
    assert (image.sum(-2) > -1e-2 * singular).all()
    chance = linear.jvp(directions[some, -1:].flatten(2).mT.double())
    assert (torch.linalg.vector_norm(chance, dim=-2)[:, 0] < 0.5 * singular[:, -1]).all()
    torch.testing.assert_close(
        torch.linalg.vector_norm(directions[:, -1].flatten(1), dim=-1),
        torch.ones(len(directions)),
        atol=0.01,
        rtol=0,
    )
    torch.testing.assert_close(
        V.mT @ V, torch.eye(V.shape[-1], dtype=V.dtype).expand(len(V), -1, -1), atol=0.02, rtol=0
    )


def test_numbers_are_those_of_the_schedule(scene, denoiser):
    for part, start in (("edit", scene["t"]), ("sample", 1.0)):
        numbers = {
            key: torch.tensor(values, dtype=torch.float64) for key, values in scene[part].items()
        }
        assert (
            numbers["t"][0] == start and numbers["t"][-1] == 0 and (numbers["t"].diff() < 0).all()
        )
        torch.testing.assert_close(numbers["s"], denoiser.schedule.s(numbers["t"]))
        torch.testing.assert_close(numbers["gamma"], denoiser.schedule.gamma(numbers["t"]))
        assert (numbers["time"] == denoiser.schedule.step(numbers["t"])).all()


def test_a_graph_that_differs_is_not_written(monkeypatch, tmp_path, network, denoiser):
    """The command compares before it writes."""
    model = live_files.unpacked(network["onnx"])
    monkeypatch.setattr(graphs, "to_onnx", lambda _: model)
    other = copy.deepcopy(denoiser)
    other.network.conv_out.weight.data.mul_(1.1)
    monkeypatch.setattr(zoo, "load_denoiser", lambda _: other)
    with pytest.raises(ValueError, match="ONNX and torch"):
        live.export(NAME, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_what_is_written_is_read_back(monkeypatch, tmp_path, network, denoiser):
    model = live_files.unpacked(network["onnx"])
    monkeypatch.setattr(graphs, "to_onnx", lambda _: model)
    few = live.chosen(NAME)[:: 4 * live.PER_CLASS]
    monkeypatch.setattr(live, "chosen", lambda _: few)
    files = live.export(NAME, tmp_path)
    assert (
        sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in files)
        and len(files) == 3
    )
    told = live_files.content_of(files[1])
    assert live_files.unpacked(live_files.content_of(files[0])["onnx"]) == model and told[
        "weights"
    ] == live_files.weights_of(NAME)
    for (_, _, pixels), (stored, x_t, directions) in zip(few, live_files.stored(told), strict=True):
        assert (stored - pixels).abs().max() < 1 / 127
        back = editing.finish(denoiser, x_t[None], live.T, steps=live.EDIT_STEPS)[0]
        assert (back - pixels).square().mean() < 0.02 and directions.shape == (
            live.DIRECTIONS + 1,
            *pixels.shape,
        )


def test_a_deviation_is_not_lost_behind_a_number():
    """NaN at a later step, where Python's max would not see it."""
    late = small("x0")
    broken = lambda x_t, t: late(x_t, t) * (float("nan") if t < 0.5 else 1)
    broken.schedule = late.schedule
    assert (
        not graphs.deviation(late, broken, noise(late), torch.tensor([1.0, 0.6, 0.3, 0.0]))
        <= graphs.TOLERANCE
    )


@pytest.mark.parametrize("name", ["nonsense", f"{NAME}-classifier"])
def test_only_shipped_denoisers_are_exported(name, tmp_path):
    with pytest.raises(ValueError, match="name = "):
        live.export(name, tmp_path)


@pytest.mark.parametrize("prediction", ["x0", "eps", "v"])
def test_the_exporter_keeps_the_network(prediction):
    """As it is pinned, whatever the network predicts: on one too small to be of use."""
    denoiser = small(prediction)
    exported = graphs.Runtime(graphs.to_onnx(denoiser), denoiser.schedule)
    x_t = noise(denoiser)
    assert (
        graphs.deviation(
            denoiser, exported, x_t, sampling.time_grid(denoiser.schedule, 3, start=0.6)
        )
        <= 1e-2
    )
    assert (denoiser(x_t, 0.6) - x_t).abs().max() > 0.1


def test_what_is_packed_is_unpacked(tmp_path):
    raw = bytes(range(256)) * 3
    path = tmp_path / "x.js"
    path.write_text(live_files.script("network", {"a": live_files.packed(raw)}), encoding="utf-8")
    assert live_files.unpacked(live_files.content_of(path)["a"]) == raw
    path.write_text("alert(1)", encoding="utf-8")
    with pytest.raises(ValueError, match=r"path = .*x\.js"):
        live_files.content_of(path)


def test_the_vendored_runtime_is_the_one_that_its_note_names():
    folder = STATIC / "vendor" / "ort"
    note = dict(
        reversed(pair)
        for pair in re.findall(
            r"sha256 (\w{64})  (\S+)", (folder / "README.txt").read_text(encoding="utf-8")
        )
    )
    embedded = live_files.content_of(folder / "ort-wasm.js")
    files = {
        f"ort-wasm-simd-threaded.{kind}": live_files.unpacked(text)
        for kind, text in embedded.items()
    }
    files["ort.wasm.min.js"] = (folder / "ort.wasm.min.js").read_bytes()
    assert {name: hashlib.sha256(raw).hexdigest() for name, raw in files.items()} == note
    assert "MIT License" in (folder / "LICENSE.txt").read_text(encoding="utf-8")


def test_the_figure_is_small():
    files = [
        path for folder in (STATIC / "live", STATIC / "vendor" / "ort") for path in folder.iterdir()
    ]
    assert (
        len(files) >= 7
        and max(path.stat().st_size for path in files) < 10e6
        and sum(path.stat().st_size for path in files) < 12.5e6
    )
