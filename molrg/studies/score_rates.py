r"""Score learning on a curve: how the error of a learned score depends on D and N.

The score that a training set defines is compared with that of the true law, at one noise level:
on a curve that uses all D coordinates, for a Gaussian without a manifold, on a curve with ambient
noise, and for a network trained on the curve.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import pandas as pd
import torch
from torch import Tensor, nn

from molrg import checks, draws
from molrg.denoisers import Denoiser, Empirical
from molrg.schedules import EDM, Schedule
from molrg.studies.curves import Curve, KernelDensity

OPTIMISERS = ("SGD", "Adam")


def score(denoiser: Denoiser, x_t: Tensor, t: float | Tensor) -> Tensor:
    r"""The score that a denoiser stands for, :math:`(s_t \hat x_0 - x_t) / \gamma_t^2`.

    Source: Tweedie's formula.

    Raises:
        ValueError: where gamma_t = 0.
    """
    s, gamma = denoiser.schedule.at(t, x_t)
    if not bool((gamma > 0).all()):
        raise ValueError(f"t = {t}: allowed is t with gamma_t > 0")
    return (s * denoiser(x_t, t) - x_t) / gamma.square()


def score_error(estimate: Denoiser, reference: Denoiser, x_t: Tensor, t: float) -> float:
    r"""The scaled error :math:`\gamma_t^2\, E\|\hat s(x_t) - s(x_t)\|^2`, averaged over the points.

    The scale makes it the same for every schedule at equal noise level, and one coordinate of pure
    noise counts as one.

    Source: ours; the claim is that of 2409.18804.

    Args:
        estimate: denoiser of the score that was learned.
        reference: denoiser of the true law, on the same schedule.
        x_t: noisy points (B, D), drawn from the true law of x_t.
        t: their time.

    Raises:
        ValueError: where gamma_t = 0.
    """
    difference = score(estimate, x_t, t) - score(reference, x_t, t)
    return (reference.schedule.gamma(t) ** 2 * difference.square().sum(-1).mean()).item()


def _noised(x: Tensor, std: float, generator: torch.Generator) -> Tensor:
    return x + std * draws.normal_like(x, generator=generator)


def _time(schedule: Schedule, sigma: float) -> float:
    """The time of a noise level, on a schedule with s = 1."""
    return schedule.t_of_sigma(sigma).item()


def _clock() -> Schedule:
    return EDM(sigma_min=0.01, sigma_max=20)


def on_curves(
    cells: Iterable[tuple[int, int]],
    seeds: Sequence[int],
    *,
    sigma: float = 0.2,
    length: float = 6.0,
    queries: int = 100,
    training_sets: int = 5,
) -> pd.DataFrame:
    """Error of the empirical score on random curves.

    One row is one cell (D, N) for one seed: a fresh curve in R^D, fresh queries, and the error
    averaged over training sets of N points. The cells of a seed are drawn one after the other from
    one source, so a row depends on the cells before it.

    Args:
        cells: pairs (D, N), ambient dimension and training points.
        seeds: of curves, points and noise.
        sigma: noise level.
        length: of the curves.
        queries: noisy points at which the scores are compared.
        training_sets: over which the error is averaged.

    Returns:
        Columns D, N, seed, error.

    Raises:
        ValueError: where a number is out of range.
    """
    schedule = _clock()
    t = _time(schedule, sigma)
    training_sets = checks.count("training_sets", training_sets)

    def error(D: int, N: int, generator: torch.Generator) -> float:
        curve = Curve.random(D, length=length, generator=generator)
        x_t = _noised(curve.sample(queries, generator=generator), sigma, generator)
        reference = KernelDensity(curve.nodes(), schedule)
        sets = [curve.sample(N, generator=generator) for _ in range(training_sets)]
        errors = [score_error(Empirical(x, schedule), reference, x_t, t) for x in sets]
        return sum(errors) / training_sets

    return _rows(error, cells, seeds)


def on_gaussians(
    cells: Iterable[tuple[int, int]],
    seeds: Sequence[int],
    *,
    sigma: float = 0.2,
    queries: int = 100,
) -> pd.DataFrame:
    """Error of the empirical score for N(0, I_D), which has no manifold.

    One row is one cell (D, N) for one seed, one training set of N points. The cells of a seed are
    drawn one after the other from one source.

    Args:
        cells: pairs (D, N), dimension and training points.
        seeds: of points and noise.
        sigma: noise level.
        queries: noisy points at which the scores are compared.

    Returns:
        Columns D, N, seed, error.

    Raises:
        ValueError: where a number is out of range.
    """
    schedule = _clock()
    t = _time(schedule, sigma)

    def error(D: int, N: int, generator: torch.Generator) -> float:
        x, x0, noise = (draws.normal((m, D), generator=generator) for m in (N, queries, queries))
        x_t = x0 + sigma * noise
        difference = Empirical(x, schedule)(x_t, t) - x_t / (1 + sigma**2)
        return difference.square().sum(1).mean().item() / sigma**2

    return _rows(error, cells, seeds)


def _rows(
    error: Callable[[int, int, torch.Generator], float],
    cells: Iterable[tuple[int, int]],
    seeds: Sequence[int],
) -> pd.DataFrame:
    rows = []
    pairs = [(checks.count("D", D), checks.count("N", N)) for D, N in cells]
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        for D, N in pairs:
            rows.append({"D": D, "N": N, "seed": seed, "error": error(D, N, generator)})
    return pd.DataFrame(rows)


def on_thick_curves(
    dims: Sequence[int],
    taus: Sequence[float],
    seeds: Sequence[int],
    *,
    sigma: float = 0.2,
    length: float = 6.0,
    queries: int = 100,
    N: int = 256,
) -> pd.DataFrame:
    """Error of the empirical score on a curve of eight dimensions with noise in all D coordinates.

    One row is one ambient noise tau and one dimension D for one seed. The true law is that of a
    `KernelDensity`. The rows of a seed are drawn one after the other from one source.

    Args:
        dims: ambient dimensions D >= 8.
        taus: standard deviations of the ambient noise, >= 0.
        seeds: of curves, points and noise.
        sigma: noise level of the diffusion.
        length: of the curves.
        queries: noisy points at which the scores are compared.
        N: training points.

    Returns:
        Columns tau, D, seed, error.

    Raises:
        ValueError: where a number is out of range.
    """
    schedule = _clock()
    t = _time(schedule, sigma)

    def error(D: int, tau: float, generator: torch.Generator) -> float:
        curve = Curve.random(8, length=length, generator=generator)
        x = _noised(_padded(curve.sample(N, generator=generator), D), tau, generator)
        x0 = _padded(curve.sample(queries, generator=generator), D)
        x_t = _noised(x0, (sigma**2 + tau**2) ** 0.5, generator)
        truth = KernelDensity(_padded(curve.nodes(), D), schedule, noise=tau)
        return score_error(Empirical(x, schedule), truth, x_t, t)

    generators = {seed: torch.Generator().manual_seed(seed) for seed in seeds}
    rows = []
    for tau in taus:
        for seed in seeds:
            for D in dims:
                D = checks.count("D", D, 8)
                row = {"tau": tau, "D": D, "seed": seed}
                rows.append(row | {"error": error(D, tau, generators[seed])})
    return pd.DataFrame(rows)


def _padded(points: Tensor, D: int) -> Tensor:
    return nn.functional.pad(points, (0, D - points.shape[1]))


def by_networks(
    dims: Sequence[int],
    seeds: Sequence[int],
    *,
    optimisers: Sequence[str] = OPTIMISERS,
    sigma: float = 0.2,
    length: float = 6.0,
    steps: int = 150,
    N: int = 1024,
) -> pd.DataFrame:
    """Error of perceptrons trained on random curves at one noise level.

    One row is one network: two hidden layers of 64 units, mini-batches of 64, a step size that
    follows a half cosine to zero. The error is measured at 512 fresh noisy points.

    Args:
        dims: ambient dimensions D, even.
        seeds: of the curve, the points, the weights and the training.
        optimisers: "SGD", with momentum, or "Adam".
        sigma: noise level of training and test.
        length: of the curves.
        steps: of training.
        N: training points.

    Returns:
        Columns optimiser, D, seed, error.

    Raises:
        ValueError: where an argument is out of range.
    """
    steps = checks.count("steps", steps)
    rows = []
    for optimiser in optimisers:
        checks.one_of("optimiser", optimiser, OPTIMISERS)
        for seed in seeds:
            for D in dims:
                error = _trained_error(D, optimiser, seed, sigma, length, steps, N)
                rows.append({"optimiser": optimiser, "D": D, "seed": seed, "error": error})
    return pd.DataFrame(rows)


def _trained_error(
    D: int, optimiser: str, seed: int, sigma: float, length: float, steps: int, N: int
) -> float:
    generator = torch.Generator().manual_seed(seed)
    curve = Curve.random(D, length=length, generator=generator)
    x = curve.sample(N, generator=generator).float()
    x0 = curve.sample(512, generator=generator)
    network = _network(D, seed)
    _fit(network, x, optimiser, sigma, steps, generator)
    x_t = _noised(x0, sigma, generator)
    schedule = _clock()
    with torch.no_grad():
        exact = KernelDensity(curve.nodes(), schedule)(x_t, _time(schedule, sigma))
        difference = network(x_t.float()) - exact
    return difference.square().sum(1).mean().item() / sigma**2


def _network(D: int, seed: int) -> nn.Sequential:
    with torch.random.fork_rng():  # torch draws initial weights from its global source
        torch.manual_seed(seed)
        first, second, last = nn.Linear(D, 64), nn.Linear(64, 64), nn.Linear(64, D)
    return nn.Sequential(first, nn.SiLU(), second, nn.SiLU(), last)


def _fit(
    network: nn.Module,
    x: Tensor,
    optimiser: str,
    sigma: float,
    steps: int,
    generator: torch.Generator,
) -> None:
    descent: torch.optim.Optimizer
    if optimiser == "SGD":
        descent = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    else:
        descent = torch.optim.Adam(network.parameters(), lr=3e-3, fused=True)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(descent, steps)
    for _ in range(steps):
        batch = x[torch.randint(len(x), (64,), generator=generator, device="cpu")]
        descent.zero_grad()
        error = network(_noised(batch, sigma, generator)) - batch
        error.square().sum(1).mean().backward()
        descent.step()
        decay.step()
