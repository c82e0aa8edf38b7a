r"""A ladder of denoisers of growing freedom: trained on the same mixtures, measured the same way.

The rungs are the tied low-rank denoiser, the free mixture, perceptrons of any width, and a small
U-Net on the points read as 3 x 4 x 4 images. Two denoisers that are not trained calibrate what is measured:
the exact one of the mixture, and the exact one of the training set.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from molrg import checks
from molrg.denoisers import MLP, Denoiser, Empirical, FreeMixture, LowRank, UNet
from molrg.memorization import copy_ratio, nearest, off_subspace
from molrg.mixture import MoLRG
from molrg.sampling import finish, heun, time_grid
from molrg.schedules import VP
from molrg.subspaces import random_bases, random_basis
from molrg.training import Trainer, output_weighting

n, K = 48, 2  # those of the paper's network experiment
EVENT = (3, 4, 4)
SCHEDULE = VP()
SIGMA = (
    0.1,
    3.0,
)  # noise levels of training and sampling; a direction of a subspace has variance one
READ = (
    0.1,
    1.0,
)  # those of the error: below, x_t is nearly the answer, above, the answer is nearly the mean
SCALE = 0.3  # of a coordinate, sqrt(d / n) for d between 4 and 5; the same for all d
CS = (0.2, 0.25, 1 / 3, 0.4, 0.5)
RESIDUALS = (0.05, 0.1, 0.2, 0.3, 0.5)
REFERENCES = ("bayes", "empirical")


def problem(seed: int, d: int, N: int) -> tuple[MoLRG, Tensor]:
    """A mixture of two orthogonal subspaces of dimension d, and N training points of each, (2 N, n).

    Without ambient noise, as in the released code of 2409.02426; the mixture depends on seed and d alone.

    Raises:
        ValueError: unless d >= 1 and N >= 1.
    """
    generator = torch.Generator().manual_seed(seed)
    bases = random_bases(n, [checks.count("d", d)] * K, generator=generator)
    mixture = MoLRG([basis.float() for basis in bases])
    return mixture, mixture.sample([checks.count("N", N)] * K, generator=generator)[0]


class Beside:
    """Denoisers with models of their own, read as one ensemble: (E, B, n) in, (E, B, n) out.

    Args:
        denoisers: E of them, on one schedule.
        event: the shape in which they want a point.
    """

    def __init__(self, denoisers: Sequence[Denoiser], event: tuple[int, ...] = (n,)) -> None:
        self.denoisers, self.event = list(denoisers), event
        self.schedule, self.ensemble = denoisers[0].schedule, (len(denoisers),)

    def __call__(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        pairs = zip(self.denoisers, x_t.unflatten(-1, self.event), strict=True)
        return torch.stack([denoiser(points, t).flatten(1) for denoiser, points in pairs])


@torch.no_grad()
def read(
    denoiser: Denoiser,
    problems: Sequence[tuple[MoLRG, Tensor]],
    seeds: Sequence[int],
    *,
    points: int = 512,
) -> tuple[Tensor, Tensor]:
    """What every model of an ensemble makes of fresh noisy points, and of noise alone.

    Args:
        denoiser: an ensemble of E models, x_t (E, B, n).
        problems: E pairs of a mixture and its training points.
        seeds: E seeds of the points and of the noise: the same for all rungs.
        points: fresh points at each noise level; half as many samples are drawn.

    Returns:
        Squared errors (E, 8) at noise levels over `READ`, mean square distance to the exact denoiser over
        the mean square of that one; and samples (E, points / 2, n): 12 steps of Heun's method down to the
        lowest level of training, and what the denoiser makes of that.
    """
    schedule, sources = (
        denoiser.schedule,
        [torch.Generator().manual_seed(2**20 + seed) for seed in seeds],
    )
    x0 = torch.stack(
        [fresh(mixture, seed, points) for (mixture, _), seed in zip(problems, seeds, strict=True)]
    )
    errors = []
    for t in schedule.t_of_sigma(torch.logspace(*map(math.log10, READ), 8, dtype=torch.float64)):
        noise = torch.stack([torch.randn(points, n, generator=g) for g in sources])
        s, gamma = schedule.at(t, x0)
        x_t = s * x0 + gamma * noise
        exact = torch.stack(
            [
                mixture.denoiser(schedule)(x, t)
                for (mixture, _), x in zip(problems, x_t, strict=True)
            ]
        )
        errors.append(
            (denoiser(x_t, t) - exact).square().mean((1, 2)) / exact.square().mean((1, 2))
        )
    last, start = schedule.t_of_sigma(torch.tensor(SIGMA)).tolist()
    noise = torch.stack([torch.randn(points // 2, n, generator=g) for g in sources])
    s, gamma = schedule.at(start, noise)
    first = (s.square() * SCALE**2 + gamma.square()).sqrt() * noise
    samples = denoiser(
        finish(heun(denoiser, first, time_grid(schedule, 12, start=start, stop=last))), last
    )
    return torch.stack(errors, dim=1), samples


def fresh(mixture: MoLRG, seed: int, points: int) -> Tensor:
    """Points that no model was trained on, (points, n)."""
    return mixture.sample(points, generator=torch.Generator().manual_seed(2**21 + seed))[0]


def unet(seed: int, d: int, N: int, images: int, batch: int, lr: float) -> dict[str, Any]:
    """Train a small U-Net by AdamW with a half-cosine decay, read a quarter of the way, halfway and at the end.

    Two levels of 32 channels, one residual block each, no attention, v-prediction, moving average; no augmentation.

    Args:
        seed: of the problem, the weights and the training.
        d: dimension of both subspaces.
        N: training points of each.
        images: noisy images seen in training.
        batch: images in a step.
        lr: largest step size.

    Returns:
        "errors" and "samples" as in `read`, to four digits, for each of the three times.

    Raises:
        ValueError: unless images make 20 steps or more.
    """
    from diffusers import UNet2DModel

    told = problem(seed, d, N)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = UNet2DModel(
            sample_size=4,
            in_channels=3,
            out_channels=3,
            block_out_channels=(32, 32),
            layers_per_block=1,
            norm_num_groups=8,
            down_block_types=("DownBlock2D",) * 2,
            up_block_types=("UpBlock2D",) * 2,
            add_attention=False,
        )
    steps = checks.count("images", images, 20 * checks.count("batch", batch)) // batch
    trainer = Trainer(
        UNet(network, SCHEDULE, data_scale=SCALE),
        told[1].unflatten(-1, EVENT),
        steps=steps,
        lr=lr,
        sigma=SIGMA,
        batch=batch,
        weighting=output_weighting("v", SCHEDULE, SCALE),
        warmup=steps // 20,
        weight_decay=1e-4,
        ema=0.99,
        clip=100.0,
        generator=torch.Generator().manual_seed(2**22 + seed),
    )
    found = []
    for stop in (steps // 4, steps // 2, steps):
        while trainer.done < stop:
            trainer.step()
        found.append(read(Beside([trainer.average], EVENT), [told], [seed]))
    errors, samples = zip(*found, strict=True)
    return {"errors": torch.cat(errors), "samples": torch.cat(samples).double().round(decimals=4)}


_SETTINGS: dict[str, dict[str, Any]] = {
    "tied": {"lr": 0.05, "batch": 32, "sigma": (0.02, 0.2)},
    "free": {"lr": 0.05, "batch": 64, "sigma": SIGMA},
    "mlp": {"lr": 0.01, "batch": 64, "sigma": SIGMA, "warmup": 20, "ema": 0.99},
}
_STARTS = {"tied": 8}  # random ones, of which the training loss chooses; the others need no choice


def train(seed: int, kind: str, width: int, d: int, N: int, steps: int) -> dict[str, Any]:
    """Train one rung; in a sweep, all that are alike as one ensemble.

    Every rung minimises the denoising loss with weight one, at the noise levels `SIGMA`; the tied one at a tenth to
    a half of these, where it finds weak directions (C06). The perceptrons predict x_0, have two hidden layers, and are
    read as their moving average.

    Args:
        seed: of the problem, the start and the training.
        kind: "tied" for `LowRank` with the true dimensions, the best of 8 starts by its training loss;
            "free" for `FreeMixture`; "mlp" for `MLP`.
        width: of the hidden layers; no matter for the others.
        d: dimension of both subspaces.
        N: training points of each.
        steps: of Adam, 64 noisy points each.

    Returns:
        "errors", as in `read`, and what `judge` returns.

    Raises:
        ValueError: where the kind is none of the three.
    """
    cell = {"kind": kind, "width": width, "d": d, "N": N, "steps": steps}
    return train.batched([cell], [seed])[0]


def _batched(cells: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> list[dict[str, Any]]:
    groups: dict[tuple, list[int]] = {}
    for job, cell in enumerate(cells):
        checks.one_of("kind", cell["kind"], tuple(_SETTINGS))
        # bases of one ensemble have one shape; everything else does not see d
        alike = (cell["kind"], cell["width"], cell["steps"], cell["kind"] == "tied" and cell["d"])
        groups.setdefault(alike, []).append(job)
    found: dict[int, dict[str, Any]] = {}
    for jobs in groups.values():
        found |= zip(
            jobs, _together([cells[job] for job in jobs], [seeds[job] for job in jobs]), strict=True
        )
    return [found[job] for job in range(len(cells))]


train.batched = _batched


def _together(cells: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Train cells of one kind, width and number of steps as one ensemble."""
    kind, steps, starts = cells[0]["kind"], cells[0]["steps"], _STARTS.get(cells[0]["kind"], 1)
    problems = [
        problem(seed, cell["d"], cell["N"]) for cell, seed in zip(cells, seeds, strict=True)
    ]
    sources = [
        torch.Generator().manual_seed(2**22 + 1000 * seed + start)
        for seed in seeds
        for start in range(starts)
    ]
    # every set repeated to one length: a row drawn from it is still uniform over its points
    length = math.lcm(*(len(x) for _, x in problems))
    data = torch.stack([x.repeat(length // len(x), 1) for _, x in problems]).repeat_interleave(
        starts, dim=0
    )
    denoiser = _start(cells[0], sources)
    trainer = Trainer(denoiser, data, steps=steps, generator=sources, **_SETTINGS[kind])
    history = torch.stack([trainer.step() for _ in range(checks.count("steps", steps, 10))])
    late = history[-(steps // 10) :].mean(0).view(-1, starts)
    chosen = late.argmin(1) + starts * torch.arange(len(cells))
    denoiser = trainer.average or denoiser
    for parameter in denoiser.parameters():
        parameter.data = parameter.data[chosen]
    denoiser.ensemble = (len(cells),)
    errors, samples = read(denoiser, problems, seeds)
    judged = [
        judge(x, *told, fresh(told[0], seed, 512))
        for x, told, seed in zip(samples, problems, seeds, strict=True)
    ]
    return [{"errors": row, **scores} for row, scores in zip(errors, judged, strict=True)]


def _start(cell: Mapping[str, Any], sources: list[torch.Generator]) -> nn.Module:
    E = (len(sources),)
    if cell["kind"] == "free":
        return FreeMixture(n, SCHEDULE, K, data_scale=SCALE, ensemble=E, generator=sources)
    if cell["kind"] == "mlp":
        return MLP(
            n,
            SCHEDULE,
            width=cell["width"],
            depth=2,
            prediction="x0",
            data_scale=SCALE,
            ensemble=E,
            generator=sources,
        )
    bases = torch.stack(
        [random_basis(n, cell["d"], generator=g, ensemble=(K,)) for g in sources]
    ).float()
    return LowRank(list(bases.unbind(1)), SCHEDULE)


def judge(samples: Tensor, mixture: MoLRG, data: Tensor, unseen: Tensor) -> dict[str, Any]:
    """Do samples copy the training points, and do they lie on the subspaces?

    Args:
        samples: (B, n).
        mixture: whose subspaces.
        data: the training points.
        unseen: points of the mixture that are not among them.

    Returns:
        "memorised", the share with d1 / d2 below each of `CS`; "gl", the share that is no copy and has
        a relative residual below r, rows over `CS`, columns over `RESIDUALS`; "residual", the median;
        "spread", the mean distance to the nearest training point over that of the unseen points.
    """
    ratio, residual = copy_ratio(samples, data), off_subspace(samples, mixture.bases)
    good = [[((ratio >= c) & (residual < most)).double().mean() for most in RESIDUALS] for c in CS]
    return {
        "memorised": [(ratio < c).double().mean() for c in CS],
        "gl": good,
        "residual": residual.median(),
        "spread": nearest(samples, data, 1).mean() / nearest(unseen, data, 1).mean(),
    }


def reference(seed: int, kind: str, d: int, N: int, points: int = 512) -> dict[str, Any]:
    """A denoiser that is not trained, read like the rungs: "bayes", exact for the mixture, or "empirical", for its training set.

    Args:
        seed: of the problem.
        kind: one of `REFERENCES`.
        d: dimension of both subspaces.
        N: training points of each.
        points: as in `read`.

    Returns:
        As `train`.

    Raises:
        ValueError: where the kind is neither.
    """
    told = problem(seed, d, N)
    exact = checks.one_of("kind", kind, REFERENCES) == "bayes"
    denoiser = told[0].denoiser(SCHEDULE) if exact else Empirical(told[1], SCHEDULE)
    errors, samples = read(Beside([denoiser]), [told], [seed], points=points)
    return {"errors": errors[0], **judge(samples[0], *told, fresh(told[0], seed, points))}
