from IPython.display import display
profile = "quick"
seed_offset = 0
seed_count = 5
n = 24
N = 60
starts = 16
steps = 400

import matplotlib.pyplot as plt
import pandas as pd
import torch
from molrg import MoLRG, claims, plots, schedules
from molrg.studies import identities, shared_starts
from molrg.subspaces import random_basis
from myst_nb import glue

plots.house_style()
schedule = schedules.VP()
seeds = claims.seeds(seed_count, seed_offset, profile)

equal = identities.with_several_subspaces([4, 4, 4], seeds, n=n, N=N)
unequal = identities.with_several_subspaces([1, 3, 6], seeds, n=n, N=N)
both = pd.concat([equal, unequal])
glue("c03_deviation", float(both.modified.max()), display=False)
glue("c03_soft", 100 * float(both.original.max()), display=False)

source = torch.Generator().manual_seed(seed_offset)
tilted = MoLRG.random(n, [4, 4], angle=60, noise=0.1, generator=source)
sample, _ = tilted.sample(N, generator=source)
halfway = [random_basis(n, 4, generator=source) for _ in range(2)]
tried = {"true": tilted.bases, "random": halfway}
times = torch.linspace(0.02, 0.9, 24).tolist()
gaps = identities.gaps(sample, tried, times, generator=source)

figure, ax = plt.subplots()
ax.axhline(0, lw=1, color=plots.COLOURS["exact"])
for name, role in zip(tried, ["estimate", "extra2"]):
    rows = gaps[gaps.bases == name]
    colour = plots.COLOURS[role]
    ax.plot(rows.sigma, 100 * rows.gap, color=colour, label=f"{name} bases")
ax.set(xscale="log", xlabel=r"noise level $\sigma_t = \gamma_t / s_t$")
ax.set_ylabel("original minus modified loss, %")
figure.legend(loc="outside upper center", ncols=2);

generator = torch.Generator().manual_seed(seed_offset)
mixture = MoLRG.random(n, [3, 3], angle=60, noise=0.1, generator=generator)
x, _ = mixture.sample(N, generator=generator)
bases = [random_basis(n, 3, generator=generator) for _ in range(2)]

s, gamma = schedule.s(0.3), schedule.gamma(0.3)
x_t = s * x + gamma * torch.randn(N, n, generator=generator, dtype=torch.float64)
chosen = torch.stack([(x @ u).square().sum(-1) for u in bases]).argmax(0)
experts = torch.stack([s / (s**2 + gamma**2) * x_t @ U @ U.T for U in bases])
x0_hat = experts[chosen, torch.arange(N)]
one_draw = (x0_hat - x).square().sum(-1).mean()
print(f"modified loss, one draw of noise: {one_draw:.3f}")

race = shared_starts.race(seeds, starts=starts, steps=steps)  # a row for each start
best = race.groupby("seed")[["clustered", "trained"]].max()
objective_gap = (best.trained - best.clustered).abs() / best.clustered
lowest = race.groupby("seed").trained.min()
worst_gap = (lowest - best.clustered).abs() / best.clustered

share_above = (race.trained > race.clustered + 0.005).mean()
glue("c03_gap", 100 * float(objective_gap.max()), display=False)
glue("c03_above", 100 * float(share_above), display=False)

race_figure, ax = plt.subplots(figsize=(4.4, 4.4))
ax.axline((0.9, 0.9), slope=1, lw=1, color=plots.COLOURS["exact"])
colour = plots.COLOURS["estimate"]
ax.plot(race.clustered, race.trained, "o", ms=4, alpha=0.6, color=colour)
ax.set(xlabel="energy captured by K-subspaces", ylabel="energy captured by training")
ax.set_aspect("equal");

verdict = claims.check(
    "C03",
    values={
        "relative_deviation": equal.modified,
        "unequal_deviation": unequal.modified,
        "objective_gap": objective_gap,
    },
    control={
        "relative_deviation": equal.original,
        "unequal_deviation": unequal.original,
        "objective_gap": worst_gap,
    },
    seeds=seeds,
    profile=profile,
    figure=figure,
    parameters={"n": n, "N": N, "starts": starts, "steps": steps},
)
verdict.glue()
verdict

# NBVAL_CHECK_OUTPUT
print(verdict)

print(claims.provenance())
