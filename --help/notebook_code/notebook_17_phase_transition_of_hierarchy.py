from IPython.display import display
profile = "quick"
seed_offset = 0
seed_count = 12
trees = 64
population = 8192
starts = 400
steps = 100

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import HTML
from molrg import claims, hierarchy, plots, stats
from molrg.hierarchy import RHM
from molrg.studies import hierarchy_parts, hierarchy_transition as transition
from molrg.studies.hierarchy_transition import by_seed
from myst_nb import glue

plots.house_style()
seeds = claims.seeds(seed_count, seed_offset, profile)

generator = torch.Generator().manual_seed(seed_offset)
small = RHM.random(1, s=2, v=8, m=3, generator=generator)
(leaves, root) = small.sample(1, generator=generator)
evidence = hierarchy.epsilon_evidence(leaves, 0.5, v=8)

rules, beliefs = small.rules[0], evidence[0].exp()
products = beliefs[0, rules[:, :, 0]] * beliefs[1, rules[:, :, 1]]
message = products.sum(1)
by_hand = message / message.sum()

gap = (by_hand - small.class_posterior(evidence)[0]).abs().max()
print(f"belief in the right symbol {by_hand[root[0, 0]]:.3f}, difference {gap:.0e}")

model = RHM.random(6, s=2, v=16, m=4, generator=generator)
tree = model.sample(1, generator=generator)
levels = torch.linspace(0.3, 0.8, 26).tolist()
changed = hierarchy_parts.changed_symbols(model, tree, levels, seed=seed_offset + 1)
fate = ["changed" if symbols[-1].any() else "kept" for symbols in changed]
first = fate.index("changed") if "changed" in fate else 0

tree_figure, axes = plt.subplots(3, 1, figsize=(6.8, 5.4))
for ax, k in zip(axes, (max(first - 1, 0), first, min(first + 9, 25)), strict=True):
    plots.tree(ax, changed[k])
    ax.set_title(rf"$\sigma$ = {levels[k]:.2f}: class {fate[k]}", loc="left")

captions = [
    f"sigma = {sigma:.2f}: class {word}, "
    f"{100 * (~symbols[0]).double().mean():.0f} % of the leaves kept"
    for sigma, symbols, word in zip(levels, changed, fate, strict=True)
]
HTML(
    plots.tree_slider(
        changed,
        captions,
        name="c17-slider",
        label="noise level",
        start=first,
        alt="A binary tree. Dots are kept symbols, squares are changed ones.",
    )
)

grid = np.linspace(0.1, 0.98, 23)
curves = {
    L: transition.beliefs((L, 2, 16, 4), grid, seeds, trees=64 * trees // 2**L)
    for L in (3, 5, 7)
}

mean_field = hierarchy.epsilon_threshold(s=2, v=16, m=4)
figure, axes = plt.subplots(1, 2, figsize=(6.8, 3.2), sharey=True)
roles = ("reference", "extra2", "estimate")
for (L, table), role in zip(curves.items(), roles, strict=True):
    for ax, part in zip(axes, ("class", "leaves"), strict=True):
        plots.band(ax, grid, by_seed(table, part), role=role, label=f"L = {L}")
for ax, title in zip(axes, ("class", "leaves"), strict=True):
    ax.axvline(mean_field, ls="--", lw=1, color=plots.COLOURS["exact"])
    ax.set(xlabel=r"noise $\epsilon$", title=title)
axes[0].set_ylabel("belief in the right symbol")
axes[0].legend();

epsilon = transition.epsilon_thresholds(
    [(12, 3), (16, 4), (16, 5), (32, 8)], seeds, trees=trees
)
gaussian = transition.gaussian_thresholds(
    [(16, 4), (16, 5), (32, 8)],
    seeds,
    trees=trees,
    population=population,
    theory_seed=seed_offset,
)
crossing_deviation = epsilon["off_mean_field"].abs().groupby(epsilon["seed"]).max()
off = gaussian[["off_mean_field", "off_density_evolution"]].abs()
gaussian_deviation = off.groupby(gaussian["seed"]).mean()

def against(ax, table, theory, role, label):
    """Crossings, with intervals over seeds, against what a theory says."""
    groups = [rows for _, rows in table.groupby(["v", "m"])]
    measured = [stats.Summary.of(rows["crossing"].to_numpy()) for rows in groups]
    predicted = [rows[theory].iloc[0] for rows in groups]
    means, halves = zip(*[(s.mean, s.upper - s.mean) for s in measured], strict=True)
    style = {"fmt": "o", "ms": 4, "color": plots.COLOURS[role], "label": label}
    ax.errorbar(predicted, means, halves, **style)


places, axes = plt.subplots(1, 2, figsize=(6.8, 3.2))
against(axes[0], epsilon, "mean_field", "estimate", "mean field")
against(axes[1], gaussian, "density_evolution", "reference", "density evolution")
against(axes[1], gaussian, "mean_field", "control", "mean field")
for ax, title in zip(axes, (r"$\epsilon$-process", "Gaussian noise"), strict=True):
    ax.axline((0.6, 0.6), slope=1, lw=1, color=plots.COLOURS["exact"])
    ax.set(xlabel="predicted threshold", ylabel="measured crossing", title=title)
    ax.legend(loc="lower right")
quoted = {
    "worst": epsilon.groupby(["v", "m"])["off_mean_field"].mean().abs().max(),
    "naive": gaussian_deviation["off_mean_field"].mean(),
    "evolved": gaussian_deviation["off_density_evolution"].mean(),
}
for name, value in quoted.items():
    glue(f"c17_{name}", 100 * float(value), display=False)

levels_kept = hierarchy_parts.unchanged_levels(
    [0.7, mean_field, 0.9], seeds, trees=8 * trees
)
at_threshold = levels_kept[levels_kept["epsilon"] == mean_field]
rises = hierarchy_parts.least_rise(at_threshold)

counts = [2, 5, 10, 20, steps]
excess = hierarchy_parts.reverse_process_excess(counts, seeds, starts=starts)
endpoint_z = excess["z"].abs().groupby([excess["steps"], excess["seed"]]).max()

parts_figure, axes = plt.subplots(1, 2, figsize=(6.8, 3.2))
roles = ("reference", "estimate", "extra2")
for (eps, rows), role in zip(levels_kept.groupby("epsilon"), roles, strict=True):
    shares = rows.pivot(index="seed", columns="level", values="posterior")
    label = rf"$\epsilon$ = {eps:.1f}"
    plots.band(axes[0], range(7), shares, role=role, label=label)
unrelated = at_threshold.pivot(index="seed", columns="level", values="unrelated")
plots.band(axes[0], range(7), unrelated, role="control", label="unrelated")
axes[0].set(xlabel="level (leaves 0, class 6)", ylabel="unchanged", ylim=(0, 1.1))
for part, role in {"class": "estimate", "leaves": "reference"}.items():
    rows = excess[excess["part"] == part]
    bias = 100 * rows.pivot(index="seed", columns="steps", values="excess")
    plots.band(axes[1], bias.columns, bias, role=role, label=part)
axes[1].axhline(0, lw=1, color=plots.COLOURS["exact"])
axes[1].set(xscale="log", xlabel="steps", ylabel="excess of share unchanged, %")
axes[1].set_xticks(counts, counts)
for ax in axes:
    ax.legend()
    ax.minorticks_off()

wide = np.linspace(0.2, 0.98, 14)
families = transition.without_threshold(wide, seeds, trees=trees)
ends = transition.family_crossings(families)
control_crossing = (ends["crossing"] / mean_field - 1).abs().groupby(ends["seed"]).min()
chaos = {
    L: transition.beliefs((L, 2, 16, 16), grid, seeds, trees=1024 // 2**L)
    for L in (3, 7)
}

runaway, axes = plt.subplots(1, 3, figsize=(6.8, 2.7), sharey=True)
for ax, (name, rows) in zip(axes, families.groupby("family", sort=False), strict=True):
    for size, role in {8: "reference", 64: "estimate"}.items():
        table = by_seed(rows[rows["size"] == size], "class")
        plots.band(ax, wide, table, role=role, label=f"{size} leaves")
    ax.axvline(mean_field, ls="--", lw=1, color=plots.COLOURS["exact"])
    ax.set(xlabel=r"noise $\epsilon$", title=name)
axes[0].set_ylabel("belief in the right class")
axes[0].legend();

verdict = claims.check(
    "C17",
    values={
        "crossing_deviation": crossing_deviation,
        "sharpening": transition.sharpening(curves[3], curves[7]),
        "gaussian_deviation": gaussian_deviation["off_density_evolution"],
        "composition_rise": rises["posterior"],
        "endpoint_z": endpoint_z[counts[-1]],
    },
    control={
        "crossing_deviation": control_crossing,
        "sharpening": transition.sharpening(chaos[3], chaos[7]),
        "gaussian_deviation": gaussian_deviation["off_mean_field"],
        "composition_rise": rises["unrelated"],
        "endpoint_z": endpoint_z[counts[0]],
    },
    seeds=seeds,
    profile=profile,
    figure=figure,
    trees=trees,
    population=population,
)
verdict.glue()
verdict

# NBVAL_CHECK_OUTPUT
print(verdict)

print(claims.provenance())
