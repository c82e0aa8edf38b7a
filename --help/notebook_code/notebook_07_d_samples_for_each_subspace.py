from IPython.display import display
profile = "quick"
seed_offset = 0
seed_count = 6
n = 48
largest_d = 6
largest_N = 9
starts = 12
trained_d = 4
trained_N = 6
trained_starts = 3
steps = 250

import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from molrg import claims, draws, plots, stats, sweeps
from molrg.studies import several_subspaces, tied_splits
from molrg.subspaces import pca
from myst_nb import glue

plots.house_style()
seeds = claims.seeds(seed_count, seed_offset, profile)
if profile == "paper":
    largest_d, largest_N, trained_d, trained_N = 8, 12, 5, 7
    trained_starts, steps = 2 * trained_starts, 2 * steps


def store(name):
    return sweeps.kept(f"c07_{name}", profile)

def clustered(name, K, dims, counts, *, joint=False, starts=starts, **more):
    if joint:
        starts = starts // 2  # joint climbs take longer
    more |= {"n": n, "joint": joint, "starts": starts, "store": store(f"{name}_{K}")}
    return several_subspaces.clustered(K, dims, counts, seeds, **more)


def grid(d, N):
    return range(2, d + 1), range(2, N + 1)


wide = {2: grid(largest_d, largest_N), 3: grid(largest_d - 2, largest_N - 2)}
small = {2: grid(trained_d, trained_N), 3: grid(trained_d - 1, trained_N - 1)}
budget = {"n": n, "starts": trained_starts, "steps": steps}
found = {(K, "one by one"): clustered("each", K, *wide[K]) for K in (2, 3)}
for K in (2, 3):
    each = several_subspaces.each_start(found[K, "one by one"], starts)
    found[K, "single start"] = each
    found[K, "jointly"] = clustered("jointly", K, *small[K], joint=True)
    found[K, "trained"] = several_subspaces.trained(
        K, *small[K], seeds, store=store(f"trained_{K}"), **budget
    )
maps = {key: stats.SuccessMap.of(table) for key, table in found.items()}

titles = {
    "one by one": "K-subspaces",
    "jointly": "K-subspaces, jointly",
    "trained": "trained denoiser",
    "single start": "single random start",
}
labels = ("samples of each", "dimension d")


def diagrams(K):
    """Four maps of success for K subspaces."""
    figure, axes = plt.subplots(2, 2, figsize=(6.4, 5.2), layout="constrained")
    for ax, name in zip(axes.flat, titles):
        cells = maps[K, name]
        edge = cells.y + (name != "jointly")
        mesh = plots.success_map(ax, cells, edge=edge, labels=labels)
        ax.set(title=titles[name], xticks=cells.x, yticks=cells.y)
    figure.colorbar(mesh, ax=axes, label="success rate")
    return figure


figure = diagrams(2)

g = torch.Generator().manual_seed(seed_offset)
lines = {key: stats.boundary_line(cells, generator=g) for key, cells in maps.items()}
for (K, name), line in lines.items():
    key = f"c07_{name.replace(' ', '_')}_{K}"
    ends = (line.slope, *line.slope_interval)
    for part, value in zip(("slope", "low", "high"), ends):
        glue(f"{key}_{part}", value, display=False)
    for extra in (0, 1, 2):
        rate = several_subspaces.beyond_edge(found[K, name], extra).mean()
        glue(f"{key}_at_{extra}", 100 * float(rate), display=False)

x, _ = several_subspaces.draw(seed_offset, K=2, d=2, N=2, n=n)
for split in ([0, 1], [2, 3]), ([0, 2], [1, 3]), ([0, 3], [1, 2]):
    U, V = (pca(x[group], 2) for group in split)
    captured = torch.maximum((x @ U).square().sum(-1), (x @ V).square().sum(-1))
    loss = (x.square().sum() - captured.sum()).abs()
    print(*split, f"loss {loss:.0e}, largest cosine {(U.T @ V).abs().max():.0e}")

cells = [{"K": 2, "d": d} for d in (2, 3, 4)] + [{"K": 3, "d": 2}]
counted = tied_splits.counts(cells, seeds, n=n, store=store("all"))
counted.groupby(["K", "d"]).agg(["min", "max"]).drop(columns="seed").T

_ = diagrams(3)

tilt = 45.0
floor = math.sin(math.radians((90 - tilt) / 2))
tilted = {
    "one by one": clustered("tilted_each", 2, *small[2], angle=tilt),
    "jointly": clustered("tilted_jointly", 2, *small[2], angle=tilt, joint=True),
}

places = [["one by one", "jointly"], ["error", "error"]]
tilted_figure, axes = plt.subplot_mosaic(
    places, figsize=(6.4, 5.2), layout="constrained"
)
for name, table in tilted.items():
    ax = axes[name]
    cells = stats.SuccessMap.of(table)
    edge = cells.y + (name != "jointly")
    mesh = plots.success_map(ax, cells, edge=edge, title=name, labels=labels)
    ax.set(xticks=cells.x, yticks=cells.y)
pair = [axes[name] for name in tilted]
tilted_figure.colorbar(mesh, ax=pair, label="success rate")
below = axes["error"]
for (name, table), role in zip(tilted.items(), ("estimate", "control")):
    errors = table[table.d == 3].pivot(index="seed", columns="N", values="error")
    style = {"role": role, "label": name, "generator": draws.source(seed_offset)}
    plots.band(below, errors.columns, errors.to_numpy(), **style)
below.axhline(floor, ls="--", color=plots.COLOURS["exact"], label="floor, jointly")
below.set(xlabel="samples of each", ylabel="error, d = 3", ylim=(-0.03, 1.6))
below.legend(loc="upper right", ncols=3);

ties = tied_splits.broken_ties((2, 3), seeds, n=n, store=store("ties"))
ratio = tied_splits.tie_ratios(ties)  # a row a seed; whitened samples (True), or not
ranks = tied_splits.soft_ranks((2, 3, 4), seeds, n=n, store=store("ranks"))

edge_figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3.6))
sizes = np.arange(2, trained_d + 1)
law = [1 / tied_splits.balanced_splits(2, d) for d in sizes]
left.plot(sizes, law, "k--", label="uniform tie-breaking")
firsts = {"one by one": starts, "jointly": starts // 2, "trained": trained_starts}
for (name, count), style in zip(firsts.items(), ("o-", "^-", "s-")):
    edge = found[2, name].query("N == d")
    share = several_subspaces.share_of_starts(edge, count).groupby(edge.d).mean()
    left.plot(share[share > 0].loc[:trained_d], style, ms=5, label=titles[name])
left.set(xlabel="dimension d", ylabel="share of truth at $N_k = d$")
left.set(yscale="log", xticks=sizes)
ticks = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
left.set_yticks(ticks, ticks)
left.minorticks_off()
left.legend(fontsize=9, loc="upper center", bbox_to_anchor=(0.45, -0.2))
for (d, rows), role in zip(ranks.groupby("d"), ("estimate", "reference", "extra")):
    below = np.array(rows.below.tolist())
    style = {"role": role, "label": f"d = {d}", "generator": draws.source(seed_offset)}
    plots.band(right, tied_splits.SIGMAS, below, **style)
right.axhline(0.5, ls="--", lw=1, color=plots.COLOURS["exact"])
right.set(xscale="log", xlabel=r"noise level $\sigma$", ylim=(-0.05, 1.05))
right.set_ylabel("wrong solutions below the truth")
right.legend(fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.2));

glue("c07_ratio_white", float(ratio[True].mean()), display=False)
glue("c07_ratio_plain", float(ratio[False].mean()), display=False)

def off(counts):
    """Largest deviation of a count from one, for every seed."""
    return (counts - 1).abs().groupby(counted.seed).max()


beyond = several_subspaces.beyond_edge
first = found[2, "one by one"]
values = {
    "edge_count_off": off(counted["N_k = d"] / counted.law),
    "above_count_off": off(counted["N_k = d + 1"]),
    "joint_count_off": off(counted["jointly"]),
    "joint_success": beyond(found[2, "jointly"], 0),
    "tie_ratio": ratio[True],
    "joint_tilted_error": tilted["jointly"].groupby("seed").error.min(),
}
failing = {
    "edge_count_off": off(counted["N_k = d + 1"] / counted.law),
    "above_count_off": off(counted["isotropic, d + 1"]),
    "joint_count_off": off(counted["jointly, 45 degrees"]),
    "joint_success": beyond(first, 0),
    "tie_ratio": ratio[False],
    "joint_tilted_error": tilted["one by one"].groupby("seed").error.min(),
}

few = ([2, 3, 4], [3, 4, 5, 7, 9, 12])
many = starts + 4
for K in (2, 3):
    alone = clustered("alone", K, *few, starts=many)
    single = several_subspaces.share_of_starts(alone, many)
    alone = alone.assign(single=single, success=single > 1 / 3)
    values[f"success_{K}"] = beyond(found[K, "one by one"], 1)
    values[f"slope_{K}"] = maps[K, "one by one"].slopes
    failing[f"success_{K}"] = beyond(alone, 1, "single")
    failing[f"slope_{K}"] = stats.SuccessMap.of(alone).slopes

slopes = {
    f"{name}, {K}": [line.slope, *line.slope_interval]
    for (K, name), line in lines.items()
    if not line.censored.any()
}
settings = {"n": n, "starts": starts, "steps": steps, "trained_starts": trained_starts}
verdict = claims.check(
    "C07",
    values=values,
    control=failing,
    seeds=seeds,
    profile=profile,
    figure=figure,
    parameters=settings,
    slopes=slopes,
)
verdict.glue()
verdict

# NBVAL_CHECK_OUTPUT
print(verdict)

print(claims.provenance())
