from IPython.display import display
profile = "quick"
seed_offset = 0
seed_count = 8
length = 6.0
sigma = 0.2
queries = 100
training_sets = 5

import matplotlib.pyplot as plt
import numpy as np
import torch
from molrg import claims, plots, schedules, stats
from molrg.denoisers import Empirical
from molrg.studies import score_rates
from molrg.studies.curves import Curve, KernelDensity
from molrg.studies.score_rates import score_error
from molrg.subspaces import random_basis
from myst_nb import glue

plots.house_style()
schedule = schedules.EDM(sigma_min=0.01, sigma_max=20)  # s = 1, gamma = sigma
t = schedule.t_of_sigma(sigma).item()
seeds = claims.seeds(seed_count, seed_offset, profile)

g = torch.Generator().manual_seed(seed_offset)
curve = Curve.random(128, length=length, generator=g)
x, x0 = curve.sample(256, generator=g), curve.sample(queries, generator=g)
x_t = x0 + sigma * torch.randn(x0.shape, generator=g, dtype=x0.dtype)


def score(points):
    w = torch.softmax(-(torch.cdist(x_t, points) ** 2) / (2 * sigma**2), dim=1)
    return (w @ points - x_t) / sigma**2


difference = score(x) - score(curve.nodes())
print(f"scaled error {sigma**2 * difference.square().sum(1).mean():.4f}")

small = Curve.random(8, length=length, generator=g)
U = random_basis(2048, 8, generator=g)
x, x0 = small.sample(256, generator=g), small.sample(queries, generator=g)
noise = sigma * torch.randn(queries, 2048, generator=g, dtype=torch.float64)


def error(x, nodes, x_t):
    learned, true = Empirical(x, schedule), KernelDensity(nodes, schedule)
    return score_error(learned, true, x_t, t)


in_8 = error(x, small.nodes(), x0 + noise @ U)
in_2048 = error(x @ U.T, small.nodes() @ U.T, x0 @ U.T + noise)
print(f"D = 8: {in_8:.15f}\nD = 2048: {in_2048:.15f}")
glue("c15_flat", abs(in_2048 / in_8 - 1), display=False)

dims, sizes = [8, 32, 128, 512, 2048], [64, 128, 256, 512, 1024]
setting = {"sigma": sigma, "queries": queries}
on_curve = setting | {"length": length, "training_sets": training_sets}
across_D, across_N = [(D, 256) for D in dims], [(128, N) for N in sizes]


def errors_of(table, by):
    """Errors, a row for each seed and a column for each value of `by`."""
    return table.pivot(index="seed", columns=by, values="error").to_numpy()


curve_D = errors_of(score_rates.on_curves(across_D, seeds, **on_curve), "D")
curve_N = errors_of(score_rates.on_curves(across_N, seeds, **on_curve), "N")
full_D = errors_of(score_rates.on_gaussians(across_D, seeds, **setting), "D")
full_N = errors_of(score_rates.on_gaussians(across_N, seeds, **setting), "N")

figure, axes = plt.subplots(1, 2, figsize=(6.8, 3.3), sharey=True)
panels = zip(axes, (dims, sizes), (curve_D, curve_N), (full_D, full_N), strict=True)
for ax, x, on, full in panels:
    plots.band(ax, x, full, role="control", label="Gaussian in all directions")
    plots.band(ax, x, on, role="estimate", label="curve")
    ax.set(xscale="log", yscale="log")
    ax.set_xticks(x, x)
    ax.minorticks_off()
start = curve_N.mean(0)[-1] * sizes[-1]
axes[1].plot(sizes, [start / N for N in sizes], "k--", lw=1, label="1 / N")
axes[0].set(xlabel="ambient dimension D (N = 256)", ylabel="scaled score error")
axes[1].set(xlabel="training points N (D = 128)")
axes[1].legend(loc="center right", bbox_to_anchor=(1, 0.55));

def slopes(x, errors):
    """Slope of the logarithm of the error, for each seed."""
    return np.polyfit(np.log(x), np.log(errors).T, 1)[0]


slope_ambient, slope_samples = slopes(dims, curve_D), slopes(sizes, curve_N)
slope_full, full_samples = slopes(dims, full_D), slopes(sizes, full_N)
quoted = {"D": slope_ambient, "N": slope_samples, "full": slope_full}
for name, values in quoted.items():
    summary = stats.Summary.of(values)
    glue(f"c15_{name}", summary.mean, display=False)
    glue(f"c15_{name}_half", summary.upper - summary.mean, display=False)
wide = Curve.random(2048, length=length, generator=g)
energy = torch.linalg.svdvals(wide.nodes()) ** 2
glue("c15_energy", 100 * float(energy[:6].sum() / energy.sum()), display=False)

taus = [0.005, 0.01, 0.02, 0.05]
thick = score_rates.on_thick_curves(
    dims, [0.0, *taus], seeds, sigma=sigma, length=length, queries=queries
)
errors = {tau: errors_of(rows, "D") for tau, rows in thick.groupby("tau")}
level = errors[0].mean()  # without ambient noise

thickness = {tau: tau**2 * np.array(dims) / sigma**2 for tau in taus}
pooled = np.sort(np.concatenate([errors[tau].mean(0) for tau in taus]))
at = np.sort(np.concatenate([thickness[tau] for tau in taus]))
knee = np.exp(np.interp(np.log(2 * level), np.log(pooled), np.log(at)))
glue("c15_knee", float(knee), display=False)

thick_figure, axes = plt.subplots(1, 2, figsize=(6.8, 3.2), sharey=True)
roles = ["reference", "estimate", "extra2", "control"]
for tau, role in zip(taus, roles, strict=True):
    plots.band(axes[0], dims, errors[tau], role=role, label=rf"$\tau$ = {tau}")
    plots.band(axes[1], thickness[tau], errors[tau], role=role)
for ax, label in zip(axes, ("no noise", None), strict=True):
    ax.axhline(level, ls="--", lw=1, color=plots.COLOURS["exact"], label=label)
    ax.set(xscale="log", yscale="log")
axes[0].set(xlabel="ambient dimension D", ylabel="scaled score error")
axes[1].set(xlabel=r"thickness $\tau^2 D / \sigma_t^2$")
axes[0].legend();

widths = [8, 64, 512]
networks = score_rates.by_networks(widths, seeds[:5], sigma=sigma, length=length)
learned = {name: errors_of(rows, "D") for name, rows in networks.groupby("optimiser")}
same_points = score_rates.on_curves([(D, 1024) for D in widths], seeds, **on_curve)

for name, values in learned.items():
    glue(f"c15_{name}", float(slopes(widths, values).mean()), display=False)
net_figure, ax = plt.subplots()
plots.band(ax, widths, learned["SGD"], role="control", label="perceptron, SGD")
plots.band(ax, widths, learned["Adam"], role="extra2", label="perceptron, Adam")
same = errors_of(same_points, "D")
plots.band(ax, widths, same, role="estimate", label="empirical score")
ax.set(xscale="log", yscale="log", xlabel="ambient dimension D")
ax.set_ylabel("scaled score error")
ax.set_xticks(widths, widths)
ax.minorticks_off()
ax.legend(loc="center right");

verdict = claims.check(
    "C15",
    values={
        "slope_ambient": slope_ambient,
        "slope_samples": slope_samples,
        "slope_full": slope_full,
    },
    control={"slope_ambient": slope_full, "slope_samples": full_samples},
    seeds=seeds,
    profile=profile,
    figure=figure,
    parameters={"length": length, "sigma": sigma, "queries": queries},
)
verdict.glue()
verdict

# NBVAL_CHECK_OUTPUT
print(verdict)

print(claims.provenance())
