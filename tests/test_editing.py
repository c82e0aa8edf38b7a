"""Editing where the answer is known, and on networks of faces; attributes against drawings."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from factories import EXACT, complains, normal, rng, worst
from scipy import stats as scipy_stats

from molrg import MoLRG, denoisers, editing, jacobian, schedules, stats
from molrg.editing import attributes

VP = schedules.VP()
N, D, K, EVENT = 24, 2, 2, (4, 6)
MIXTURE = MoLRG.random(N, [D] * K, generator=rng())
EXACT_ONE = MIXTURE.denoiser(VP)
BOTH = torch.cat(MIXTURE.bases, 1)  # (N, K D), orthonormal
X0 = MIXTURE.sample(3, generator=rng(1))[0].reshape(-1, *EVENT)
CORNER = torch.zeros(EVENT)
CORNER[:2, :3] = 1


def outside(x, basis=BOTH):
    """Norm of the part of every event that is not in the span of the basis, over the whole."""
    flat = x.reshape(-1, N)
    return torch.linalg.vector_norm(
        flat - flat @ basis @ basis.T, dim=1
    ) / torch.linalg.vector_norm(flat, dim=1)


def face_folder(path):
    """A folder like google/ddpm-celebahq-256, of 3 x 32 x 32 and untrained: noise predicted."""
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = UNet2DModel(
            sample_size=32,
            in_channels=3,
            out_channels=3,
            layers_per_block=1,
            block_out_channels=(4, 8),
            norm_num_groups=4,
            attention_head_dim=4,
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        )
    DDPMPipeline(
        network, DDPMScheduler(1000, 0.0001, 0.02, prediction_type="epsilon")
    ).save_pretrained(path)
    return path


# the mixture


def test_at_high_noise_the_directions_span_the_union_and_nothing_else():
    t = float(VP.t_of_sigma(torch.tensor(20.0)))
    x_t = normal(3, *EVENT, seed=2)
    found = editing.directions(EXACT_ONE, x_t, t, K * D)
    assert found.vectors.shape == (3, K * D, *EVENT) and outside(found.vectors).max() < 1e-6
    V = found.vectors.flatten(2)
    assert worst(V @ V.mT, torch.eye(K * D, dtype=V.dtype).expand(3, -1, -1)) < 1e-10
    assert bool((found.kept == 1).all())
    assert (
        outside(editing.white(EVENT, 4, generator=rng(3), dtype=torch.float64)).min() > 0.5
    )  # others do not


def test_at_low_noise_they_span_the_subspace_of_the_point():
    t = float(VP.t_of_sigma(torch.tensor(0.05)))
    s, gamma = VP.at(t, X0)
    x, label = MIXTURE.sample([2, 2], generator=rng(4))
    found = editing.directions(EXACT_ONE, s * x + gamma * normal(4, N, seed=5), t, D)
    for point, k in enumerate(label):
        assert outside(found.vectors[point], MIXTURE.bases[k]).max() < 1e-3


def test_edits_stay_on_the_subspaces():
    t = 0.5
    x_t = editing.invert(EXACT_ONE, X0, t, steps=40)
    found = editing.directions(EXACT_ONE, x_t, t, 2)
    shifts = torch.tensor([-2.0, 2.0]).reshape(2, 1, 1) * found.vectors[:, :1]
    edited = editing.edit(EXACT_ONE, x_t, t, shifts, steps=40)
    assert edited.shape == (3, 2, *EVENT)
    assert outside(edited).max() < 1e-6
    assert (edited - X0[:, None]).flatten(2).norm(dim=-1).min() > 0.1  # and are edits


def test_an_edit_of_a_gaussian_is_the_closed_form():
    """DDIM scales a coordinate of variance L by sqrt(s^2 L + gamma^2), so a step by its inverse."""
    one = MoLRG(MIXTURE.bases[:1], variances=[torch.tensor([2.0, 0.5], dtype=torch.float64)])
    x0, t, alpha = one.sample(1, generator=rng(6))[0], 0.6, 1.5
    s, gamma = VP.at(t, x0)
    x_t = editing.invert(one.denoiser(VP), x0, t, steps=400)
    v = one.bases[0][:, 0]
    edited = editing.edit(one.denoiser(VP), x_t, t, alpha * v[None], steps=400)[0, 0]
    expected = x0[0] + alpha * v * (2.0 / (2 * s**2 + gamma**2)).sqrt()
    assert worst(edited, expected) < 0.02
    assert worst(edited, x0[0] + alpha * v) > 0.1


def test_inversion_comes_back_and_corrections_bring_it_nearer():
    def error(steps, corrections):
        x_t = editing.invert(EXACT_ONE, X0, 0.5, steps=steps, corrections=corrections)
        return (editing.finish(EXACT_ONE, x_t, 0.5, steps=steps) - X0).square().mean().item()

    assert error(15, 8) < 1e-6 < error(15, 0)
    assert error(15, 2) < error(15, 0) / 5
    assert (
        error(60, 0) < error(15, 0) / 4
    )  # first order: a quarter of the step is a sixteenth of the square, at best
    noise = normal(3, *EVENT, seed=7)
    start_anywhere = (editing.finish(EXACT_ONE, noise, 0.5, steps=15) - X0).square().mean().item()
    assert start_anywhere > 100 * error(15, 2)


# regions


def test_directions_of_a_region_are_those_of_its_rows_of_the_jacobian():
    x_t, t = normal(2, *EVENT, seed=8), 0.6
    J = jacobian.dense(EXACT_ONE, x_t, t)
    rows = CORNER.flatten().bool()
    expected = torch.linalg.svd(J[:, rows])
    found = editing.directions(EXACT_ONE, x_t, t, 2, CORNER, tolerance=1e-10)
    assert worst(found.values, expected.S[:, :2]) < EXACT
    cosine = (found.vectors.flatten(2) * expected.Vh[:, :2]).sum(-1).abs()
    assert worst(cosine, torch.ones_like(cosine)) < 1e-8
    whole = editing.directions(EXACT_ONE, x_t, t, 2).vectors.flatten(2)
    assert (whole * expected.Vh[:, :2]).sum(-1).abs().min() < 0.999  # the mask is not ignored


def test_the_projection_removes_what_leaks():
    steep = denoisers.Gaussian(
        normal(60, N, seed=22) * torch.logspace(0, -3, N, 10, dtype=torch.float64), VP
    )
    steep.axes = torch.linalg.qr(normal(1, N, N, seed=23)).Q
    x_t, t, r = normal(2, *EVENT, seed=9), 0.6, 4
    J = jacobian.dense(steep, x_t, t)
    rest = ~CORNER.flatten().bool()
    plain = editing.directions(steep, x_t, t, 1, CORNER)
    clean = editing.directions(steep, x_t, t, 1, CORNER.bool(), null=r, tolerance=1e-10)
    top = torch.linalg.svd(J[:, rest]).Vh[:, :r]
    v = clean.vectors.flatten(2)
    assert worst(v @ top.mT, torch.zeros(2, 1, r, dtype=v.dtype)) < 1e-8
    leaks = [
        torch.linalg.vector_norm(J[:, rest] @ found.vectors.flatten(2).mT, dim=(1, 2))
        for found in (plain, clean)
    ]
    assert bool((leaks[1] < 0.5 * leaks[0]).all())
    assert worst(
        torch.linalg.vector_norm(v, dim=-1), torch.ones(2, 1, dtype=v.dtype)
    ) < 1e-10 and bool((clean.kept < 1).all())


def test_a_direction_brightens_its_region():
    x_t = normal(4, *EVENT, seed=10)
    found = editing.directions(EXACT_ONE, x_t, 0.6, 2, CORNER)
    J = jacobian.dense(EXACT_ONE, x_t, 0.6)
    change = (found.vectors.flatten(2) @ J.mT).reshape(4, 2, *EVENT)
    assert bool(((change * CORNER).sum((-1, -2)) >= 0).all())


# one call, and networks


def test_a_strip_is_inversion_directions_and_edits():
    strip = editing.strip(EXACT_ONE, X0[0], 0.6, k=2, alphas=(-1, 0, 1, 2), steps=20)
    x_t = editing.invert(EXACT_ONE, X0[:1], 0.6, steps=20)
    assert (
        worst(strip.directions.vectors, editing.directions(EXACT_ONE, x_t, 0.6, 2).vectors) < EXACT
    )
    by_hand = editing.edit(EXACT_ONE, x_t, 0.6, 2 * strip.directions.vectors[0, 1:], steps=20)[0, 0]
    assert worst(strip.images[1, 3], by_hand) < EXACT
    back = editing.finish(EXACT_ONE, x_t, 0.6, steps=20)
    assert worst(strip.images[0, 1], back[0]) < EXACT and strip.error == pytest.approx(
        (back[0] - X0[0]).square().mean().item()
    )
    other = editing.edit(
        EXACT_ONE,
        editing.invert(EXACT_ONE, X0[1:], 0.6, steps=20),
        0.6,
        strip.directions.vectors[0],
        steps=20,
    )
    assert other.shape == (2, 2, *EVENT)  # a direction goes to other images


def test_a_face_model_of_diffusers_is_edited_in_one_call(tmp_path):
    denoiser = denoisers.from_pretrained(face_folder(tmp_path / "faces"))
    assert denoiser.event == (3, 32, 32) and denoiser.prediction == "eps"
    image = normal(3, 32, 32, seed=11, dtype=torch.float32).clamp(-1, 1)
    eyes = torch.zeros(32, 32)
    eyes[10:14, 6:26] = 1
    strip = editing.strip(denoiser, image, 0.5, k=2, alphas=(-2, 0, 2), mask=eyes, null=2, steps=6)
    assert (
        strip.images.shape == (2, 3, 3, 32, 32)
        and bool(strip.images.isfinite().all())
        and strip.error < 0.5
    )
    assert (strip.images[:, 0] - strip.images[:, 2]).abs().amax((1, 2, 3)).min() > 1e-3
    assert strip.directions.vectors.shape == (1, 2, 3, 32, 32)
    shown = attributes.measure(strip.images.flatten(0, 1).clamp(-1, 1))
    assert list(shown) == list(attributes.NAMES) and all(
        v.shape == (6,) and bool(v.isfinite().all()) for v in shown.values()
    )


# directions to compare with


def test_smooth_directions_have_the_spectrum_of_the_images_and_random_phases():
    images = torch.nn.functional.avg_pool2d(
        normal(200, 1, 20, 20, seed=12), 5, 1
    )  # (200, 1, 16, 16)
    found = editing.smooth(images, 400, generator=rng(13))
    assert worst(found.flatten(1).norm(dim=1), torch.ones(400, dtype=torch.float64)) < 1e-10

    def spectrum(x):
        power = torch.fft.fft2(x - x.mean(0)).abs().square().mean(0)
        return power / power.sum()

    wanted, white = (
        spectrum(images),
        spectrum(editing.white((1, 16, 16), 400, generator=rng(14), dtype=torch.float64)),
    )
    assert (spectrum(found) - wanted).abs().sum() < 0.15 < (white - wanted).abs().sum()
    mixed = editing.smooth(
        images[:, :, torch.randperm(16, generator=rng(15))], 400, generator=rng(13)
    )
    assert (spectrum(mixed) - wanted).abs().sum() > 0.3


def test_drawn_directions_have_the_covariance_and_principal_ones_lead_it():
    images = normal(300, 12, seed=16) * torch.linspace(0.2, 3, 12, dtype=torch.float64)
    covariance = torch.cov(images.T)
    found = editing.drawn(images, 4000, generator=rng(17))
    shape = found.T @ found / len(found)
    diagonal = covariance.diagonal() / covariance.trace()
    assert (
        (shape.diagonal() - diagonal).abs().max()
        < 0.05
        < (torch.full((12,), 1 / 12, dtype=torch.float64) - diagonal).abs().max()
    )
    assert torch.corrcoef(torch.stack([shape.diagonal(), diagonal]))[0, 1] > 0.95
    axes = torch.linalg.eigh(covariance).eigenvectors.flip(1)[:, :3]
    assert (
        worst((editing.principal(images, 3) @ axes).abs(), torch.eye(3, dtype=torch.float64)) < 1e-8
    )


# what an edit does


def test_linearity_is_one_for_a_line_and_falls_where_it_bends():
    alphas, b = torch.tensor([-2.0, -1, 1, 2], dtype=torch.float64), normal(3, 7, seed=18)
    line = alphas[:, None] * b[:, None]
    assert worst(editing.linearity(line, alphas), torch.ones(3, dtype=torch.float64)) < EXACT
    assert (
        worst(
            editing.linearity(alphas.abs()[:, None] * b[:, None], alphas),
            torch.zeros(3, dtype=torch.float64),
        )
        < EXACT
    )
    bent = editing.linearity(
        alphas.sign()[:, None] * b[:, None], alphas
    )  # b is (1+2+2+1) / 10 of the step, R^2 = 0.9
    assert worst(bent, torch.full((3,), 0.9, dtype=torch.float64)) < EXACT


def test_interaction_and_leak():
    a, b = normal(5, 7, seed=19), normal(5, 7, seed=20)
    assert editing.interaction(a + b, a, b).max() < EXACT
    assert (
        worst(editing.interaction(1.5 * (a + b), a, b), torch.full((5,), 0.5, dtype=torch.float64))
        < EXACT
    )
    inside = CORNER * normal(2, *EVENT, seed=21)
    assert (
        editing.leak(inside, CORNER).max() == 0
        and worst(editing.leak(normal(2, *EVENT) * (1 - CORNER), CORNER), torch.ones(2).double())
        < EXACT
    )
    assert editing.leak(torch.ones(EVENT), CORNER).item() == pytest.approx(18 / 24)


# attributes


def drawing(*boxes, size=20):
    x = -torch.ones(1, 1, size, size)
    for top, bottom, left, right in boxes:
        x[..., top:bottom, left:right] = 1
    return x


def value(name, *boxes):
    return float(attributes.measure(drawing(*boxes))[name])


def test_attributes_of_drawings_are_as_computed_by_hand():
    box = (5, 15, 8, 12)  # 10 high, 4 wide, in the middle
    assert value("mass", box) == pytest.approx(40 / 400)
    assert value("width", box) == pytest.approx(2 * ((16 - 1) / 12) ** 0.5 / 20)
    assert value("height", box) == pytest.approx(2 * ((100 - 1) / 12) ** 0.5 / 20)
    assert value("slant", box) == pytest.approx(0) and value("contrast", box) == pytest.approx(0)
    assert value("symmetry", box) == pytest.approx(1) and value(
        "symmetry", (5, 15, 0, 4)
    ) == pytest.approx(0)
    assert value("balance", (0, 10, 8, 12)) == pytest.approx(5 / 20)
    assert value("sides", (0, 20, 0, 5)) == pytest.approx(0.5) and value("sides", box) == 0
    assert value("legs", (0, 20, 5, 15)) == pytest.approx(0)
    assert value("legs", (10, 20, 5, 8), (10, 20, 12, 15)) == pytest.approx(1)


def test_attributes_follow_what_they_are_named_for():
    steps = [drawing((18 - 3 * i, 20 - 3 * i, 2 + 3 * i, 6 + 3 * i)) for i in range(5)]
    italic = torch.stack(steps).amax(0)  # goes to the right as it rises
    assert (
        attributes.measure(italic)["slant"] > 0.5
        and attributes.measure(italic.flip(3))["slant"] < -0.5
    )
    wide = -torch.ones(1, 1, 16, 32)
    for i in range(16):  # one pixel to the left for each downwards, and the same on a square
        wide[..., i, 24 - i] = 1
    assert (
        float(attributes.measure(wide)["slant"])
        == pytest.approx(float(attributes.measure(wide[..., 8:25])["slant"]))
        == pytest.approx(1)
    )
    thin, thick = value("stroke", (2, 18, 9, 10)), value("stroke", (2, 18, 7, 13))
    assert thick > 2 * thin
    grey = drawing((5, 15, 5, 15))
    grey[..., 5:15:2, :] = torch.where(grey[..., 5:15:2, :] > 0, 0.0, -1.0)
    assert attributes.measure(grey)["contrast"] > 0.1
    blank = attributes.measure(-torch.ones(2, 3, 16, 16))
    assert all(bool(v.isfinite().all()) for v in blank.values())


def test_spread_is_within_classes():
    x = torch.cat(
        [drawing((0, 2 + k, 0, 4)) for k in range(3)]
        + [drawing((0, 16 + k, 0, 20)) for k in range(3)]
    )
    y = torch.tensor([0, 0, 0, 1, 1, 1])
    mass = attributes.measure(x)["mass"]
    pooled = ((mass[:3].var() * 2 + mass[3:].var() * 2) / 4).sqrt()
    assert attributes.spread(x, y)["mass"] == pytest.approx(float(pooled))
    assert (
        attributes.spread(x)["mass"] == pytest.approx(float(mass.std())) and mass.std() > 3 * pooled
    )


def test_log_odds():
    p = torch.tensor([[0.7, 0.2, 0.1]], dtype=torch.float64)
    assert worst(attributes.log_odds(p.log()), (p / (1 - p)).log()) < EXACT


# the test of movement

ALPHAS = torch.tensor([-2.0, -1, -0.5, 0, 0.5, 1, 2])


def test_movement_is_a_regression_of_scipy_with_holm():
    values = {
        name: normal(3, 2, 7, seed=30 + k) + 0.8 * k * ALPHAS.double()
        for k, name in enumerate("abc")
    }
    found = attributes.movement(ALPHAS, values, dict.fromkeys("abc", 2.0))
    raw = np.array(
        [
            [
                [
                    scipy_stats.linregress(ALPHAS.numpy(), values[n][i, j].numpy() / 2).pvalue
                    for n in "abc"
                ]
                for j in range(2)
            ]
            for i in range(3)
        ]
    )
    effect = scipy_stats.linregress(ALPHAS.numpy(), values["c"][1, 1].numpy() / 2).slope * 2
    assert found.effect[1, 1, 2] == pytest.approx(effect) and found.p.shape == (3, 2, 3)
    for image in range(3):
        order = raw[image].ravel().argsort()
        running, by_hand = 0.0, np.zeros(6)
        for rank, k in enumerate(order):
            running = max(running, min(1.0, (6 - rank) * raw[image].ravel()[k]))
            by_hand[k] = running
        np.testing.assert_allclose(found.p[image].ravel(), by_hand, rtol=1e-6)
    assert found.p.max() > 0.05 > found.p.min()


def test_jumps_and_turns_are_no_movement_and_small_steps_are_not_either():
    a = ALPHAS.double()
    cases = {
        "line": a,
        "turn": a.abs() * 3,
        "jump": 5 * (a > 1.5),
        "small": 0.2 * a,
        "still": torch.ones(7).double(),
    }
    for name, curve in cases.items():
        found = attributes.movement(
            ALPHAS, {"one": (curve + 1e-3 * normal(7, seed=40))[None, None]}, {"one": 1.0}
        )
        assert bool(found.any.item()) == (name == "line"), name
    still = attributes.movement(ALPHAS, {"one": torch.ones(1, 1, 7)}, {"one": 1.0})
    assert still.p.item() == 1 and not still.any.item()


def test_noise_passes_no_more_often_than_the_level_says():
    noise = {
        str(k): 5 * normal(400, 4, 7, seed=50 + k) for k in range(10)
    }  # 40 tests an image, steps large enough
    images = attributes.movement(ALPHAS, noise, dict.fromkeys(noise, 1.0)).any.any(-1)
    assert images.sum() <= scipy_stats.binom.ppf(1 - 1e-4, 400, 0.05)
    uncorrected = (
        attributes.movement(ALPHAS, noise, dict.fromkeys(noise, 1.0), level=0.9999)
        .any.any(-1)
        .mean()
    )
    assert uncorrected > 0.5  # without the correction the size alone would let most through


# bad input

X = normal(2, *EVENT)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: editing.directions(EXACT_ONE, X, 0.5, 0), "k"),
        (lambda: editing.directions(EXACT_ONE, X, 0.5, 7, CORNER), "k"),
        (lambda: editing.directions(EXACT_ONE, X, 0.5, 1, null=2), "null"),
        (lambda: editing.directions(EXACT_ONE, X, 0.5, 1, CORNER, null=19), "null"),
        (lambda: editing.directions(EXACT_ONE, X, 0.5, 1, CORNER, null=-1), "null"),
        (
            lambda: editing.directions(EXACT_ONE, X, 0.5, 1, CORNER, null=K * D),
            "null",
        ),  # all that the denoiser reacts to
        (lambda: editing.directions(EXACT_ONE, X, 0.5, 1, torch.ones(EVENT)), "mask"),
        (lambda: editing.directions(EXACT_ONE, X, 0.5, 1, CORNER / 2), "mask"),
        (lambda: editing.directions(EXACT_ONE, X, 0.5, 1, torch.ones(5, 5)), "mask.shape"),
        (lambda: editing.directions(EXACT_ONE, X / 0, 0.5, 1), "x_t"),
        (lambda: editing.invert(EXACT_ONE, X, 0.0), "t"),
        (lambda: editing.invert(EXACT_ONE, X, 0.5, steps=0), "steps"),
        (lambda: editing.invert(EXACT_ONE, X, 0.5, corrections=-1), "corrections"),
        (lambda: editing.finish(EXACT_ONE, X * torch.nan, 0.5), "x_t"),
        (lambda: editing.finish(EXACT_ONE, X, 1.5), "t"),
        (lambda: editing.edit(EXACT_ONE, X, 0.5, torch.ones(3, 5, 5)), "shifts.shape"),
        (lambda: editing.edit(EXACT_ONE, X, 0.5, torch.ones(3, 2, *EVENT)), "shifts.shape"),
        (lambda: editing.strip(EXACT_ONE, X[0], alphas=()), "alphas"),
        (lambda: editing.strip(EXACT_ONE, X[0], alphas=(1, float("nan"))), "alphas"),
        (lambda: editing.white(EVENT, 0, generator=rng()), "m"),
        (lambda: editing.smooth(X, 1, generator=rng()), "images.shape"),
        (lambda: editing.drawn(torch.ones(4, 3), 1, generator=rng()), "images"),
        (lambda: editing.principal(X, 2), "m"),
        (lambda: editing.linearity(normal(4, 3), torch.zeros(4)), "alphas"),
        (lambda: editing.interaction(X, X, X[:1]), "both.shape"),
        (lambda: attributes.measure(torch.ones(2, 1, 4, 4)), "images.shape"),
        (lambda: attributes.spread(torch.ones(2, 1, 8, 8), torch.tensor([0])), "labels.shape"),
        (lambda: attributes.spread(torch.ones(2, 1, 8, 8), torch.tensor([0, 1])), "labels"),
        (lambda: attributes.log_odds(torch.ones(3, 1)), "logits.shape"),
        (
            lambda: attributes.movement(
                ALPHAS, {"a": torch.full((1, 7), float("nan"))}, {"a": 1.0}
            ),
            "values",
        ),
        (
            lambda: editing.leak(normal(2, *EVENT), torch.ones(EVENT[0] + 1, *EVENT[1:])),
            "mask.shape",
        ),
        (lambda: attributes.log_odds(torch.tensor([1.0, torch.inf])), "logits"),
        (lambda: attributes.movement(ALPHAS[:3], {"a": torch.ones(1, 1, 3)}, {"a": 1.0}), "alphas"),
        (lambda: attributes.movement(ALPHAS, {"a": torch.ones(1, 1, 6)}, {"a": 1.0}), "values"),
        (lambda: attributes.movement(ALPHAS, {"a": torch.ones(1, 1, 7)}, {"b": 1.0}), "spread"),
        (
            lambda: attributes.movement(ALPHAS, {"a": torch.ones(1, 1, 7)}, {"a": 1.0}, level=1.0),
            "level",
        ),
        (lambda: stats.holm(np.array([[2.0]])), "p"),
    ],
)
def test_bad_input_is_named(call, name):
    with complains(name):
        call()


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-25, 1e-3, 1.0, 1e3, 1e25])
def test_what_edits_do_knows_no_scale(dtype, scale):
    if dtype == torch.float16 and not 1e-3 <= scale <= 1e3:
        pytest.skip("beyond its range")
    tolerance = 1e3 * torch.finfo(torch.promote_types(dtype, torch.float32)).eps
    tolerance = 2e-2 if dtype == torch.float16 else tolerance
    x, alphas = normal(2, 5, 12288), torch.tensor([-2.0, -1, 0.5, 1, 3], dtype=torch.float64)
    x = x + alphas.unsqueeze(-1) * normal(12288, seed=1)
    mask = torch.arange(12288) < 6000
    there = (scale * x).to(dtype)
    assert there.isfinite().all()
    result = editing.linearity(there, (scale * alphas).to(dtype))
    assert result.dtype == torch.promote_types(dtype, torch.float32)
    expected = editing.linearity(x, alphas)
    assert 0.1 < expected.min() < expected.max() < 0.9 and worst(result, expected) < tolerance
    leaks = editing.leak(there, mask)
    assert worst(leaks, x[..., 6000:].square().sum(-1) / x.square().sum(-1)) < tolerance
    mixed = editing.interaction(*there[0, :3])
    assert worst(mixed, (x[0, 0] - x[0, 1] - x[0, 2]).norm() / (x[0, 1] + x[0, 2]).norm()) < (
        10 * tolerance
    )
