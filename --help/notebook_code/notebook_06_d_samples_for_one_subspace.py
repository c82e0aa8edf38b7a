from IPython.display import display
profile = "quick"
seed_offset = 0
seed_count = 8
n = 48
largest_d = 8
largest_N = 15
steps = 400
noise_norm = 0.1

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import HTML
from molrg import claims, plots, stats, sweeps
from molrg.studies import one_subspace
from molrg.subspaces import pca, projector_distance, random_basis
from myst_nb import glue

plots.house_style()
seeds = claims.seeds(seed_count, seed_offset, profile)
budget = steps if profile == "quick" else 3 * steps
dims, counts = range(2, largest_d + 1), range(2, largest_N + 1)

def trained(name, dims, counts, seeds, **changes):
    store = sweeps.kept(f"c06_{name}", profile)
    settings = {"n": n, "steps": budget, "store": store} | changes
    return one_subspace.training_errors(dims, counts, seeds, **settings)


grid = [{"d": d, "n": n, "noise": 0.0} for d in dims]
by_pca = one_subspace.pca_errors(grid, seeds)
by_training = trained("grid", dims, counts, seeds)
at_random = one_subspace.random_errors(dims, counts, seeds, n=n)

maps = {
    "PCA": stats.SuccessMap.of(by_pca[by_pca.N.isin(counts)]),
    "trained denoiser": stats.SuccessMap.of(by_training),
    "random subspaces": stats.SuccessMap.of(at_random),
}
edge = np.array(counts) >= np.array(dims)[:, None]
g = torch.Generator().manual_seed(seed_offset)
lines = {name: stats.boundary_line(cells, generator=g) for name, cells in maps.items()}

figure, axes = plt.subplots(2, 2, figsize=(6.0, 5.0))
*panels, corner = axes.flat
for ax, (name, cells) in zip(panels, maps.items()):
    labels = ("samples N", "dimension d")
    mesh = plots.success_map(ax, cells, edge=dims, title=name, labels=labels)
corner.axis("off")
figure.colorbar(mesh, ax=corner, location="top", label="success rate", shrink=0.8)
corner.plot([], [], color=plots.COLOURS["control"], lw=2.2, label="boundary N*(d)")
corner.plot([], [], color="0.5", lw=1.4, ls=(0, (4, 3)), label="N = d (white)")
corner.legend(loc="upper center")
for key, name in (("pca", "PCA"), ("trained", "trained denoiser")):
    agreement = 100 * float(maps[name].agreement(edge).mean())
    ends = (lines[name].slope, *lines[name].slope_interval)
    for part, value in zip(("", "_low", "_high"), ends):
        glue(f"c06_slope_{key}{part}", value, display=False)
    glue(f"c06_edge_{key}", agreement, display=False)

generator = torch.Generator().manual_seed(seed_offset)
truth = random_basis(n, 4, generator=generator)
x = torch.randn(6, 4, generator=generator, dtype=torch.float64) @ truth.T
errors = [float(projector_distance(pca(x[:N], 4), truth)) for N in range(1, 7)]
print("error with 1 to 6 samples:", ", ".join(f"{error:.2f}" for error in errors))

below = one_subspace.completions(dims, seeds, n=n)  # a row for each seed, d and N < d
by_seed = below.groupby("seed")
error_of_sum = by_seed.variance.sum() ** 0.5


def deviation(errors, law):
    """Largest difference of root mean squares over the cells, for every seed."""
    return (errors**0.5 - law**0.5).abs().groupby(below.seed).max()


def z(errors, law):
    """Difference summed over the cells, in standard errors, for every seed."""
    return (errors - law).groupby(below.seed).sum().abs() / error_of_sum


worst_deviation = deviation(below.worst, below.worst_law)
random_z = z(below.random, below.random_law)

laws_figure, axes = plt.subplots(2, 2, figsize=(6.0, 5.2), sharey=True)
squares = by_training.assign(square=by_training.error**2).groupby(["d", "N"]).square
trained_rms = squares.mean() ** 0.5
random_rms = below.groupby(["d", "N"]).random.mean() ** 0.5
style = {"mfc": "none", "ms": 8, "color": plots.COLOURS["estimate"]}
for ax, d in zip(axes.flat, (2, 3, 4, largest_d)):
    N = np.linspace(1, d, 200)
    law = one_subspace.laws(d, N, n)
    ax.plot(N, law["worst_law"] ** 0.5, "--", color="black", label="law, worst case")
    ax.plot(N, law["random_law"] ** 0.5, color="black", label="law, random")
    rms, label = random_rms[d], "PCA, random completion"
    ax.plot(rms.index, rms, "s", color=plots.COLOURS["reference"], label=label)
    rms = trained_rms[d][: d + 1]
    ax.plot(rms.index, rms, "o", label="trained", **style)
    ax.set(title=f"d = {d}", xlabel="samples N", xticks=range(1, d + 3, 1 + d // 5))
for ax in axes[:, 0]:
    ax.set_ylabel("error, root mean square")
handles = ax.get_legend_handles_labels()
laws_figure.legend(*handles, loc="outside lower center", ncols=2);

short = by_training[by_training.d > by_training.N]
squares, law = short.error**2, one_subspace.laws(short.d, short.N, n)
ratio = {key: float(squares.mean() / values.mean()) for key, values in law.items()}
glue("c06_below", ratio["random_law"], display=False)
glue("c06_below_worst", ratio["worst_law"], display=False)
glue("c06_z", float(random_z.max()), display=False)

ambient = [24, 48, 96, 192, 384]
by_norm = [noise_norm / m**0.5 for m in ambient]
fixed = {"norm": by_norm, "coordinate": [noise_norm / n**0.5] * len(ambient)}
store = sweeps.kept("c06_ambient", profile)
offset = {}
for name, sizes in fixed.items():
    grid = [{"d": d, "n": m, "noise": v} for m, v in zip(ambient, sizes) for d in dims]
    errors = one_subspace.pca_errors(grid, seeds, store=store)
    offset[name] = one_subspace.offsets(errors)  # a row a seed, a column an n

spread = {name: np.ptp(table.to_numpy(), axis=1) for name, table in offset.items()}
glue("c06_range", float(spread["norm"].mean()), display=False)

some = ambient if profile == "paper" else [ambient[0], ambient[-1]]
trained_offset = [
    one_subspace.offsets(trained(f"n{m}", [4], range(4, 11), seeds, n=m, noise=v))
    for m, v in zip(ambient, by_norm)
    if m in some
]

ambient_figure, ax = plt.subplots()
for (name, table), role in zip(offset.items(), ("estimate", "control")):
    label = f"PCA, noise fixed by {name}"
    plots.band(ax, ambient, table.to_numpy(), role=role, label=label)
    size = np.array(fixed[name]) / stats.tolerance()
    ax.plot(ambient, 1 + size**2 * (np.array(ambient) - np.mean(dims)), "k--", lw=1.2)
label = "trained, d = 4, fixed by norm"
plots.band(ax, some, np.hstack(trained_offset), role="reference", label=label)
ax.set(xscale="log", xlabel="ambient dimension n", ylabel="boundary: N* minus d")
ax.set_xticks(ambient, ambient)
ax.minorticks_off()
ambient_figure.legend(loc="outside upper center");

values = {
    "worst_case_deviation": worst_deviation,
    "random_completion_z": random_z,
    "intercept_range": spread["norm"],
}
failing = {
    "worst_case_deviation": deviation(below.random, below.worst_law),
    "random_completion_z": z(below.worst, below.random_law),
    "intercept_range": spread["coordinate"],
}
control = maps["random subspaces"]
for key, name in (("pca", "PCA"), ("trained", "trained denoiser")):
    values[f"slope_{key}"] = maps[name].slopes
    values[f"edge_{key}"] = maps[name].agreement(edge)
    failing[f"slope_{key}"] = control.slopes
    failing[f"edge_{key}"] = control.agreement(edge)

few = [range(2, largest_d + 1, 3), range(2, 23, 2), seeds[: max(5, len(seeds) // 2)]]
middle, wide = {"sigma": (0.02, 0.2)}, {"sigma": (0.1, 1.0)}
runs = {
    "middle noise": trained("middle", *few, **middle),
    "wide noise": trained("wide", *few, **wide),
    "narrow, few steps": trained("few", *few, steps=budget // 10),
}
trials = range(1000 * seed_offset, 1000 * seed_offset + 4 * len(seeds))
at_edge = [[6], [6], trials]  # d = N = 6
edge_runs = {
    "narrow": trained("edge", *at_edge),
    "middle": trained("edge_middle", *at_edge, **middle),
    "middle, 16 draws": trained("edge_draws", *at_edge, draws=16, **middle),
}
weakest = one_subspace.weakest_direction(trials, d=6, n=n)

boundaries = {
    name: stats.boundary_line(stats.SuccessMap.of(table), generator=g)
    for name, table in runs.items()
} | {"narrow noise": lines["trained denoiser"]}

sizes = {"n": n, "largest_d": largest_d, "largest_N": largest_N, "steps": budget}
slopes = {k: [v.slope, *v.slope_interval] for k, v in (lines | boundaries).items()}
verdict = claims.check(
    "C06",
    values=values,
    control=failing,
    seeds=seeds,
    profile=profile,
    figure=figure,
    parameters=sizes,
    boundaries={name: line.boundary.tolist() for name, line in lines.items()},
    slopes=slopes,
)
verdict.glue()
verdict

# NBVAL_CHECK_OUTPUT
print(verdict)

sharpness_figure, (upper, lower) = plt.subplots(2, 1, figsize=(6.0, 6.6))
roles = ["extra2", "control", "extra", "estimate"]
for (name, line), role, marker in zip(boundaries.items(), roles, "sv^o"):
    rows = dims if name == "narrow noise" else few[0]
    upper.plot(rows, line.boundary, marker + "-", color=plots.COLOURS[role], label=name)
upper.plot(dims, dims, "--", color=plots.COLOURS["exact"], label="N = d")
upper.set(xlabel="dimension d", ylabel="boundary N*(d)", xticks=dims)
upper.legend(loc="center left", bbox_to_anchor=(1, 0.5))
roles = [roles[3], roles[0], "reference"]
for (name, table), role, mark in zip(edge_runs.items(), roles, "osd"):
    lower.plot(weakest, table.error, mark, ms=4, color=plots.COLOURS[role], label=name)
lower.axhline(stats.tolerance(), ls="--", lw=1, color=plots.COLOURS["exact"])
lower.set(xscale="log", xlim=(1e-2, None), ylabel="error, N = d = 6")
lower.set_xlabel("smallest singular value of the samples")
lower.minorticks_off()
lower.legend(loc="center left", bbox_to_anchor=(1, 0.5));

for key, line in zip(("middle", "wide", "few"), boundaries.values()):
    glue(f"c06_slope_{key}", line.slope, display=False)
    glue(f"c06_beyond_{key}", int(line.censored.sum()), display=False)
for key, table in zip(("one", "middle", "many"), edge_runs.values()):
    rate = 100 * float(table.success.mean())
    glue(f"c06_edge_{key}_rate", rate, display=False)

levels = [0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4]
cells = [{"d": d, "n": n, "noise": level / n**0.5} for level in levels for d in dims]
store = sweeps.kept("c06_slider", profile)
table = one_subspace.pca_errors(cells, seeds, store=store)
table = table[table.N.isin(counts)]
by_level = {
    f"{level:.2f}": stats.SuccessMap.of(table[table.noise == level / n**0.5])
    for level in levels
}
alt = (
    "Success map of PCA; as the noise grows, the staircase moves to larger N and blurs."
)
names = {"name": "c06-noise", "label": "norm of the errors", "alt": alt}
HTML(plots.success_slider(by_level, edge=list(dims), **names))

print(claims.provenance())
