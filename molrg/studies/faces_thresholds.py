r"""When each attribute of a face is decided: its posterior over noise, exactly and by a network.

The probability of the true value given x_t, averaged over faces, equals the probability that a face
drawn from the posterior has the same value: so what is exact for the mixture is what going forward
and backward with a network estimates. On the scale from chance, 0, to certain, 1, it is a curve
over :math:`\log\sigma_t` with a threshold and a width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from molrg import checks, draws
from molrg.denoisers import Denoiser
from molrg.draws import Generators
from molrg.images import faces
from molrg.mixture import MoLRG
from molrg.schedules import Schedule
from molrg.stats import Transition, fit_transition
from molrg.studies import forward_backward
from molrg.zoo import readers

SIGMAS = (0.1, 0.2, 0.35, 0.6, 0.9, 1.3, 1.9, 2.8, 4.2, 6.5, 10.0, 16.0, 30.0)
AT_ONCE = 64


def marginals(posterior: Tensor) -> dict[str, Tensor]:
    """Probabilities of each attribute's values, (B, values), from those of the kinds, (B, 768).

    Raises:
        ValueError: where there is not one probability for each kind.
    """
    if posterior.dim() != 2 or posterior.shape[1] != faces.KINDS:
        found = tuple(posterior.shape)
        raise ValueError(f"posterior.shape = {found}: allowed is (B, {faces.KINDS})")
    table = posterior.unflatten(1, [len(values) for values in faces.ATTRIBUTES.values()])
    axes = range(1, 1 + len(faces.ATTRIBUTES))
    return {
        name: table.sum([other for other in axes if other != axis])
        for axis, name in zip(axes, faces.ATTRIBUTES, strict=True)
    }


def exact(
    pictures: Tensor,
    factors: pd.DataFrame,
    schedule: Schedule,
    sigmas: Sequence[float] = SIGMAS,
    *,
    law: MoLRG | None = None,
    seed: int | Sequence[int] = 0,
) -> pd.DataFrame:
    """Posterior probability of the true value of each attribute, exactly, over the noise level.

    Source: ours; Bayes' rule in the mixture.

    Args:
        pictures: faces without a pose, (N, 3, size, size).
        factors: theirs, as `molrg.images.faces.draw` returns them.
        schedule: the forward process.
        sigmas: noise levels.
        law: the mixture of all kinds; that without noise where omitted.
        seed: of the noise; or several, for equal parts of the pictures.

    Returns:
        A row for each noise level, attribute and face: `sigma` (that of the schedule), `attribute`,
        `face`, `kept`, the probability, `score`, corrected for chance.

    Raises:
        ValueError: where pictures are not finite or a noise level is out of range.
    """
    clean = checks.finite("pictures", pictures)
    law = law or faces.mixture(size=clean.shape[-1], noise=0.0, dtype=clean.dtype)
    tables = []
    for level, wanted in enumerate(sigmas):
        t = schedule.t_of_sigma(wanted).item()
        noise = draws.normal_like(clean, generator=_sources(seed, level))
        noisy = schedule.add_noise(clean, t, noise)
        parts = [law.responsibilities(part, t, schedule) for part in noisy.split(AT_ONCE)]
        kept = {
            name: _of_truth(share, factors, name)
            for name, share in marginals(torch.cat(parts)).items()
        }
        tables.append(_table(schedule.sigma(t).item(), kept))
    return pd.concat(tables, ignore_index=True)


def by_network(
    denoiser: Denoiser,
    reader: readers.Readers,
    pictures: Tensor,
    factors: pd.DataFrame,
    sigmas: Sequence[float] = SIGMAS,
    *,
    steps: int = 20,
    seed: int = 0,
) -> pd.DataFrame:
    """Whether each attribute is kept when faces are noised and denoised at random by a network.

    Source: ours; the experiment of 2402.16991.

    Args:
        denoiser: a model of faces.
        reader: reads the attributes of the faces that come back.
        pictures: (N, 3, 32, 32).
        factors: theirs.
        sigmas: noise levels.
        steps: as in `molrg.studies.forward_backward.run`.
        seed: of both noises.

    Returns:
        As `exact`; `kept` is 1 where the value that is read is the true one, else 0.

    Raises:
        ValueError: where pictures are not finite or a noise level is out of range.
    """
    outcomes = come_back(denoiser, reader, pictures, sigmas, steps=steps, seed=seed)
    return kept_by(outcomes, factors)


def come_back(
    denoiser: Denoiser,
    reader: readers.Readers,
    pictures: Tensor,
    sigmas: Sequence[float] = SIGMAS,
    *,
    steps: int = 20,
    seed: int | Sequence[int] = 0,
) -> dict[float, dict[str, Tensor]]:
    """What is read from faces that were noised and denoised at random.

    Args:
        denoiser: a model of faces, or the exact posterior mean.
        reader: reads the attributes of the faces that come back.
        pictures: (N, 3, 32, 32).
        sigmas: noise levels.
        steps: as in `molrg.studies.forward_backward.run`.
        seed: of both noises; or several for equal parts of the pictures, which go back together.

    Returns:
        {noise level of the schedule: {attribute: place of the value that is read, (N,)}}.

    Raises:
        ValueError: where pictures are not finite or a noise level is out of range.
    """
    schedule = denoiser.schedule
    outcomes = {}
    for level, wanted in enumerate(sigmas):
        t = schedule.t_of_sigma(wanted).item()
        generator = _sources(seed, level)
        parts = pictures.split(AT_ONCE) if isinstance(seed, int) else (pictures,)
        returned = [
            forward_backward.run(denoiser, part, t, steps=steps, generator=generator)
            for part in parts
        ]
        read = readers.read(reader, torch.cat(returned))
        outcomes[schedule.sigma(t).item()] = {
            name: read[name].argmax(1).cpu() for name in faces.ATTRIBUTES
        }
    return outcomes


def _sources(seed: int | Sequence[int], level: int) -> Generators:
    """Generators of one noise level: one, or one for each of several seeds."""
    if isinstance(seed, int):
        return draws.source(seed, level)
    return [draws.source(own, level) for own in seed]


def kept_by(outcomes: dict[float, dict[str, Tensor]], factors: pd.DataFrame) -> pd.DataFrame:
    """Whether each attribute that `come_back` read is that of the factors, as `by_network`."""
    tables = []
    for sigma, read in outcomes.items():
        kept = {
            name: (places == readers.places(factors, name)).double()
            for name, places in read.items()
        }
        tables.append(_table(sigma, kept))
    return pd.concat(tables, ignore_index=True)


def _of_truth(share: Tensor, factors: pd.DataFrame, attribute: str) -> Tensor:
    place = readers.places(factors, attribute).to(share.device)
    return share.gather(1, place[:, None])[:, 0]


def _table(sigma: float, kept: dict[str, Tensor]) -> pd.DataFrame:
    rows = []
    for name, values in kept.items():
        chance = 1 / len(faces.ATTRIBUTES[name])
        numbers = values.double().cpu().numpy()
        rows.append(
            pd.DataFrame(
                {
                    "sigma": sigma,
                    "attribute": name,
                    "face": np.arange(len(numbers)),
                    "kept": numbers,
                    "score": (numbers - chance) / (1 - chance),
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


def thresholds(table: pd.DataFrame, *, draws: int = 200) -> dict[str, Transition]:
    """A sigmoid over log sigma for each attribute: `centre` is the logarithm of its threshold.

    Args:
        table: as `exact` or `by_network` returns it, with three noise levels or more.
        draws: bootstrap samples of the faces.

    Raises:
        ValueError: as `molrg.stats.fit_transition`.
    """
    fits = {}
    for name, rows in table.groupby("attribute", sort=False):
        scores = rows.pivot(index="face", columns="sigma", values="score")
        x = np.log(scores.columns.to_numpy(dtype=float))
        fits[str(name)] = fit_transition(x, scores.to_numpy(), falls=True, log2=False, draws=draws)
    return fits


def contrasts(size: int = 32) -> dict[str, float]:
    """How much an attribute changes the picture: rms distance between two of its values.

    At the mean colours, over all pairs of values and everything else that a face may have; in the
    units of pictures in [-1, 1], as the noise level is.

    Raises:
        ValueError: where the size is not one of the set's.
    """
    shape = [len(values) for values in faces.ATTRIBUTES.values()]
    points = (
        faces.means(torch.arange(faces.KINDS, device="cpu"), size).flatten(1).unflatten(0, shape)
    )
    found = {}
    for axis, name in enumerate(faces.ATTRIBUTES):
        values = shape[axis]
        spread = points.var(axis, correction=0).sum(-1).mean()  # mean square to the mean value
        found[name] = (2 * spread * values / (values - 1)).sqrt().item()
    return found
