"""What is known of the leaves: logarithms of likelihoods, from weak or from noisy observations."""

from __future__ import annotations

import torch
from torch import Tensor

from molrg import checks


def epsilon_evidence(
    leaves: Tensor, epsilon: float | Tensor, v: int, *, dtype: torch.dtype = torch.float64
) -> Tensor:
    r"""Evidence of the epsilon-process: 1 - eps + eps/v for the true symbol, eps/v for the others.

    A thought experiment rather than a channel: the evidence is weak, and never wrong.

    Source: 2402.16991, as restated by a reading note on its sequel 2410.13770.

    Args:
        leaves: (B, N) true symbols in 0 ... v - 1.
        epsilon: in [0, 1], or one per sample, (B,).
        v: size of the vocabulary.
        dtype: of the result.

    Returns:
        log_evidence (B, N, v).

    Raises:
        ValueError: where epsilon or a symbol is out of range, or epsilon has another shape.
    """
    v = _symbols(leaves, v)
    epsilon = torch.as_tensor(epsilon, dtype=dtype, device=leaves.device)
    if not ((epsilon >= 0) & (epsilon <= 1)).all():
        raise ValueError(f"epsilon = {epsilon.tolist()}: allowed is numbers in [0, 1]")
    if epsilon.shape not in ((), leaves.shape[:1]):
        given = f"epsilon.shape = {tuple(epsilon.shape)}"
        raise ValueError(f"{given}: allowed is () or ({len(leaves)},), one per sample")
    right = torch.nn.functional.one_hot(leaves, v).to(dtype)
    epsilon = epsilon.reshape(-1, 1, 1) if epsilon.dim() else epsilon
    return ((1 - epsilon) * right + epsilon / v).log()


def gaussian_evidence(x: Tensor, sigma: float, *, amplitude: float = 1.0) -> Tensor:
    r"""Evidence of one-hot leaves seen through Gaussian noise: x = amplitude e_symbol + sigma eps.

    Args:
        x: noisy leaves (B, N, v).
        sigma: standard deviation per coordinate, > 0.
        amplitude: length of the one-hot vectors, > 0.

    Returns:
        log_evidence, amplitude x_y / sigma^2 up to a constant for each leaf; in single precision
        where x is in half.

    Raises:
        ValueError: where an argument is out of range or x is not finite.
    """
    smallest = torch.finfo(torch.float32).tiny
    checks.finite("x", x)
    checks.real("amplitude", amplitude, smallest)
    x = checks.at_least_single(x)
    return gaussian(x, amplitude, x.new_tensor(checks.real("sigma", sigma, smallest)))


def gaussian(x: Tensor, amplitude: float, sigma: Tensor) -> Tensor:
    """As :func:`gaussian_evidence`, for arguments that were checked and a sigma of any shape."""
    sigma = sigma.clamp_min(1e-30)
    # two quotients, since the square of sigma could underflow
    below = (x - x.amax(-1, keepdim=True)) / sigma * (amplitude / sigma)
    # finite, so that a sentence outside the grammar is unlikely and not impossible
    return below.clamp_min(-1e30)


def _symbols(leaves: Tensor, v: int) -> int:
    """Return v as an int where it is a vocabulary and the leaves are symbols of it."""
    v = checks.count("v", v, 2)
    if leaves.dtype != torch.int64 or leaves.dim() != 2 or leaves.numel() == 0:
        given = f"{leaves.dtype} of shape {tuple(leaves.shape)}"
        raise ValueError(f"leaves = {given}: allowed is int64 symbols of shape (B, N)")
    least, most = (int(end) for end in leaves.aminmax())
    if least < 0 or most >= v:
        raise ValueError(f"leaves = in {least} ... {most}: allowed is symbols 0 ... {v - 1}")
    return v
