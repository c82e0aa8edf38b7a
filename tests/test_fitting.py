"""EM for a mixture of probabilistic PCA: against closed forms, known laws, and its own ascent."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from factories import bases, complains, covariances, normal, rng, worst
from scipy import stats

from molrg import MoLRG
from molrg.mixture import best, fitting, held_out
from molrg.schedules import EDM
from molrg.subspaces import clustering_accuracy, subspace_error


def law(n: int = 20, dims: tuple[int, ...] = (3, 3, 3), noise: float = 0.1) -> MoLRG:
    """Well separated components with weights and spectra of their own."""
    weights = torch.arange(1.0, len(dims) + 1) / sum(range(1, len(dims) + 1))
    means = [2 * normal(n, seed=k) for k in range(len(dims))]
    spectra = [torch.linspace(2.0, 0.5, d, dtype=torch.float64) for d in dims]
    return MoLRG(bases(n, list(dims)), weights, means, spectra, noise)


# oracle


def test_one_component_is_probabilistic_pca():
    x = law().sample(400, generator=rng(1))[0]
    mixture = MoLRG.fit(x, 1, 4, starts=1, generator=rng())
    spectrum = torch.linalg.eigvalsh(torch.cov(x.mT, correction=0)).flip(0)
    noise = spectrum[4:].mean()
    assert abs(mixture.noise**2 - noise.item()) < 1e-12
    assert worst(mixture.variances[0], spectrum[:4] - noise) < 1e-10
    assert worst(mixture.means[0], x.mean(0)) < 1e-12
    likelihood = -0.5 * (20 * math.log(2 * math.pi) + spectrum[:4].log().sum() + 20)
    likelihood = likelihood - 0.5 * 16 * noise.log()
    assert abs(mixture.history[-1] - likelihood.item()) < 1e-10


def test_likelihood_of_clean_points_is_scipys():
    mixture, x = law(), law().sample(30, generator=rng(2))[0]
    pairs = zip(mixture.means, covariances(mixture), mixture.weights, strict=True)
    logs = [stats.multivariate_normal(m, c).logpdf(x) + math.log(w) for m, c, w in pairs]
    expected = torch.stack([torch.from_numpy(log) for log in logs]).logsumexp(0)
    assert worst(mixture.log_likelihood(x), expected) < 1e-9


def test_likelihood_of_clean_points_is_the_limit_of_no_noise():
    mixture, x = law(noise=0.5), law().sample(30, generator=rng(2))[0]
    least = mixture.log_prob(x, 0.0, EDM())
    assert worst(mixture.log_likelihood(x), least) < 0.05


def test_history_is_the_likelihood_of_the_points():
    x = law().sample(200, generator=rng(1))[0]
    mixture = MoLRG.fit(x, 3, 3, generator=rng())
    assert abs(mixture.history[-1] - mixture.log_likelihood(x).mean().item()) < 1e-9


@pytest.mark.parametrize("N", [30, 60])
def test_fewer_points_than_pixels_is_the_same_likelihood(N):
    x = law(n=80).sample(N, generator=rng(1))[0]
    mixture = MoLRG.fit(x, 2, 3, starts=1, generator=rng())
    assert abs(mixture.history[-1] - mixture.log_likelihood(x).mean().item()) < 1e-8


def test_small_leading_variances_join_the_noise():
    x = normal(60, 12)
    mixture = MoLRG.fit(x, 3, 8, starts=1, generator=rng())
    assert all((spectrum > 0).all() for spectrum in mixture.variances)
    # no other noise does better, the subspaces and all else being kept
    for factor in (0.98, 1.02):
        noise = mixture.noise * factor
        totals = [spectrum + mixture.noise**2 for spectrum in mixture.variances]
        spectra = [(total - noise**2).clamp_min(1e-9) for total in totals]
        parts = (mixture.bases, mixture.weights, mixture.means, spectra)
        other = MoLRG(*parts, noise)
        assert other.log_likelihood(x).mean() < mixture.log_likelihood(x).mean()


# statistical


def test_known_mixture_is_recovered():
    true = law()
    x, labels = true.sample(3000, generator=rng(3))
    mixture = MoLRG.fit(x, 3, 3, generator=rng())
    w = mixture.responsibilities(x, 0.0, EDM()).argmax(1)
    assert clustering_accuracy(w, labels) > 0.999
    assert subspace_error(mixture.bases, true.bases) < 0.05
    assert abs(mixture.noise - true.noise) < 0.01
    assert worst(mixture.weights.sort().values, true.weights.sort().values) < 0.03


def test_held_out_likelihood_chooses_the_known_size():
    x = law().sample(1200, generator=rng(4))[0]
    sizes = [(K, d) for K in (2, 3, 4) for d in (2, 3, 5)]
    table = held_out(x[:800], x[800:], sizes, starts=3, generator=rng())
    assert best(table) == (3, 3)
    most = table.loc[table["fitted"].idxmax()]
    assert (most["K"], most["d"]) != (3, 3)  # the fitted likelihood alone prefers more


# invariance


@pytest.mark.parametrize(("N", "n"), [(200, 20), (40, 60)])
def test_the_likelihood_never_falls(N, n):
    x = law(n=n, noise=0.6).sample(N, generator=rng(1))[0]
    mixture = MoLRG.fit(x, 4, 3, starts=3, tolerance=0.0, generator=rng())
    assert len(mixture.histories) == 3
    assert len(mixture.history) > 3
    for history in mixture.histories:
        assert all(later >= earlier - 1e-9 for earlier, later in pairwise(history))
    assert mixture.history[-1] == max(history[-1] for history in mixture.histories)


def test_rotated_points_give_the_rotated_mixture():
    x = law().sample(300, generator=rng(1))[0]
    rotation = torch.linalg.qr(normal(20, 20))[0]
    first = MoLRG.fit(x, 3, 3, starts=1, generator=rng())
    second = MoLRG.fit(x @ rotation.mT, 3, 3, starts=1, generator=rng())
    assert abs(first.history[-1] - second.history[-1]) < 1e-6


def test_one_generator_one_fit():
    x = law().sample(300, generator=rng(1))[0]
    first, second = (MoLRG.fit(x, 3, 3, generator=rng(5)) for _ in range(2))
    assert worst(first.columns, second.columns) == 0
    assert first.history == second.history


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_dtype_is_that_of_the_points(dtype):
    x = law().sample(300, generator=rng(1))[0].to(dtype)
    mixture = MoLRG.fit(x, 2, 3, starts=1, generator=rng())
    parts = (mixture.columns, mixture.weights, *mixture.means, mixture.log_likelihood(x))
    assert {part.dtype for part in parts} == {dtype}


def test_points_without_noise_have_an_ending():
    x = law(noise=0.0).sample(200, generator=rng(1))[0]
    mixture = MoLRG.fit(x, 3, 3, generator=rng())
    assert 0 < mixture.noise < 1e-3


def test_the_least_noise_is_a_share_of_the_mean_square_of_a_coordinate():
    """Points of a plane leave no variance: the floor is all there is."""
    x = 3 * normal(50, 2) @ bases(6, [2])[0].mT + 5
    mixture = MoLRG.fit(x, 1, 2, starts=1, generator=rng())
    mean_square = (x - x.mean(0)).square().mean().item()
    assert mixture.noise**2 == pytest.approx(fitting._LEAST_NOISE * mean_square, rel=1e-9)


@pytest.mark.parametrize("left", [0.0, fitting._MEMBER])
def test_a_component_that_lost_its_points_stays_as_it_was(left):
    """Points of next to no responsibility, even where several sum to more than one may have."""
    span = fitting._Span(normal(12, 4, seed=3), None, torch.zeros(4), n=4)
    shares = torch.zeros(12, 2, dtype=torch.float64)
    shares[:6, 0] = shares[6:, 1] = 1.0
    before = fitting._maximise(span, shares, 2, None)
    shares[:, 0], shares[:, 1] = 1.0, left
    after = fitting._maximise(span, shares, 2, before)
    assert torch.equal(after.means[1], before.means[1])
    assert torch.equal(after.rows[2:], before.rows[2:])
    assert torch.allclose(after.means[0], span.points.mean(0))


def test_groups_are_one_step_and_em_improves_on_it():
    x, labels = law(noise=0.5).sample(400, generator=rng(1))
    drawn = torch.randint(3, labels.shape, generator=rng(2))
    true, random = MoLRG.of_labels(x, labels, 3), MoLRG.of_labels(x, drawn, 3)
    fitted = MoLRG.fit(x, 3, 3, generator=rng())
    likelihoods = [m.log_likelihood(x).mean().item() for m in (random, true, fitted)]
    assert likelihoods[1] <= likelihoods[2] + 1e-9
    assert likelihoods[0] < likelihoods[1] - 1


# bite


def bad(x=None, K=2, d=2, **options):
    x = normal(30, 5) if x is None else x
    return MoLRG.fit(x, K, d, generator=rng(), **options)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("K", {"K": 0}),
        ("K", {"K": 31}),
        ("d", {"d": 0}),
        ("d", {"d": 5}),
        ("len(x)", {"K": 10}),
        ("x", {"x": torch.full((30, 5), math.nan)}),
        ("x", {"x": torch.ones(30, 5)}),
        ("x", {"x": torch.ones(30, 5, dtype=torch.int64)}),
        ("x.shape", {"x": normal(2, 30, 5)}),
        ("starts", {"starts": 0}),
        ("iterations", {"iterations": 0}),
        ("tolerance", {"tolerance": -1.0}),
    ],
)
def test_bad_input_is_named(name, arguments):
    with complains(name):
        bad(**arguments)


def test_bad_groups_are_named():
    with complains("labels"):
        MoLRG.of_labels(normal(30, 5), torch.zeros(29, dtype=torch.int64), 2)


def test_no_density_without_noise():
    with complains("noise"):
        law(noise=0.0).log_likelihood(normal(3, 20))


def test_no_size_no_choice():
    with complains("table"):
        best(held_out(normal(30, 5), normal(9, 5), [], generator=rng()))


@pytest.mark.parametrize(("dtype", "scale"), [(torch.float16, 1.0), (torch.float32, 1e-15)])
def test_axes_beyond_the_rank_of_the_points_keep_a_variance_in_their_dtype(dtype, scale):
    x = (scale * torch.nn.functional.pad(normal(40, 2), (0, 6))).to(dtype)
    mixture = MoLRG.fit(x, 1, 4, starts=1, generator=rng())
    (spectrum,) = mixture.variances
    assert spectrum.dtype == dtype and (spectrum > 0).all()
    assert (spectrum[2:].double() < 1e-6 * scale**2).all()
    assert mixture.log_likelihood(x).isfinite().all()


def test_a_round_cloud_in_half_precision_is_all_noise():
    x = torch.cat([torch.eye(8), -torch.eye(8)]).half()
    mixture = MoLRG.fit(x, 1, 2, starts=1, generator=rng())
    assert (mixture.variances[0] < 1e-6).all() and mixture.noise == pytest.approx(8**-0.5)


def test_variances_that_the_dtype_does_not_hold_are_the_fault_of_x():
    x = normal(40, 8)
    for spoiled in (1e-25 * x.float(), x.mul(1e-4).half(), 1e21 * x.float()):
        with complains("x"):
            MoLRG.fit(spoiled.to(spoiled.dtype), 1, 2, starts=1, generator=rng())
