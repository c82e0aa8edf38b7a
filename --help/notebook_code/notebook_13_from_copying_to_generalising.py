from IPython.display import display
profile = "quick"
seed_offset = 0
seed_count = 5
rows = 256
width = 128
steps = 550
batch = 32

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from molrg import claims, draws, memorization, plots, sampling, stats, sweeps
from molrg.denoisers import Empirical
from molrg.studies import copying
from molrg.studies.copying import CS, LEVELS, SCHEDULE
from myst_nb import glue

plots.house_style()
seeds = claims.seeds(seed_count, seed_offset, profile)
sizes = [2**k for k in range(3, 10, 1 if profile == "paper" else 2)]
middle_level = LEVELS.index(0.8)

def sweep(seeds, source="network", images="digits", sizes=sizes, **training):
    """A row for each size and seed; kept between runs in the paper profile."""
    usual = {"width": width, "steps": steps, "batch": batch} | training
    if source != "network":
        usual = dict.fromkeys(usual, 0)
    cell = {"source": source, "images": images, "samples": rows} | usual
    cells = [cell | {"N": N} for N in sizes]
    store = sweeps.kept(f"c13_{source}_{images}", profile)
    settings = {"seeds": seeds, "chunk": len(seeds), "store": store}
    return sweeps.run(copying.train_and_sample, cells, **settings)


table = {source: sweep(seeds, source) for source in copying.SOURCES}
larger = {}
if profile == "paper":
    big = {"sizes": (8, 128, 512, 2048, 8192), "width": 2 * width, "steps": 2 * steps}
    for name in ("mnist", "fashion-mnist"):
        for source in ("network", "Gaussian"):
            larger[name, source] = sweep(seeds[:3], source, name, **big)


def column(source, name, N):
    """A number for each seed, or a row of them."""
    chosen = table[source][table[source].N == N].sort_values("seed")
    return np.array(chosen[name].tolist(), dtype=float)


def against_gaussian(name, N):
    """Error of the networks over the held-out one of the Gaussians, (seeds, levels)."""
    return column("network", name, N) / column("Gaussian", "test", N)

def rows_of(source, name):
    return np.stack([column(source, name, N) for N in sizes], 1)


others = {"mnist": "extra", "fashion-mnist": "extra2"} if larger else {}
transition, axes = plt.subplots(2, 2, figsize=(6.2, 5.2))
(left, middle), (right, words_only) = axes
panels = ((left, "ratio"), (middle, "memorised"), (right, "paired"))
roles = {"network": "estimate", "Gaussian": "reference", "empirical": "control"}
for ax, name in panels:
    for source, role in roles.items():
        style = {"role": role, "label": source, "generator": draws.source(2)}
        plots.band(ax, sizes, rows_of(source, name), **style)
mixed = rows_of("network", "shuffled")
plots.band(right, sizes, mixed, role="exact", label="shuffled pairs")
for images, role in others.items():
    for ax, name in panels:
        curve = larger[images, "network"].pivot(index="seed", columns="N", values=name)
        plots.band(ax, curve.columns, curve.to_numpy(), role=role, label=images)
words = ("distance own / other half", "memorised fraction", "agreement (correlation)")
for (ax, _), what in zip(panels, words, strict=True):
    ax.set_xscale("log", base=2)
    ax.set(xlabel="training images $N$", ylabel=what)
words_only.axis("off")
words_only.legend(*right.get_legend_handles_labels(), loc="center", fontsize=10);

digits, held_out = (copying.pixels("digits", split) for split in ("train", "test"))
own, other = copying.halves(digits, 512, seed_offset)
source = draws.source(1)
noise = sampling.prior((200, 64), SCHEDULE, generator=source, dtype=own.dtype)
x = copying.sample(Empirical(own, SCHEDULE), noise)
print(
    f"copies {memorization.memorised(x, own).float().mean():.2f}, "
    f"distance ratio {memorization.distance_ratio(x, own, other).mean():.2f}"
)
glue("c13_held_out", len(held_out), display=False)

def block(N, columns=4):
    """Samples of both networks, their nearest training images, a gap at the end."""
    halves = copying.halves(digits, N, seeds[0])
    drawn = torch.tensor(column("network", "drawn", N)[0], dtype=digits.dtype)
    pairs = zip(drawn, halves, strict=True)
    lines = [(x, half[torch.cdist(x, half).argmin(1)]) for x, half in pairs]
    gap = torch.ones(4, 1, 64)  # white, between the blocks
    shown = torch.stack([image[:columns] for line in lines for image in line])
    return torch.cat([shown, gap], 1).unflatten(-1, (1, 8, 8))


shown = torch.cat([block(N) for N in (8, 32, 128, 512)], 1)[:, :-1]
pictures = plots.image_grid(shown.flatten(0, 1), columns=shown.shape[1], scale=0.45)
axes = np.array(pictures.axes).reshape(shown.shape[:2])
for k, N in enumerate((8, 32, 128, 512)):
    axes[0, 5 * k].set_title(f"$N = {N}$", fontsize=9, loc="left")
names = ("network A", "nearest", "network B", "nearest")
for ax, words in zip(axes[:, 0], names, strict=True):
    ax.text(-0.2, 0.5, words, transform=ax.transAxes, ha="right", va="center", size=9)

quoted = {
    "ratio": ("network", "ratio", 1),
    "copies": ("network", "memorised", 100),
    "empirical": ("empirical", "paired", 1),
    "network": ("network", "paired", 1),
    "Gaussian": ("Gaussian", "paired", 1),
}
for name, (source, what, unit) in quoted.items():
    for N in (8, 32, 128, 512):
        mean = unit * float(column(source, what, N).mean())
        glue(f"c13_{name}_{N}", mean, display=False)

flagged = np.max([column("network", "flagged", N) for N in sizes], axis=0)
glue("c13_flagged", 100 * float(flagged.mean()), display=False)
scores = [column("network", "gl", N).mean(0) for N in sizes]
pd.DataFrame(scores, sizes, [f"c = {c:.2f}" for c in CS]).rename_axis("N").round(2)

error_figure, axes = plt.subplots(2, 2, figsize=(6.4, 5.4), sharex=True, sharey=True)
for ax, N in zip(axes.flat, (8, 32, 128, 512), strict=True):
    curves = {"own images": ("train", "control"), "held out": ("test", "estimate")}
    for words, (name, role) in curves.items():
        style = {"role": role, "label": words, "generator": draws.source(3)}
        plots.band(ax, LEVELS, against_gaussian(name, N), **style)
    ax.axhline(1.0, lw=1, color=plots.COLOURS["exact"])
    ax.set(xscale="log", yscale="log", title=f"$N = {N}$")
    ax.set_xticks(LEVELS, [str(level) for level in LEVELS])
    ax.minorticks_off()
axes[0, 0].set_yticks([0.01, 0.1, 1, 3], ["0.01", "0.1", "1", "3"])
for ax in axes[1]:
    ax.set_xlabel(r"noise level $\sigma$")
for ax in axes[:, 0]:
    ax.set_ylabel("error / that of the Gaussian")
axes[0, 1].legend(loc="lower right")
for N in (8, 128, 512):
    relative = against_gaussian("test", N).mean(0)
    glue(f"c13_error_{N}", 100 * float(relative[middle_level] - 1), display=False)
    glue(f"c13_low_{N}", float(relative[0]), display=False)

coarse, few = (8, 32, 128), seeds[:2]
changed = {"width": [width // 4], "steps": [steps // 4]}
if profile == "paper":
    coarse, few = (8, 32, 128, 512), seeds[:3]
    changed = {"width": [width // 4, 2 * width], "steps": [steps // 4, 4 * steps]}
base = table["network"].query("N in @coarse and seed in @few")
moved = {
    name: [base] + [sweep(few, sizes=coarse, **{name: value}) for value in values]
    for name, values in changed.items()
}

shift_figure, axes = plt.subplots(1, 2, figsize=(6.4, 3.3), sharey=True)
for ax, (name, tables) in zip(axes, moved.items(), strict=True):
    settings = pd.concat(tables).groupby(name)
    shades = plt.cm.cividis(np.linspace(0, 0.8, len(settings)))
    for k, (value, group) in enumerate(settings):
        curve = group.pivot(index="seed", columns="N", values="ratio").to_numpy()
        half = stats.fit_transition(coarse, curve).at(0.5)
        glue(f"c13_{name}_{k}", float(half), display=False)
        style = {"marker": "os^"[k], "ms": 4, "color": shades[k], "label": str(value)}
        ax.plot(coarse, curve.mean(0), **style)
    ax.set_xscale("log", base=2)
    ax.set(xlabel="training images $N$")
    ax.legend(title=name, loc="upper left")
    ax.set_ylim(0, 1.35)
_ = axes[0].set(ylabel="distance own / other half")

agreed = column("network", "paired", 512)
values = {
    "distance_ratio_small": column("network", "ratio", 8),
    "distance_ratio_large": column("network", "ratio", 512),
    "memorised_small": column("network", "memorised", 8),
    "memorised_large": column("network", "memorised", 128),
    "held_out_flagged": flagged,
    "error_over_gaussian": against_gaussian("test", 512)[:, middle_level],
    "agreement_lead": column("Gaussian", "paired", 512) - agreed,
}
control = {
    "distance_ratio_small": column("Gaussian", "ratio", 8),
    "distance_ratio_large": column("empirical", "ratio", 512),
    "memorised_small": column("Gaussian", "memorised", 8),
    "memorised_large": column("empirical", "memorised", 128),
    "held_out_flagged": column("network", "caught", 128),
    "error_over_gaussian": against_gaussian("test", 8)[:, middle_level],
    "agreement_lead": column("Gaussian", "shuffled", 512) - agreed,
}
run = {"seeds": seeds, "profile": profile, "figure": transition}
run |= {"width": width, "steps": steps, "batch": batch, "rows": rows}
recorded = {", ".join(key): copying.means(found) for key, found in larger.items()}
verdict = claims.check("C13", values=values, control=control, larger=recorded, **run)
verdict.glue()
verdict

# NBVAL_CHECK_OUTPUT
print(verdict)

print(claims.provenance())
