"""Drawings of faces on the theory pages: estimates, what training finds, copies, and all kinds."""

from __future__ import annotations

from functools import cache

import matplotlib.pyplot as plt
import torch
from torch import Tensor
from torch.nn.functional import pad

from molrg import draws, plots
from molrg.denoisers import Denoiser, Empirical
from molrg.images import faces
from molrg.mixture import MoLRG
from molrg.schedules import EDM
from molrg.studies import faces_learned
from molrg.zoo import shipped

LEVELS = (0.2, 0.5, 1.0, 2.0, 4.0, 10.0)  # noise levels, in half the range from black to white
SEED = 23
NETWORK = "faces"  # the shipped model of faces, which is drawn where it is there
TRAINED = 12  # faces of each of four kinds
SHOWN = 6  # pictures in a row
KIND = faces.kind(hair="curly", eyes="glasses", mouth="bigSmile", beard="goatee")
COLOURED = faces.kind(hair="curlyHighTop", eyes="glasses", mouth="bigSmile", beard="none")
MANY = 2000  # faces of that kind
COLOURS = ("skin", "hair +", "hair r", "hair y", "shirt +", "shirt r", "shirt y")
SHEET = (12, 8)  # rows, one for each hair style, and columns of the contact sheet


def noisy_face() -> tuple[Tensor, Tensor]:
    """The face of the first part and its noise, (1, 3, 32, 32) each."""
    generator = draws.source(SEED)
    x0, _ = faces.draw(1, kinds=[KIND], generator=generator)
    return x0, draws.normal(x0.shape, generator=generator)


@cache
def law() -> MoLRG:
    """The law of all faces, made once for all drawings."""
    return faces.mixture()


@torch.no_grad()
def estimates() -> plt.Figure:
    """A face under growing noise, its exact estimate, and that of the shipped network if any."""
    x0, noise = noisy_face()
    schedule = EDM()
    rows = {
        "noise level σ, and the noisy face": torch.cat(
            [(x0 + sigma * noise) / max(1.0, sigma) for sigma in LEVELS]
        ),
        "the exact estimate": _estimated(law().denoiser(schedule), x0, noise),
    }
    if NETWORK in shipped.names():
        network = shipped.load_denoiser(NETWORK)
        rows["the trained network's estimate"] = _estimated(network, x0, noise)
    return plots.picture_rows(rows, columns=[f"{sigma:g}" for sigma in LEVELS], width=5.2)


def estimates_figure() -> str:
    """The figure of `estimates` for a page, with a caption that says which rows it has."""
    said = "Colours fade first. At the highest noise little is left but the average face."
    if NETWORK in shipped.names():
        said += (
            " The last row is of a network that was trained on such faces and knows no formula: it"
            " is close to the exact estimate, and less sharp where noise is strong."
        )
    return f"""```{{figure}} _generated/estimates.png
:name: fig-part1-estimates
:alt: A face with glasses, curls and a beard under six noise levels, and below each its estimate, \
which loses the colours first, then the beard and the mouth, and last the glasses.
:class: photo
:width: 100%

A face under growing noise, and {{eq}}`eq-posterior-mean` of each noisy picture. {said}
```
"""


def _estimated(denoiser: Denoiser, x0: Tensor, noise: Tensor) -> Tensor:
    """Estimates of a face from all `LEVELS`, in the schedule of the denoiser."""
    found = []
    for sigma in LEVELS:
        t = denoiser.schedule.t_of_sigma(sigma)
        found.append(denoiser(denoiser.schedule.add_noise(x0, t, noise), t))
    return torch.cat(found)


@torch.no_grad()
def weights() -> plt.Figure:
    """Posterior weights of the kinds of the same noisy face, over the noise level."""
    x0, noise = noisy_face()
    sigmas = torch.logspace(-1, 1.5, 40, device="cpu")
    schedule = EDM()
    x_t = (x0 + sigmas.view(-1, 1, 1, 1) * noise).flatten(1)
    over_noise = law().responsibilities(x_t, schedule.t_of_sigma(sigmas), schedule)
    seen = over_noise.amax(0) > 0.02
    seen[KIND] = False
    figure, ax = plt.subplots(figsize=(4.8, 3.0))
    ax.plot(sigmas, over_noise[:, seen], lw=0.8, color=plots.COLOURS["control"], alpha=0.6)
    ax.plot(sigmas, over_noise[:, KIND], lw=2.4, color=plots.COLOURS["estimate"])
    ax.text(0.1, 0.88, "this kind", color=plots.COLOURS["estimate"])
    ax.text(3.3, 0.45, "other kinds", color=plots.COLOURS["control"])
    ax.set(xscale="log", xlabel=r"noise level $\sigma$", ylabel="weight", ylim=(-0.03, 1.05))
    return figure


def directions() -> plt.Figure:
    """Colours of a kind, and the principal directions found from many of its faces."""
    found = faces_learned.principal_directions(COLOURED, MANY, seed=SEED)
    largest = found.true.abs().amax(1, keepdim=True)
    rows = {
        "what each colour changes": found.true / largest,
        f"principal directions of {MANY:,} faces": found.found / largest,
        "the mean face, moved along them": found.mean + 2.5 * found.found,
    }
    pictures = {title: images.view(-1, 3, 32, 32) for title, images in rows.items()}
    return plots.picture_rows(pictures, columns=COLOURS, width=5.2)


def sorted_by_kind() -> plt.Figure:
    """Half of the faces of four kinds as they come, and sorted by K-subspaces: a row per group."""
    given = faces_learned.sorted_faces(SEED, TRAINED)
    pictures = given.x.view(-1, 3, 32, 32)
    groups = [pictures[given.labels == k][:SHOWN] for k in range(4)]
    rows = {
        "as they come": _stacked(list(pictures[: 4 * SHOWN].split(SHOWN))),
        "sorted by K-subspaces": _stacked(groups),
    }
    return plots.picture_rows(rows)


def _stacked(rows: list[Tensor]) -> Tensor:
    """Rows of pictures (B, 3, H, W) one below another, as B tall pictures."""
    return torch.cat([pad(row, (0, 0, 0, plots.GAP), value=1.0) for row in rows], dim=2)


def copies_and_new() -> plt.Figure:
    """What two denoisers of the same faces draw, each sample above its nearest training face."""
    given = faces_learned.sorted_faces(SEED, TRAINED)
    schedule = faces_learned.SCHEDULE
    learned = faces_learned.learned_law(given.x, given.labels)
    denoisers: dict[str, Denoiser] = {
        "best on the training set": Empirical(given.x, schedule),
        "subspaces learned from it": learned.denoiser(schedule),
    }
    rows = {}
    for name, denoiser in denoisers.items():
        x = faces_learned.sample(denoiser, SHOWN, given.x.shape[1], seed=SEED)
        nearest = given.x[torch.cdist(x, given.x).argmin(1)]
        rows[f"samples: {name}"] = x.view(-1, 3, 32, 32)
        rows[f"nearest training faces: {name}"] = nearest.view(-1, 3, 32, 32)
    return plots.picture_rows(rows)


def sheet_kinds() -> list[int]:
    """96 kinds: every hair style with eight of the 64 ways to have eyes, mouth and beard."""
    rows, columns = SHEET
    others = faces.KINDS // rows
    step = others // columns + 1  # so that it goes through all values of the beard, too
    return [
        row * others + (row + step * column) % others
        for row in range(rows)
        for column in range(columns)
    ]


def contact_sheet() -> plt.Figure:
    """A face of each of `sheet_kinds`, a row per hair style."""
    generator = draws.source(SEED)
    drawn = [faces.draw(1, kinds=[kind], generator=generator)[0] for kind in sheet_kinds()]
    return plots.picture_rows({"": _stacked(list(torch.cat(drawn).split(SHEET[1])))})
