from IPython.display import display
profile = "quick"
seed_offset = 0
seed_count = 8
n = 48
d = 4
N_k = 40
starts = 48
d_max = 5
N_max = 7
trained_starts = 4
steps = 300

import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import HTML
from molrg import MoLRG, claims, plots, stats, sweeps
from molrg.studies import bent_assumptions as bent
from molrg.subspaces import whitened
from myst_nb import glue
from scipy.stats import binom
from torch.nn.functional import normalize

plots.house_style()
seeds = claims.seeds(seed_count, seed_offset, profile)
d_max, N_max = (8, 15) if profile == "paper" else (d_max, N_max)
angles = (90.0, 45.0, 20.0, 5.0)
parameters = {"n": n, "d": d, "N_k": N_k, "starts": starts, "steps": steps}
parameters |= {"d_max": d_max, "N_max": N_max, "trained_starts": trained_starts}


def swept(study, cells, seeds=seeds):
    """A row for each cell and seed; kept between runs in the paper profile."""
    cells = [{"n": n} | cell for cell in cells]
    store = sweeps.kept(f"c08-{study.__name__}", profile)
    return sweeps.run(study, cells, seeds=seeds, store=store)


def recovered(cells, *methods):
    """Success of these methods, and errors of the others, for each cell and seed."""
    cells = [{"starts": starts} | cell for cell in cells]
    table = swept(bent.recover, cells)
    return bent.with_success(table, *methods)

grid = [
    {"angle": angle, "dims": f"{size} {size}", "N": N}
    for angle in angles
    for size in range(2, d_max + 1)
    for N in range(2, N_max + 1)
]
table = recovered(grid, "random", "whitened", "all")
table["d"] = table.dims.str.split().str[0].astype(int)
edge = table[table.d + 1 == table.N]
by_angle = edge.groupby("angle")[["all", "random", "single"]].mean()

for (angle, name), rate in by_angle.stack().items():
    glue(f"c08_{name}_{angle:.0f}", 100 * rate, display=False)

figure, axes = plt.subplots(1, 2, figsize=(7, 3.6))
shades = plt.cm.cividis(np.linspace(0, 0.85, d_max - 1))
for ax, name in zip(axes, ["random", "single"], strict=True):
    for (size, rows), shade in zip(edge.groupby("d"), shades, strict=True):
        rates = rows.groupby("angle")[name].mean()
        ax.plot(rates.index, rates, "o-", ms=4, color=shade, label=f"$d = {size}$")
    ax.set(xlabel="angle [degrees]", xscale="log", xticks=angles)
    ax.set_xticklabels([f"{angle:g}" for angle in angles])
    ax.minorticks_off()
rates = edge.groupby("angle")["whitened"].mean()
axes[0].plot(rates, "s--", ms=4, color=plots.COLOURS["control"], label="whitened")
axes[0].set(ylabel="success at $N_k = d + 1$", title="best of the random starts")
axes[1].set(
    ylabel="share at zero loss", ylim=(-0.02, None), title="single random starts"
)
axes[1].legend(*axes[0].get_legend_handles_labels(), loc="upper left");

for angle in (90.0, 5.0):
    generator = torch.Generator().manual_seed(seed_offset)
    mixture = MoLRG.random(n, [d, d], angle=angle, generator=generator)
    x, labels = mixture.sample([d + 1, d + 1], generator=generator)
    across = labels[:, None] != labels
    sets = {"before": normalize(x), "after": whitened(x)}
    cosines = {name: (y @ y.T)[across].abs().max() for name, y in sets.items()}
    print(
        f"{angle:2.0f} degrees: {cosines['before']:.2f} before, "
        f"{cosines['after']:.0e} after"
    )

maps = {f"{a:.0f} degrees": table[table.angle == a] for a in angles}
drawn, sure = (
    {at: stats.SuccessMap.of(rows, success=name) for at, rows in maps.items()}
    for name in ("random", "whitened")
)
HTML(
    plots.success_slider(
        drawn,
        name="c08-map",
        label="angle",
        labels=("samples of each", "dimension"),
        edge=np.arange(2, d_max + 1) + 1,
        beside={"whitened start": sure},
        alt="Success of random starts over samples and dimension, "
        "with the edge of theory.",
    )
)

def sine(angle):
    return math.sin(math.radians(angle))


cell = {"dims": f"{d} {d}", "starts": 8, "N": N_k}
ratios = (0.1, 0.2, 0.4, 0.8)
by_ratio = recovered(
    [cell | {"angle": a, "noise": r * sine(a)} for a in angles for r in ratios]
)
first_order = by_ratio.noise * ((n - d) / (N_k - d - 1)) ** 0.5
by_ratio["ratio"] = (by_ratio.noise / by_ratio.angle.map(sine)).round(6)
by_ratio["law"] = by_ratio.rms / first_order
by_ratio["excess"] = by_ratio["all"] / by_ratio.oracle
excess = by_ratio.pivot_table("excess", "ratio", "angle")

tau, tilts, sizes = 0.02, (90.0, 20.0, 10.0, 5.0), (6, 8, 12, 16, 24, 32, 48)
fixed = [cell | {"angle": a, "N": N, "noise": tau} for a in tilts for N in sizes]
by_size = recovered(fixed, "all", "oracle")

needed = {
    name: stats.SuccessMap.of(by_size, y="angle", success=name).boundary
    for name in ("all", "oracle")
}
fifth = by_ratio[by_ratio.ratio == 0.2]
glue("c08_law", float(fifth.law.mean()), display=False)
for ratio in (0.2, 0.4, 0.8):
    glue(f"c08_excess_{10 * ratio:.0f}", float(excess.loc[ratio].max()), display=False)

noise_figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3.8))
shades = plt.cm.cividis(np.linspace(0, 0.85, 4))
for angle, style, shade in zip(angles, ("o-", "s-", "^-", "v-"), shades, strict=True):
    left.plot(excess[angle], style, ms=4, color=shade, label=f"{angle:g} degrees")
left.axhline(1.5, ls="--", lw=1, color=plots.COLOURS["exact"])
left.set(xscale="log", xticks=ratios, xticklabels=ratios)
left.minorticks_off()
left.set(xlabel=r"noise / $\sin$ angle", ylabel="error / error with true labels")
left.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
smooth = np.geomspace(4.5, 90, 100)
law = [d + 1 + (n - d) * (tau / stats.tolerance(float(angle))) ** 2 for angle in smooth]
right.plot(smooth, law, color=plots.COLOURS["exact"], label="first order")
for name, role, label, style in (
    ("oracle", "reference", "true labels", {"marker": "s", "ms": 9, "mfc": "none"}),
    ("all", "estimate", "K-subspaces", {"marker": "o", "ms": 4}),
):
    colour = plots.COLOURS[role]
    right.plot(sorted(tilts), needed[name], ls="", color=colour, label=label, **style)
right.set(
    xscale="log", yscale="log", xlabel="angle [degrees]", ylabel="samples of each"
)
for axis, ticks in ((right.xaxis, (90, 20, 10, 5)), (right.yaxis, (5, 10, 20, 40, 80))):
    axis.set_ticks(ticks, [str(tick) for tick in ticks])
right.minorticks_off()
right.legend(loc="upper right");

settings = {"n": n, "d": d, "N": N_k, "starts": trained_starts, "steps": steps}
scales = [(90.0, 1.0), (20.0, 1.0), (5.0, 1.0), (5.0, sine(5.0))]  # of the noise
runs = [bent.train(seeds, angle=a, scale=scale, **settings) for a, scale in scales]
trained = bent.with_success(pd.concat(runs), "error", "from_truth")

trained["noise"] = np.where(trained.scale == 1, "fixed", "scaled")
by_noise = trained.groupby(["angle", "noise"], sort=False)
report = by_noise[["error", "from_truth"]].mean().join(by_noise["loss"].median())
report.columns = ["chosen start", "from the truth", "loss / loss of the truth"]
at_5 = report.loc[5.0]
glue("c08_chosen_5", 100 * float(at_5["chosen start"].max()), display=False)
glue("c08_truth_5", 100 * float(at_5["from the truth"]["scaled"]), display=False)
for name, loss in at_5["loss / loss of the truth"].items():
    glue(f"c08_loss_{name}", float(loss), display=False)
report.round(2)

rare = {"share": 0.2, "angle": 20.0, "d": d, "starts": starts}
more = [seeds[0] + 5000 + k for k in range(4 * len(seeds))]
totals = [rare | {"N": N} for N in (10, 15, 20, 30, 45)]
weights = bent.with_success(swept(bent.recover_rare, totals, more), "all")

methods = {"through the origin": "", "one dimension more": "+1"}
methods |= {"a column of ones": "ones"}
moved = [
    {"angle": 45.0, "dims": f"{d} {d}", "N": d + 2, "mean": length, "lift": lift}
    for length in (0.0, 0.5, 1.0, 2.0)
    for lift in methods.values()
]
means = recovered(moved, "all")

mixes = ["2 4", "2 6", "2 3 4", "2 2 2", " ".join("2" * 6), " ".join("2" * 10)]
shapes = recovered([{"angle": 20.0, "dims": dims} for dims in mixes], "all", "random")
shapes.groupby("dims", sort=False)[["all", "random"]].mean().round(2)

glue("c08_shapes", 100 * float(shapes["all"].mean()), display=False)
glue("c08_shapes_random", 100 * float(shapes["random"].mean()), display=False)

balance_figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3.6))
totals, seen = np.arange(8, 50), stats.SuccessMap.of(weights, y="angle", success="all")
law = [binom.pmf(range(d, N - d + 1), N, 0.2).sum() * (2 * d < N) for N in totals]
left.plot(totals, law, color=plots.COLOURS["exact"], label="exact law")
rates, (low, high) = seen.rates[0], (bound[0] for bound in seen.interval())
bars = np.clip([rates - low, high - rates], 0, 1)
left.errorbar(seen.x, rates, bars, fmt="o", ms=4, label="K-subspaces")
left.set(xlabel="samples in all, a fifth of them of one", ylabel="success rate")
roles = ("control", "extra2", "estimate")
styles = ("o-", "s-", "^-")
for (label, lift), role, style in zip(methods.items(), roles, styles, strict=True):
    rates = means[means.lift == lift].groupby("mean")["all"].mean()
    right.plot(rates, style, ms=5, color=plots.COLOURS[role], label=label)
right.set(xlabel="length of the means", ylabel="success at $N_k = d + 2$")
for ax in (left, right):
    ax.set_ylim(-0.04, 1.06)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2))

whitening = swept(bent.whitening, [{"angle": 5.0, "d": d}])
at_edge = edge.groupby(["angle", "seed"])[["all", "single", "random"]].mean()
denoiser = trained[trained.scale == 1].set_index("angle").error

fifth = fifth.assign(
    fooled=fifth.shuffled / fifth.oracle, lost=fifth.shuffled / first_order
).groupby("seed")
values = {f"success_{a:.0f}": at_edge.loc[a, "all"] for a in angles} | {
    "noise_excess": fifth.excess.max(),
    "oracle_law": fifth.law.mean(),
    "whitened_change": whitening.whitened,
    "denoiser_5": denoiser[5.0],
    "random_5": at_edge.loc[5.0, "random"],
}
control = {f"success_{a:.0f}": at_edge.loc[a, "single"] for a in angles} | {
    "noise_excess": fifth.fooled.max(),
    "oracle_law": fifth.lost.mean(),
    "whitened_change": whitening.plain,
    "denoiser_5": denoiser[90.0],
}
run = {"seeds": seeds, "profile": profile, "figure": figure, "parameters": parameters}
verdict = claims.check("C08", values=values, control=control, **run)
verdict.glue()
verdict

# NBVAL_CHECK_OUTPUT
print(verdict)

print(claims.provenance())
