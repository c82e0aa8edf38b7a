r"""The denoising loss, as the paper writes it.

.. math:: \ell(\theta) = \frac1N \sum_i \int \lambda_t\,
          E_\varepsilon \|x_\theta(s_t x^{(i)} + \gamma_t \varepsilon,\, t) - x^{(i)}\|^2 \,dt

A denoiser with a leading ensemble axis has a loss for each of its models.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from molrg import checks, draws
from molrg.denoisers.networks import PREDICTIONS
from molrg.denoisers.protocol import Assigning, Denoiser, check_denoiser, ensemble_of
from molrg.schedules import Schedule, as_time
from molrg.training.batches import for_each

Weighting = Callable[[Tensor], Tensor]
Assignment = Callable[[Tensor], Tensor]


def _check_assignment(denoiser: Denoiser, assign_on: str | Assignment) -> None:
    if not callable(assign_on):
        checks.one_of("assign_on", assign_on, ("x_t", "x0"))
    if assign_on != "x_t" and not isinstance(denoiser, Assigning):
        allowed = f"'x_t' for {type(denoiser).__name__}, which assigns to no components"
        raise ValueError(f"assign_on = {assign_on!r}: allowed is {allowed}")


def _estimate(
    denoiser: Denoiser, x_t: Tensor, t: float | Tensor, x0: Tensor, assign_on: str | Assignment
) -> Tensor:
    if not isinstance(denoiser, Assigning) or assign_on == "x_t":
        return denoiser(x_t, t)
    weights = assign_on(x0) if callable(assign_on) else denoiser.hard_weights(x0)
    return denoiser(x_t, t, weights)


def squared_errors(
    denoiser: Denoiser,
    x0: Tensor,
    t: float | Tensor,
    *,
    noise: Tensor,
    assign_on: str | Assignment = "x_t",
) -> Tensor:
    """|x_theta(s_t x0 + gamma_t noise, t) - x0|^2 for every point: the integrand of the loss.

    Args:
        denoiser: any denoiser; one that assigns points to components, such as `LowRank`, where
            `assign_on` is not "x_t".
        x0: clean points (B, \\*event), or (E, B, \\*event) for an ensemble.
        t: scalar, (B,) or (E, B), in [0, 1].
        noise: epsilon, of the shape of x0.
        assign_on: "x_t" lets the denoiser assign points to components itself; a function from the
            clean points to weights (\\*E, B, K) assigns in its place; "x0" is its own hard-max on
            the clean points, which makes the modified loss of Theorem 3.

    Returns:
        (B,) or (E, B).

    Raises:
        ValueError: where shapes differ or `assign_on` is none of these.
    """
    _check_assignment(denoiser, assign_on)
    if noise.shape != x0.shape:
        allowed = f"that of x0, {tuple(x0.shape)}"
        raise ValueError(f"noise.shape = {tuple(noise.shape)}: allowed is {allowed}")
    x_t = denoiser.schedule.add_noise(x0, t, noise)
    x0_hat = _estimate(denoiser, x_t, t, x0, assign_on)
    lead = len(ensemble_of(denoiser)) + 1
    return mse_loss(x0_hat, x0, reduction="none").flatten(lead).sum(-1)


def loss(
    denoiser: Denoiser,
    x0: Tensor,
    t: float | Tensor,
    *,
    noise: Tensor,
    weighting: Weighting | None = None,
    assign_on: str | Assignment = "x_t",
    present: Tensor | None = None,
) -> Tensor:
    """The training loss on given times and noise: the mean of lambda_t |x_theta - x0|^2.

    Source: 2409.02426, the empirical denoising loss; with ``assign_on="x0"``, the loss of Theorem
        3.

    Args:
        denoiser: as in `squared_errors`, like x0, t, noise and assign_on.
        x0: clean points (B, \\*event), or (E, B, \\*event).
        t: scalar, (B,) or (E, B).
        noise: of the shape of x0.
        weighting: lambda_t as a function of t; 1 where omitted.
        assign_on: "x_t", "x0" or a function.
        present: booleans (B,) or (E, B), false for padding, which does not count; all true where
            omitted.

    Returns:
        A scalar, or (E,) for an ensemble.

    Raises:
        ValueError: as `squared_errors`, and where there is no point.
    """
    errors = squared_errors(denoiser, x0, t, noise=noise, assign_on=assign_on)
    if errors.numel() == 0:
        raise ValueError(f"x0.shape = {tuple(x0.shape)}: allowed is at least one point")
    if weighting is not None:
        lambda_t = weighting(as_time(t))
        errors = errors * lambda_t.to(errors)
    if present is None:
        return errors.mean(-1)
    return torch.where(present, errors, 0).sum(-1) / present.sum(-1)


def output_weighting(prediction: str, schedule: Schedule, data_scale: float = 1.0) -> Weighting:
    r"""The lambda_t with which the loss is the plain squared error of what a network puts out.

    1 for "x0", :math:`s_t^2/\gamma_t^2` for "eps", :math:`(s_t^2 a^2 + \gamma_t^2) / (\gamma_t
    a)^2` for "v": the inverse square of the factor of F in `molrg.denoisers.to_x0`.

    Args:
        prediction: "x0", "eps" or "v".
        schedule: the forward process.
        data_scale: a, the standard deviation of a coordinate of the data.

    Raises:
        ValueError: where the prediction is none of the three or the scale is not positive.
    """
    checks.one_of("prediction", prediction, PREDICTIONS)
    a = checks.real("data_scale", data_scale, 1e-6)

    def weighting(t: Tensor) -> Tensor:
        ratio = (schedule.s(t) / schedule.gamma(t)).square()
        return {"x0": torch.ones_like(ratio), "eps": ratio, "v": ratio + a**-2}[prediction]

    return weighting


def sphere_points(
    n: int, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu"
) -> Tensor:
    r"""The 2n points :math:`\pm\sqrt n\, e_j`, (2n, n): their average is E_eps of a quadratic.

    They have mean zero and second moment I, which is all that a quadratic in epsilon sees.

    Raises:
        ValueError: unless n >= 1.
    """
    half = math.sqrt(checks.count("n", n)) * torch.eye(n, dtype=dtype, device=device)
    return torch.cat([half, -half])


def exact_loss(
    denoiser: Denoiser, x0: Tensor, t: float, *, assign_on: str | Assignment = "x_t"
) -> Tensor:
    """The training loss at one t with E_eps computed exactly, for denoisers linear in the noise.

    Runs `loss` itself on all 2n `sphere_points`. Exact where the estimate is affine in epsilon,
    such as K = 1 or ``assign_on="x0"``; for others it is only a quadrature.

    Args:
        denoiser: as in `loss`.
        x0: clean points (N, n).
        t: scalar in [0, 1].
        assign_on: "x_t", "x0" or a function.

    Raises:
        ValueError: as `loss`, and where x0 is not a finite (N, n).
    """
    if checks.points("x0", x0).dim() != 2:
        raise ValueError(f"x0.shape = {tuple(x0.shape)}: allowed is (N, n)")
    N, n = x0.shape
    noise = sphere_points(n, x0.dtype, x0.device)
    return loss(
        denoiser,
        x0.repeat(2 * n, 1),
        t,
        noise=noise.repeat_interleave(N, dim=0),
        assign_on=assign_on,
    )


def log_uniform_times(schedule: Schedule, sigma: tuple[float, float], u: Tensor) -> Tensor:
    """Map u, uniform on [0, 1], to times of noise levels log-uniform on [sigma[0], sigma[1]]."""
    low, high = sigma
    if not 0 < low <= high < math.inf:
        raise ValueError(f"sigma = {sigma}: allowed is (low, high) with 0 < low <= high")
    return schedule.t_of_sigma(low * (high / low) ** u.double())


@torch.no_grad()
def evaluate(
    denoiser: Denoiser,
    data: Tensor,
    *,
    sigma: tuple[float, float] = (0.1, 1.0),
    levels: int = 16,
    generator: torch.Generator,
) -> Tensor:
    """The loss averaged over a grid of noise levels, the same noise for every model of an ensemble.

    Used to choose among restarts by their own objective.

    Args:
        denoiser: any denoiser.
        data: (N, \\*event); for an ensemble (N, n) for all models, or (E, N, \\*event), as in
            `Batches`.
        sigma: range of the grid, log-spaced.
        levels: number of noise levels, >= 1.
        generator: source of the noise.

    Returns:
        A scalar, or (E,) for an ensemble.

    Raises:
        ValueError: where data are not finite or empty, or another argument is not as above.
    """
    check_denoiser(denoiser)
    ensemble = ensemble_of(denoiser)
    data = for_each(checks.finite("data", data), ensemble)
    grid = (torch.arange(checks.count("levels", levels), device="cpu") + 0.5) / levels
    total = data.new_zeros(ensemble)
    for t in log_uniform_times(denoiser.schedule, sigma, grid):
        shape = data.shape[len(ensemble) :]
        noise = draws.normal(shape, generator=generator, dtype=data.dtype, device=data.device)
        total += loss(denoiser, data, t, noise=noise.expand(data.shape))
    return total / levels
