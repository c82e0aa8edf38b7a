"""Pictures made beforehand of what the live faces do, for readers whose browser runs no scripts."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import torch

from molrg import claims, draws, files, plots, sampling
from molrg.images import faces
from molrg.schedules import EDM

SEED = 11
SIGMA = 0.5  # of the edits
ALPHAS = (-2.0, -1.0, 0.0, 1.0, 2.0)
EDITED = {  # rows: label, and factor
    "hair,\ngreener\nto redder": "hair_red",
    "skin,\ndarker\nto lighter": "skin",
    "shirt,\nbluer\nto yellower": "shirt_yellow",
}
SHOWN = (0, 8, 12, 15, 18, 24)  # steps of a sample
STEPS = 24
SCHEDULE = EDM(sigma_min=0.05, sigma_max=40.0)


def write(folder: Path | None = None) -> list[Path]:
    """Write the strips of the panels for editing and for sampling.

    Args:
        folder: where to; ``book/_static/live`` of the project where omitted.
    """
    folder = claims.root() / "book" / "_static" / "live" if folder is None else folder
    paths = []
    for name, draw in {"faces-edit-strip.png": edits, "faces-sample-strip.png": sample}.items():
        with plt.rc_context():
            plots.house_style()
            figure = draw()
        with files.replacing(folder / name) as aside:
            figure.savefig(aside, dpi=110, metadata={"Software": None})
        plt.close(figure)
        paths.append(folder / name)
    return paths


def edits() -> plt.Figure:
    """A noisy face moved along four directions with names, and estimated exactly."""
    generator = draws.source(SEED)
    x_0, factors = faces.draw(1, generator=generator)
    noise = draws.normal(x_0.shape, generator=generator)
    tangents = faces.tangents(factors).to(x_0.dtype)[0].mT.unflatten(1, x_0.shape[1:])
    rows = [
        torch.stack([alpha * tangents[faces.COLOURS.index(name)] for alpha in ALPHAS])
        for name in EDITED.values()
    ]
    towards = faces.render(factors.assign(eyes="glasses")) - x_0
    rows.append(torch.stack([share * towards[0] for share in (0.0, 0.25, 0.5, 0.75, 1.0)]))
    x_t = x_0 + SIGMA * noise + torch.cat(rows)
    x0_hat = faces.mixture().denoiser(EDM())(x_t, EDM().t_of_sigma(SIGMA))
    figure = plots.image_grid(x0_hat, columns=len(ALPHAS), scale=1.1)
    label_rows(figure, [*EDITED, "open eyes\nto glasses"], len(ALPHAS))
    return figure


@torch.no_grad()
def sample() -> plt.Figure:
    """Noise on its way to a face, and the exact estimate at the same steps."""
    denoiser = faces.mixture().denoiser(SCHEDULE)
    start = sampling.prior(
        (1, 3, 32, 32), SCHEDULE, generator=draws.source(SEED), dtype=torch.float32
    )
    steps = list(sampling.ddim(denoiser, start, sampling.time_grid(SCHEDULE, STEPS)))
    chosen = [steps[min(i, len(steps) - 1)] for i in SHOWN]
    noisy = torch.cat([step.x_t / step.x_t.abs().amax().clamp_min(1) for step in chosen])
    estimates = torch.cat([step.x0_hat for step in chosen])
    figure = plots.image_grid(torch.cat([noisy, estimates]), columns=len(SHOWN), scale=1.1)
    label_rows(figure, ["with noise", "estimate"], len(SHOWN))
    return figure


def label_rows(figure: plt.Figure, labels: list[str], columns: int) -> None:
    """Write what each row of pictures shows before its first.

    Args:
        figure: a grid of pictures.
        labels: one a row.
        columns: pictures in a row.
    """
    for axes, label in zip(figure.axes[::columns], labels, strict=True):
        axes.text(-0.1, 0.5, label, transform=axes.transAxes, ha="right", va="center", fontsize=9)
