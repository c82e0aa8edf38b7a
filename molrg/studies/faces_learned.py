r"""A law learned from faces: principal directions of one kind, groups of four, and samples of both.

Everything comes from faces without labels: K-subspaces sorts them, and each group becomes a
Gaussian with its own mean, principal directions and variances. Beside it stands the best denoiser
of the same faces, which only gives them back.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import PCA
from torch import Tensor

from molrg import checks, draws, sampling
from molrg.denoisers import Denoiser
from molrg.images import faces
from molrg.mixture import MoLRG
from molrg.schedules import EDM
from molrg.studies import faces_counting
from molrg.subspaces import k_subspaces

SCHEDULE = EDM(sigma_min=0.02, sigma_max=40.0)
STEPS = 14  # of Heun's method
NOISE = 0.02  # ambient noise of the learned law, far below what can be seen
_COLOURS, _ORDER, _SORTING, _SAMPLES = 0, 1, 2, 3  # purposes of random numbers


class Directions(NamedTuple):
    """The colours of a kind and the principal directions found for them, (7, n), in one order.

    Attributes:
        mean: of the kind, (n,).
        true: what one standard deviation of each colour adds.
        found: the principal direction that is nearest to each, as long as its standard deviation.
    """

    mean: Tensor
    true: Tensor
    found: Tensor

    @property
    def cosines(self) -> Tensor:
        """Between each colour and the direction found for it, (7,)."""
        return torch.cosine_similarity(self.true, self.found, dim=1)


def principal_directions(kind: int, N: int, *, seed: int, size: int = 32) -> Directions:
    """Principal directions of N faces of one kind, each beside the colour that it is nearest to.

    Args:
        kind: its number.
        N: number of faces, at least 8: seven directions about their mean.
        seed: of the faces.
        size: pixels along a side.
    """
    d = len(faces.COLOURS)
    count = checks.count("N", N, d + 1)
    source = draws.source(_COLOURS, seed)
    images, _ = faces.draw(count, kinds=[kind], size=size, generator=source, dtype=torch.float64)
    number = torch.tensor([kind], device="cpu")
    true = faces.columns(number, size)[0].flatten(1)
    _, basis, variances = _gaussian(images.flatten(1))
    found = (basis * variances.sqrt()).mT
    cosines = torch.cosine_similarity(true.unsqueeze(1), found, dim=-1)
    rows, columns = linear_sum_assignment(cosines.abs().numpy(), maximize=True)
    signs = cosines[rows, columns].sign().unsqueeze(1)
    return Directions(faces.means(number, size).flatten(), true, signs * found[columns])


class Sorted(NamedTuple):
    """Faces of four kinds in random order, (4 N, n), their kinds and the groups found, (4 N,)."""

    x: Tensor
    kinds: Tensor
    labels: Tensor


def sorted_faces(seed: int, N: int, *, size: int = 32) -> Sorted:
    """N faces of each of four kinds, sorted by K-subspaces from a spectral start.

    Args:
        seed: of the faces and of their order.
        N: faces of each kind, 1 ... `faces_counting.MOST`.
        size: pixels along a side.
    """
    x = faces_counting.draw(seed, N, size=size).flatten(0, 1)
    order = draws.uniform((len(x),), generator=draws.source(_ORDER, seed)).argsort().to(x.device)
    source = draws.source(_SORTING, seed)
    fitted = k_subspaces(
        x[order], 4, faces_counting.D, init="spectral", restarts=1, generator=source
    )
    return Sorted(x[order], order // N, fitted.labels)


def learned_law(x: Tensor, labels: Tensor, *, noise: float = NOISE) -> MoLRG:
    """A Gaussian of dimension 7 for each group: its mean, principal directions and variances.

    Args:
        x: faces (N, n).
        labels: group of each, (N,); at least 8 faces in a group.
        noise: ambient noise of the law.

    Raises:
        ValueError: where a group has fewer than 8 faces.
    """
    groups = [x[labels == k] for k in labels.unique()]
    fewest = min(map(len, groups))
    if fewest <= len(faces.COLOURS):
        least = f"at least {len(faces.COLOURS) + 1} in each"
        raise ValueError(f"labels = a group of {fewest} faces: allowed is {least}")
    means, bases, variances = zip(*map(_gaussian, groups), strict=True)
    shares = torch.tensor([len(group) / len(x) for group in groups], device=x.device)
    return MoLRG(list(bases), shares, list(means), list(variances), noise)


def _gaussian(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (n,), seven principal directions (n, 7) about it, and their variances (7,)."""
    fitted = PCA(len(faces.COLOURS), svd_solver="arpack", random_state=0).fit(x.cpu().numpy())
    parts = (fitted.mean_, fitted.components_.T, fitted.explained_variance_)
    mean, basis, variances = (torch.from_numpy(part.copy()).to(x) for part in parts)
    return mean, basis, variances


@torch.no_grad()
def sample(denoiser: Denoiser, count: int, n: int, *, seed: int) -> Tensor:
    """Samples by Heun's method, (count, n), float64.

    Args:
        denoiser: with the schedule `SCHEDULE`.
        count: how many.
        n: dimension of a picture.
        seed: of the noise.
    """
    source = draws.source(_SAMPLES, seed)
    x_t = sampling.prior((count, n), SCHEDULE, generator=source)
    times = sampling.time_grid(SCHEDULE, STEPS)
    return sampling.finish(sampling.heun(denoiser, x_t, times, denoise_last=True))
