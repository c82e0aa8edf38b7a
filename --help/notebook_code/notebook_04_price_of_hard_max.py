from IPython.display import display
profile = "quick"
seed_offset = 0
seed_count = 5
samples = 4000
loss_samples = 20000

import matplotlib.pyplot as plt
import torch
from molrg import MoLRG, claims, plots, schedules
from molrg.studies import hard_max
from myst_nb import glue

plots.house_style()
schedule = schedules.EDM(sigma_min=0.01, sigma_max=20)  # s = 1, so that gamma = sigma
seeds = claims.seeds(seed_count, seed_offset, profile)

dims, angles = [1, 2, 4, 8], [10, 20, 45, 70, 90]
sigmas = [0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0]
survey = hard_max.survey(dims, angles, sigmas, seeds, samples=samples)
violations = hard_max.violations(survey)
means = survey[survey.d == 4].groupby(["angle", "sigma"])["mean"].mean()

cells = len(dims) * len(angles) * len(sigmas)
glue("c04_cells", cells, display=False)
glue("c04_all", len(survey), display=False)
glue("c04_violations", int(violations.sum()), display=False)
glue("c04_small", float(means[10, 0.2]), display=False)
glue("c04_right", float(means[90, 0.2]), display=False)

figure, ax = plt.subplots()
fine = [10 ** (-1.35 + 1.85 * k / 60) for k in range(61)]
roles = {10: "extra", 20: "extra2", 45: "reference", 90: "estimate"}
for angle, role in roles.items():
    low, high = zip(*(hard_max.bounds(4, angle, sigma) for sigma in fine))
    ax.fill_between(fine, low, high, alpha=0.25, lw=0, color=plots.COLOURS[role])
    name = f"{angle} degrees"
    ax.plot(sigmas, means[angle], "o", ms=4, color=plots.COLOURS[role], label=name)
ax.set(xscale="log", xlabel=r"noise level $\sigma_t$")
ax.set_ylabel("mean of the smaller weight")
figure.legend(loc="outside upper center", ncols=4, columnspacing=1, handletextpad=0);

generator = torch.Generator().manual_seed(seed_offset)
mixture = MoLRG.random(8, [4, 4], angle=60, generator=generator)
t = schedule.t_of_sigma(0.5)

x, _ = mixture.sample(samples, generator=generator)
x_t = x + 0.5 * torch.randn(x.shape, generator=generator, dtype=x.dtype)
w = mixture.responsibilities(x_t, t, schedule)
smaller = w.amin(1)
error = smaller.std() / samples**0.5
print(f"mean of the smaller weight: {smaller.mean():.4f} +- {error:.4f}")

mean, error = hard_max.smaller_weight(
    mixture, 0.5, samples=samples, generator=generator
)
low, high = hard_max.bounds(d=4, angle=60, sigma=0.5)
print(f"importance sampling: {mean:.4f} +- {error:.4f}")
print(f"bounds:              {low:.4f} ... {high:.4f}")

formula = hard_max.formula_deviations(seeds)  # a row for each seed
glue("c04_formula", float(formula.formula.max()), display=False)

at_20 = survey[survey.angle == 20]
control = hard_max.violations(hard_max.judged_at(at_20, angle=90))

verdict = claims.check(
    "C04",
    values={"violations": violations, "formula_deviation": formula.formula},
    control={"violations": control, "formula_deviation": formula.forgetful},
    seeds=seeds,
    profile=profile,
    figure=figure,
    parameters={"samples": samples, "cells": cells},
)
verdict.glue()
verdict

# NBVAL_CHECK_OUTPUT
print(verdict)

levels = [0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 3.0, 6.0, 12.0]
gaps = hard_max.loss_gaps([90, 30], levels, seeds, samples=loss_samples)

at_one = gaps[(gaps.angle == 90) & (gaps.sigma == 1.0)]
glue("c04_peek", float(at_one.by_x0.mean()), display=False)
glue("c04_cost", float(at_one.by_x_t.mean()), display=False)

loss_figure, axes = plt.subplots(1, 2, figsize=(6.0, 3.4), sharey=True)
kinds = (("by_x_t", "estimate", "$x_t$"), ("by_x0", "extra2", "$x_0$"))
for ax, angle in zip(axes, (90, 30)):
    rows = gaps[gaps.angle == angle]
    for column, role, name in kinds:
        values = rows.pivot(index="seed", columns="sigma", values=column).to_numpy()
        plots.band(ax, levels, values, role=role, label=f"hard-max on {name}")
    ax.axhline(0, lw=1, color=plots.COLOURS["exact"])
    ax.set(xscale="log", xlabel=r"noise level $\sigma_t$", title=f"{angle} degrees")
axes[0].set_ylabel("loss minus the best one, %")
handles = axes[0].get_legend_handles_labels()
loss_figure.legend(*handles, loc="outside upper center", ncols=2);

print(claims.provenance())
