"""Jacobians: against closed forms and torch's own, dense against by products, one against many."""

# mypy: disable-error-code="arg-type, call-arg, list-item"
# bad input is handed over on purpose

from __future__ import annotations

import copy
import doctest
from functools import partial
from typing import cast

import numpy as np
import pytest
import torch
from factories import EXACT, complains, general, normal, rng, worst

from molrg import MoLRG, denoisers, jacobian, schedules
from molrg.denoisers import networks
from molrg.jacobian import krylov, ranks

VP = schedules.VP()


class Linear:
    """x0_hat = A x_t: its Jacobian is A, which need not be symmetric."""

    schedule = VP

    def __init__(self, A):
        self.A = A

    def __call__(self, x_t, t):
        return (x_t.flatten(1) @ self.A.T.to(x_t.dtype)).reshape(x_t.shape)


def with_spectrum(values, seed=0):
    """A non-symmetric matrix with given singular values."""
    n = len(values)
    left, right = (torch.linalg.qr(normal(n, n, seed=seed + k)).Q for k in range(2))
    return (left * torch.as_tensor(values, dtype=torch.float64)) @ right.T


def unet(prediction="v"):
    """A small diffusers network with attention, on 8 x 8 images, in single precision."""
    from diffusers import UNet2DModel

    torch.manual_seed(0)
    blocks = {
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    }
    sizes = {
        "sample_size": 8,
        "in_channels": 1,
        "out_channels": 1,
        "layers_per_block": 1,
        "block_out_channels": (8, 16),
    }
    return networks.UNet(
        UNet2DModel(**blocks, **sizes, norm_num_groups=4).eval(),
        schedules.DDPM(),
        prediction=prediction,
    )


def producers():
    """Denoisers of every kind with points and times for them; the last entry is a tolerance."""
    mixture = general(noise=0.2)
    x = normal(3, 6, seed=5)
    bases = [b for b in mixture.bases if b.shape[1] > 1]
    ensemble = denoisers.MLP(6, VP, width=16, prediction="eps", ensemble=(2,), generator=rng())
    for weight in ensemble.weights:  # the last layer starts at zero
        weight.data += 0.3 * torch.randn(weight.shape, generator=rng(1))
    t = torch.tensor([0.2, 0.5, 0.9])
    return {
        "mixture": (mixture.denoiser(VP), x, t, EXACT),
        "low-rank": (denoisers.LowRank(bases, VP), x, 0.4, EXACT),
        "empirical": (denoisers.Empirical(normal(9, 2, 3), VP), x.reshape(3, 2, 3), 0.6, EXACT),
        "Gaussian": (denoisers.Gaussian(normal(30, 6), VP), x, t, EXACT),
        "ensemble": (ensemble, normal(2, 3, 6, seed=6, dtype=torch.float32), 0.5, 1e-5),
        "U-Net": (unet(), normal(2, 1, 8, 8, seed=7, dtype=torch.float32), 0.6, 1e-5),
    }


NAMES = ("mixture", "low-rank", "empirical", "Gaussian", "U-Net")
each = pytest.mark.parametrize("name", [*NAMES, "ensemble"])


def by_torch(denoiser, x, t):
    """The diagonal blocks of the Jacobian that torch computes of the whole batch: all there is."""
    lead = len(denoisers.ensemble_of(denoiser)) + 1
    P, n = x.shape[:lead].numel(), x.shape[lead:].numel()
    whole = torch.autograd.functional.jacobian(lambda z: denoiser(z, t), x).reshape(P, n, P, n)
    own = torch.stack([whole[p, :, p] for p in range(P)])
    assert whole.square().sum() == pytest.approx(float(own.square().sum()), rel=1e-6)
    return own.reshape(*x.shape[:lead], n, n)


# oracles


def test_the_jacobian_of_a_linear_map_is_its_matrix_and_not_the_transpose():
    A = with_spectrum([3.0, 2, 1, 0.5])
    J = jacobian.dense(Linear(A), normal(2, 2, 2), 0.3)
    assert worst(J, A.expand(2, 4, 4)) < EXACT
    assert worst(J, A.T.expand(2, 4, 4)) > 0.1  # the wrong variant is seen
    U, S, Vh = jacobian.top_singular(Linear(A), normal(1, 4), 0.3, 4)
    assert worst(S, torch.tensor([[3.0, 2, 1, 0.5]], dtype=torch.float64)) < EXACT
    assert worst(U * S.unsqueeze(-2) @ Vh, A[None]) < EXACT
    assert worst(Vh.mT * S.unsqueeze(-2) @ U.mT, A[None]) > 0.1


@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_a_gaussian_has_the_shrinkage_of_the_wiener_filter(t):
    data = normal(60, 8) * torch.linspace(0.1, 2, 8, dtype=torch.float64)
    s, gamma = VP.s(t), VP.gamma(t)
    variances = torch.linalg.eigvalsh(torch.cov(data.T, correction=0)).flip(0)
    expected = (s * variances / (s**2 * variances + gamma**2)).expand(2, 8)
    x = normal(2, 8, seed=3)
    assert (
        worst(torch.linalg.svdvals(jacobian.dense(denoisers.Gaussian(data, VP), x, t)), expected)
        < EXACT
    )
    found = jacobian.top_singular(denoisers.Gaussian(data, VP), x, t, 5)[1]
    assert worst(found, expected[:, :5]) < 1e-6 * expected.max()


@pytest.mark.parametrize(("sigma", "expected"), [(0.05, 6), (10.0, 12)])
def test_a_mixture_has_rank_d_at_low_noise_and_k_d_at_high(sigma, expected):
    mixture = MoLRG.random(48, [6, 6], generator=rng())
    t = VP.t_of_sigma(sigma)
    s, gamma = VP.at(t, mixture.bases[0])
    x_t = s * mixture.sample(4, generator=rng(1))[0] + gamma * normal(4, 48, seed=2)
    J = jacobian.dense(mixture.denoiser(VP), x_t, t)
    assert jacobian.numerical_rank(torch.linalg.svdvals(J)).tolist() == [expected] * 4
    found = jacobian.rank(mixture.denoiser(VP), x_t, t, block=5)
    assert found.low.tolist() == found.rank.tolist() == found.high.tolist() == [expected] * 4
    assert found.products < 2 * 48


def test_a_posterior_mean_has_the_posterior_covariance_as_jacobian():
    data, t, x = normal(12, 5), 0.4, normal(2, 5, seed=4)
    empirical = denoisers.Empirical(data, VP)
    weights = empirical.weights(x, t)
    centred = data - (weights @ data).unsqueeze(1)
    covariance = torch.einsum("bi,bij,bik->bjk", weights, centred, centred)
    J = jacobian.dense(empirical, x, t)
    assert worst(J, VP.s(t) / VP.gamma(t) ** 2 * covariance) < EXACT
    assert jacobian.asymmetry(J).max() < EXACT and torch.linalg.eigvalsh(J).min() > -EXACT


def test_asymmetry_is_0_for_symmetric_and_1_for_antisymmetric_matrices():
    A = normal(3, 7, 7)
    assert jacobian.asymmetry(A + A.mT).max() < EXACT
    assert (jacobian.asymmetry(A - A.mT) - 1).abs().max() < EXACT
    assert float(jacobian.asymmetry(torch.zeros(7, 7))) == 0
    assert jacobian.asymmetry(normal(300, 300)).item() == pytest.approx(
        0.5**0.5, abs=0.02
    )  # standard error 0.002


def _convolutions():
    """Networks of two convolutions, with every way to say how."""
    w = [normal(4, 1, 3, 3, seed=1), normal(1, 4, 3, 3, seed=2), normal(4, 2, 3, 3, seed=3)]
    conv = torch.nn.functional.conv2d
    last = lambda x: conv(x.tanh(), w[1], None, 1, 1)
    return {
        "with a bias": lambda x: last(conv(x, w[0], normal(4), 1, 1)),
        "by name": lambda x: conv(conv(x, w[0], stride=1, padding=1).tanh(), w[1], padding="same"),
        "padding by name": lambda x: last(conv(x, w[0], None, 1, "same")),
        "dilated": lambda x: last(conv(x, w[0], None, (1, 1), (2, 2), (2, 2), 1)),
        "with strides": lambda x: torch.nn.functional.interpolate(
            last(conv(x, w[0], None, 2, 1)), scale_factor=2.0
        ),
        "wider padding than kernel": lambda x: last(conv(x, w[0][:, :, :1, :1], None, 1, 1))[
            ..., 1:-1, 1:-1
        ],
        "not square": lambda x: last(conv(x, w[0][:, :, :, :1], None, (1, 1), (1, 0))),
        "in groups": lambda x: last(conv(conv(x, w[0], None, 1, 1), w[2], None, 1, 1, 1, 2)),
    }


@pytest.mark.parametrize("name", _convolutions())
def test_products_through_convolutions_of_every_kind(name):
    network, x = _convolutions()[name], normal(2, 1, 6, 6)
    linear, V = jacobian.Linearised(lambda x_t, t: network(x_t), x, 0.5), normal(2, 36, 5)
    J = torch.stack(
        [
            torch.autograd.functional.jacobian(network, x[p : p + 1]).reshape(36, 36)
            for p in range(2)
        ]
    )
    assert worst(linear.jvp(V), J @ V) < EXACT and worst(linear.vjp(V), J.mT @ V) < EXACT


def test_what_is_no_plain_convolution_is_left_to_torch():
    """Weights that follow the point, an input given by name, and the autocast of a network."""
    conv, w, x = torch.nn.functional.conv2d, normal(1, 1, 3, 3), normal(1, 1, 5, 5)
    several = {
        "own weights": lambda x_t, t: conv(x_t, w * x_t.mean(), None, 1, 1),
        "by name": lambda x_t, t: conv(input=x_t, weight=w, padding=1).tanh(),
    }
    for denoiser in several.values():
        whole = torch.autograd.functional.jacobian(partial(denoiser, t=0.5), x)
        J = whole.reshape(25, 25)
        linear, axes = (
            jacobian.Linearised(denoiser, x, 0.5),
            torch.eye(25, dtype=torch.float64)[None].split(1, dim=-1),
        )
        # one product at a time: a mean over a batch would mix the copies of a point
        assert worst(torch.cat([linear.jvp(axis) for axis in axes], -1), J[None]) < EXACT
        assert worst(torch.cat([linear.vjp(axis) for axis in axes], -1), J.T[None]) < EXACT

    def half(x_t, t):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return conv(x_t, w.float(), None, 1, 1).float()

    exact = torch.autograd.functional.jacobian(
        lambda z: conv(z, w.float(), None, 1, 1), x.float()
    ).reshape(25, 25)
    assert (
        worst(jacobian.dense(half, x.float(), 0.5), exact[None]) < 0.05
    )  # bfloat16 has three digits


def test_a_step_function_has_no_jacobian_to_speak_of():
    linear = jacobian.Linearised(lambda x_t, t: x_t.round(), normal(2, 4), 0.5)
    assert not linear.jvp(normal(2, 4, 3)).any() and not linear.vjp(normal(2, 4, 3)).any()


@pytest.mark.parametrize("name", NAMES)
def test_one_time_may_have_an_axis(name):
    denoiser, x, _, tolerance = producers()[name]
    for t in (torch.tensor([0.4]), torch.tensor(0.4)):
        assert worst(jacobian.dense(denoiser, x, t), jacobian.dense(denoiser, x, 0.4)) < max(
            tolerance, 1e-6
        )
    with complains("t.shape"):
        jacobian.dense(denoiser, x, torch.full((len(x) + 1,), 0.4))


# the rule


def test_the_energy_rule_on_equal_values():
    ranks = [int(jacobian.numerical_rank(torch.ones(m))) for m in range(1, 60)]
    assert ranks[:50] == list(range(1, 51)) and ranks[50:] == list(range(50, 59))


def test_the_energy_rule_counts_squares_with_eta_squared():
    values = torch.tensor([1.0, 0.2, 0.145, 0.1, 0.05])  # squares: 1, .04, .021025, .01, .0025
    assert int(jacobian.numerical_rank(values)) == 3  # .9884 > .9801 >= .9688
    assert int(jacobian.numerical_rank(values, eta=0.99**0.5)) == 4  # eta not squared: .9884 < .99
    assert int(jacobian.numerical_rank(values.sqrt())) == 5  # values in place of squares
    shuffled = 7 * values[torch.tensor([3, 0, 4, 2, 1])]
    both = torch.stack([shuffled, torch.zeros(5)])
    assert jacobian.numerical_rank(both).tolist() == [3, 0]


@pytest.mark.parametrize("unit", [1e-200, 1.0, 1e200])
def test_the_energy_rule_knows_no_unit(unit):
    values = unit * torch.tensor([1.0, 0.2, 1e-180], dtype=torch.float64)  # squares out of range
    assert int(jacobian.numerical_rank(values)) == 2  # 1 / 1.04 < .9801


# equivalence


@each
def test_dense_is_what_torch_computes(name):
    denoiser, x, t, tolerance = producers()[name]
    expected = by_torch(denoiser, x, t)
    assert worst(jacobian.dense(denoiser, x, t), expected) < tolerance * max(
        1.0, float(expected.abs().max())
    )


@each
def test_products_in_both_modes_are_those_of_the_matrix(name):
    denoiser, x, t, tolerance = producers()[name]
    linear = jacobian.Linearised(denoiser, x, t)
    J = jacobian.dense(denoiser, x, t).reshape(linear.points, linear.n, linear.n)
    V = normal(linear.points, linear.n, 40, seed=8, dtype=x.dtype)  # more than one pass
    scale = 10 * max(1.0, float(J.abs().max()))
    assert worst(linear.jvp(V), J @ V) < tolerance * scale
    assert worst(linear.vjp(V), J.mT @ V) < tolerance * scale


@each
def test_top_triplets_are_those_of_the_dense_matrix(name):
    denoiser, x, t, tolerance = producers()[name]
    J = jacobian.dense(denoiser, x, t).double()
    values = torch.linalg.svdvals(J)
    k = min(6, J.shape[-1])
    U, S, Vh = (part.double() for part in jacobian.top_singular(denoiser, x, t, k, block=3))
    assert worst(S, values[..., :k]) < 1e-3 * values[..., :1].max()
    residual = torch.linalg.vector_norm(J @ Vh.mT - U * S.unsqueeze(-2), dim=-2)
    allowed = 1e-3 * S + 40 * tolerance * S[..., :1]
    assert bool((residual <= allowed).all())
    assert worst(Vh @ Vh.mT, torch.eye(k, dtype=torch.float64).expand(*S.shape, k)) < 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_points_do_not_depend_on_their_company(name):
    denoiser, x, t, tolerance = producers()[name]
    J, ranks = jacobian.dense(denoiser, x, t), jacobian.rank(denoiser, x, t).rank
    for b in range(len(x)):
        own = t[b : b + 1] if isinstance(t, torch.Tensor) else t
        assert worst(jacobian.dense(denoiser, x[b : b + 1], own), J[b : b + 1]) < tolerance * max(
            1.0, float(J.abs().max())
        )
        assert (
            abs(int(jacobian.rank(denoiser, x[b : b + 1], own).rank) - int(ranks[b])) <= 1
        )  # other probes


DECAYS = {
    "power": 1.0 / torch.arange(1, 201),
    "exponential": torch.exp(-torch.arange(200) / 15.0),
    "step": torch.ones(200),
}
DECAYS["step"][30:] = 0.01


@pytest.mark.parametrize("name", DECAYS)
def test_the_rank_without_the_matrix_is_that_of_the_matrix(name):
    values = DECAYS[name]
    exact = int(jacobian.numerical_rank(values))
    found = jacobian.rank(Linear(with_spectrum(values.tolist())), normal(1, 200), 0.5, block=8)
    assert abs(int(found.rank) - exact) <= max(1, 0.02 * exact)
    assert int(found.low) <= exact <= int(found.high)
    assert found.products < 400  # less than to form it by either kind of product and factor it


def test_top_values_are_accurate_where_the_matrix_is_large_and_decays_slowly():
    values = 1 / torch.arange(1, 401, dtype=torch.float64) ** 0.5
    S = jacobian.top_singular(Linear(with_spectrum(values.tolist())), normal(1, 400), 0.5, 10)[1]
    assert ((S[0] - values[:10]) / values[:10]).abs().max() < 1e-3
    loose = jacobian.top_singular(
        Linear(with_spectrum(values.tolist())), normal(1, 400), 0.5, 10, tolerance=0.5
    )[1]
    assert (loose[0] - values[:10]).abs().max() > (
        S[0] - values[:10]
    ).abs().max()  # the tolerance is used


# real networks: half precision, left in training, compiled, checkpointed


HALVES = (torch.float16, torch.bfloat16)
INPUTS = [(dtype, x_dtype) for dtype in HALVES for x_dtype in (dtype, torch.float32)]
halves = pytest.mark.parametrize(("dtype", "x_dtype"), INPUTS, ids=str)


@pytest.fixture(scope="module")
def single():
    """A network in single precision with a point, its triplets and its rank."""
    denoiser = unet().requires_grad_(False)
    x = normal(1, 1, 8, 8, seed=7, dtype=torch.float32)
    U, S, Vh = torch.linalg.svd(jacobian.dense(denoiser, x, 0.6)[0])
    return denoiser, x, (U, S, Vh)


@halves
def test_half_precision_gives_the_triplets_of_single(single, dtype, x_dtype):
    """To the rounding of the network, 0.3 per cent in bfloat16: to a hundredth, as documented."""
    denoiser, x, (U, S, Vh) = single
    half = copy.deepcopy(denoiser).to(dtype)
    U_half, S_half, Vh_half = (
        part[0].float() for part in jacobian.top_singular(half, x.to(x_dtype), 0.6, 3)
    )
    assert worst(S_half, S[:3]) < krylov.COARSEST * S[0]
    assert ((U_half * U[:, :3]).sum(0) * (Vh_half * Vh[:3]).sum(1)).min() > 0.99


@halves
def test_half_precision_gives_the_matrix_its_rank_and_asymmetry(single, dtype, x_dtype):
    denoiser, x, (U, S, Vh) = single
    half = copy.deepcopy(denoiser).to(dtype)
    J = jacobian.dense(half, x.to(x_dtype), 0.6)
    exact = U * S @ Vh
    assert J.dtype == x_dtype and worst(J[0].float(), exact) < 0.02 * exact.abs().max()
    assert jacobian.asymmetry(J)[0].item() == pytest.approx(
        jacobian.asymmetry(exact).item(), abs=5e-3
    )
    known = int(jacobian.numerical_rank(S))
    assert abs(int(jacobian.numerical_rank(torch.linalg.svdvals(J.float())[0])) - known) <= 1
    found = jacobian.rank(half, x.to(x_dtype), 0.6)
    assert int(found.low) - 1 <= known <= int(found.high) + 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-25, 1e25, 1e-38])
def test_asymmetry_knows_no_scale(dtype, scale):
    J = torch.stack([normal(5, 5), torch.eye(5, dtype=torch.float64)]).to(dtype)
    expected = jacobian.asymmetry(J)
    assert expected[0] > 0.1 and expected[1] == 0
    # the smallest numbers of single precision have few digits
    assert worst(jacobian.asymmetry(scale * J), expected) < 1e-4
    apart = torch.stack([scale * J[0], J[0]])
    assert worst(jacobian.asymmetry(apart), expected[[0, 0]]) < 1e-4


def test_the_norm_of_large_entries_in_half_precision_is_no_infinity():
    J = torch.tensor([[6e4, 6e4], [-6e4, 6e4]], dtype=torch.float16)
    assert jacobian.asymmetry(J).item() == pytest.approx(0.5**0.5, rel=1e-3)


class Coarse:
    """A linear map whose products are rounded to a tenth of their largest entry."""

    schedule = VP

    def __init__(self, A, step):
        self.A = A
        self.step = step

    def __call__(self, x_t, t):
        class Rounded(torch.autograd.Function):
            @staticmethod
            def forward(ctx, u):
                return (u / (self.step * u.abs().max())).round() * self.step * u.abs().max()

            @staticmethod
            def backward(ctx, u):
                return Rounded.apply(u)

        return Rounded.apply(x_t @ self.A.to(x_t.dtype).T)


def test_a_tolerance_that_the_products_cannot_meet_is_refused():
    """And met where it can be: no result is off without a word."""
    values = (0.8 ** torch.arange(40.0)).tolist()
    denoiser, x = Coarse(with_spectrum(values), 0.3), normal(1, 40)
    with complains("tolerance"):
        jacobian.top_singular(denoiser, x, 0.5, 3)
    with complains("accuracy"):
        jacobian.rank(denoiser, x, 0.5)
    S = jacobian.top_singular(denoiser, x, 0.5, 3, tolerance=0.5)[1]
    assert worst(S[0], torch.tensor(values[:3], dtype=torch.float64)) < 0.5
    fine = jacobian.top_singular(Coarse(with_spectrum(values), 1e-3), x, 0.5, 3)[1]
    assert worst(fine[0], torch.tensor(values[:3], dtype=torch.float64)) < krylov.COARSEST


def test_products_out_of_the_range_of_half_precision_are_refused():
    x = normal(1, 4).half()
    for function in (partial(jacobian.top_singular, k=2), jacobian.rank):
        with complains("products with J"):
            function(lambda x_t, t: (3e3 * (3e3 * x_t.tanh()).tanh()) * 1e-3, x * 1e-4, 0.5)


class WithLayers(torch.nn.Module):
    """A convolutional denoiser around a layer that behaves differently while it is trained."""

    schedule = VP

    def __init__(self, middle):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            first, last = (torch.nn.Conv2d(a, b, 3, padding=1) for a, b in ((2, 6), (6, 2)))
        self.body = torch.nn.Sequential(first, middle, torch.nn.SiLU(), last).double()

    def forward(self, x_t, t):
        return self.body(x_t)


class Noisy(torch.nn.Module):
    def forward(self, x):
        return x + torch.randn_like(x) if self.training else x


LAYERS = {
    "batch normalisation": lambda: torch.nn.BatchNorm2d(6),
    "dropout": lambda: torch.nn.Dropout(0.5),
    "channel dropout": lambda: torch.nn.Dropout2d(0.5),
    "alpha dropout": lambda: torch.nn.AlphaDropout(0.5),
    "random slope": torch.nn.RReLU,
    "its own": Noisy,
}
MEASURES = {
    "dense": lambda d, x: jacobian.dense(d, x, 0.5),
    "top_singular": lambda d, x: jacobian.top_singular(d, x, 0.5, 2)[1],
    "rank": lambda d, x: jacobian.rank(d, x, 0.5).rank,
}


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_a_network_left_in_training_is_measured_as_it_is_evaluated_and_not_changed(layer, measure):
    denoiser, x = WithLayers(layer()), normal(3, 2, 4, 4)
    denoiser.body[0].eval()  # some are, some are not
    modes = [module.training for module in denoiser.modules()]
    before = {name: value.clone() for name, value in denoiser.state_dict().items()}
    first, second = measure(denoiser, x), measure(denoiser, x)
    assert [module.training for module in denoiser.modules()] == modes and any(modes)
    assert all(torch.equal(value, before[name]) for name, value in denoiser.state_dict().items())
    assert torch.equal(first, second) and torch.equal(first, measure(denoiser.eval(), x))


@pytest.mark.parametrize("layer", [name for name in LAYERS if name != "its own"])
def test_a_network_that_cannot_be_put_into_evaluation_is_refused(layer):
    """A function around a network hides its modules."""
    denoiser, x = WithLayers(LAYERS[layer]()), normal(3, 2, 4, 4)
    with complains("denoiser"):
        jacobian.dense(lambda x_t, t: denoiser(x_t, t), x, 0.5)
    denoiser.eval()
    assert jacobian.dense(lambda x_t, t: denoiser(x_t, t), x, 0.5).shape == (3, 32, 32)


def test_dropout_of_nothing_is_no_dropout():
    denoiser, x = WithLayers(torch.nn.Dropout(0.0)), normal(1, 2, 4, 4)
    assert jacobian.dense(lambda x_t, t: denoiser(x_t, t), x, 0.5).isfinite().all()


def test_modules_are_put_back_where_the_network_fails():
    denoiser = WithLayers(torch.nn.BatchNorm2d(6))
    with pytest.raises(RuntimeError):
        jacobian.dense(denoiser, normal(1, 3, 4, 4), 0.5)
    assert all(module.training for module in denoiser.modules())


COMPILED = {
    "the network": lambda d: networks.UNet(
        cast(torch.nn.Module, torch.compile(d.network)), d.schedule
    ),
    "the denoiser": torch.compile,
    "in place": lambda d: d.network.compile() or d,
    "a function": lambda d: torch.compile(lambda x_t, t: d(x_t, t)),
}


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_networks_are_measured(name, single):
    denoiser, x, (_, S, _) = single
    compiled = COMPILED[name](copy.deepcopy(denoiser))
    assert worst(jacobian.top_singular(compiled, x, 0.6, 3)[1][0], S[:3]) < 1e-3 * S[0]
    assert worst(jacobian.dense(compiled, x, 0.6), jacobian.dense(denoiser, x, 0.6)) < 1e-5


def test_networks_with_gradient_checkpointing_are_measured_and_keep_it(single):
    denoiser, x, (_, S, _) = single
    checkpointed = copy.deepcopy(denoiser).requires_grad_(True)
    checkpointed.network.enable_gradient_checkpointing()
    assert worst(jacobian.top_singular(checkpointed, x, 0.6, 3)[1][0], S[:3]) < 1e-3 * S[0]
    assert worst(jacobian.dense(checkpointed, x, 0.6), jacobian.dense(denoiser, x, 0.6)) < 1e-5
    assert checkpointed.network.is_gradient_checkpointing
    with complains("denoiser"):
        jacobian.rank(lambda x_t, t: checkpointed(x_t, t), x, 0.6)


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing_that_cannot_be_switched_off_is_refused(reentrant):
    def denoiser(x_t, t):
        again = torch.utils.checkpoint.checkpoint
        return again(lambda x: x.sin() * x, x_t, use_reentrant=reentrant)

    with complains("denoiser"):
        jacobian.dense(denoiser, normal(2, 4), 0.5)


def test_inference_mode_does_not_stand_in_the_way(single):
    denoiser, x, (_, S, _) = single
    with torch.inference_mode():
        values = jacobian.top_singular(denoiser, x + 0, 0.6, 3)[1][0]
        J = jacobian.dense(denoiser, x + 0, 0.6)
    assert worst(values, S[:3]) < 1e-3 * S[0] and worst(torch.linalg.svdvals(J[0]), S) < 1e-5


def test_the_example_of_the_package_runs():
    results = doctest.testmod(jacobian, extraglobs={"torch": torch})
    assert results.attempted >= 7 and results.failed == 0


# statistical


def test_the_interval_holds_the_exact_rank():
    """With true coverage 0.95, fewer than 47 of 60 has probability 2e-8 (binomial)."""
    values = 1 / torch.arange(1, 201, dtype=torch.float64) ** 0.8
    exact = int(jacobian.numerical_rank(values))
    denoiser = Linear(with_spectrum(values.tolist()))
    runs = [
        jacobian.rank(denoiser, normal(1, 200), 0.5, accuracy=0.2, probes=6, generator=rng(s))
        for s in range(60)
    ]
    covered = [int(r.low) <= exact <= int(r.high) for r in runs]
    assert sum(covered) >= 47
    widths = np.array([int(r.high) - int(r.low) for r in runs])
    assert (
        widths.min() > 0 and widths.mean() <= 0.2 * exact
    )  # estimated, and as narrow as was asked


def test_without_the_estimate_of_the_rest_the_rank_would_be_wrong(monkeypatch):
    """The probes decide: taken as zero, the basis found so far would pass for everything."""
    values = 1 / torch.arange(1, 121, dtype=torch.float64) ** 0.5
    denoiser, exact = Linear(with_spectrum(values.tolist())), int(jacobian.numerical_rank(values))
    energy = ranks._Rest.energy

    def blind(rest, krylov):
        return tuple(0 * part for part in energy(rest, krylov))

    monkeypatch.setattr(ranks._Rest, "energy", blind)
    found = jacobian.rank(denoiser, normal(1, 120), 0.5)
    assert int(found.rank) < 0.9 * exact


# bad input


def test_bad_points_are_refused():
    denoiser, x = Linear(with_spectrum([2.0, 1.0, 0.5])), normal(2, 3)
    for function in (jacobian.dense, jacobian.rank, lambda *a: jacobian.top_singular(*a, 1)):
        with complains("x_t"):
            function(denoiser, x * float("nan"), 0.5)
        with complains("x_t.shape"):
            function(denoiser, x[0], 0.5)
        with complains("x_t.shape"):
            function(denoiser, x[:0], 0.5)
    with complains("x_t.shape"):
        jacobian.dense(general().denoiser(VP), x, 0.5)
    with complains("t"):
        jacobian.dense(general().denoiser(VP), normal(2, 6), 1.5)


@pytest.mark.parametrize("k", [0, -1, 4, 1.5])
def test_a_number_of_triplets_that_cannot_be_is_refused(k):
    with complains("k"):
        jacobian.top_singular(Linear(with_spectrum([2.0, 1.0, 0.5])), normal(1, 3), 0.5, k)


def test_bad_settings_are_refused():
    denoiser, x = Linear(with_spectrum([2.0, 1.0, 0.5])), normal(1, 3)
    with complains("tolerance"):
        jacobian.top_singular(denoiser, x, 0.5, 1, tolerance=0.0)
    with complains("block"):
        jacobian.top_singular(denoiser, x, 0.5, 1, block=0)
    for name, value in {"accuracy": -0.1, "probes": 1, "block": 0, "eta": 1.0}.items():
        with complains(name):
            jacobian.rank(denoiser, x, 0.5, **{name: value})
    for values in (torch.tensor([1.0, -1.0]), torch.tensor([float("nan")])):
        with complains("singular_values"):
            jacobian.numerical_rank(values)
    with complains("singular_values.shape"):
        jacobian.numerical_rank(torch.zeros(2, 0))
    with complains("eta"):
        jacobian.numerical_rank(torch.ones(2), eta=0.0)
    with complains("J.shape"):
        jacobian.asymmetry(torch.ones(2, 3))
    with complains("J"):
        jacobian.asymmetry(torch.full((2, 2), float("nan")))


def test_what_is_no_differentiable_denoiser_is_refused():
    x = normal(2, 3)
    with complains("denoiser(x_t, t).shape"):
        jacobian.dense(lambda x_t, t: x_t[:, :2], x, 0.5)
    with complains("denoiser(x_t, t)"):
        jacobian.dense(lambda x_t, t: x_t / 0, x, 0.5)
    with complains("denoiser(x_t, t)"):
        jacobian.dense(torch.no_grad()(lambda x_t, t: 2 * x_t), x, 0.5)
    with complains("vectors.shape"):
        jacobian.Linearised(general().denoiser(VP), normal(2, 6), 0.5).jvp(normal(2, 5, 3))
