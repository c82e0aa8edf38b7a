from IPython.display import display
profile = "quick"
seed_offset = 0
seed_count = 10
n = 48
K = 2
d = 4
N_k = 40
starts = 8
steps = 600

import matplotlib.pyplot as plt
import torch
from molrg import MoLRG, claims, plots, schedules, stats
from molrg.denoisers import LowRank
from molrg.studies import honest_training
from molrg.subspaces import clustering_accuracy, energies, random_basis
from molrg.training import fit
from myst_nb import glue

plots.house_style()
schedule = schedules.VP()
seeds = claims.seeds(seed_count, seed_offset, profile)

problem = honest_training.Problem(n=n, K=K, d=d, N_k=N_k)
shared = {"starts": starts, "steps": steps, "start_seed": seed_offset}

trained = honest_training.by_training(problem, seeds, **shared)
alternated = honest_training.by_alternation(problem, seeds, starts=starts)
spectral = honest_training.by_spectrum(problem, seeds)

best = honest_training.chosen(trained)
reference = honest_training.chosen(alternated)

for key, table in (("s", trained), ("k", alternated)):
    solved = (table.accuracy >= 0.95).mean()
    glue(f"c05_{key}", 100 * float(solved), display=False)
glue("c05_spectral", float(spectral.mean()), display=False)
glue("c05_solved", int((best >= 0.95).sum()), display=False)
glue("c05_solved_k", int((reference >= 0.95).sum()), display=False)
glue("c05_sets", len(seeds), display=False)
glue("c05_trainings", len(trained), display=False)

figure, ax = plt.subplots(figsize=(6.0, 3.0))
single = {"soft-max\ntraining": trained, "K-subspaces": alternated}
source = torch.Generator().manual_seed(seed_offset)
jitter = torch.rand(len(trained), generator=source) * 0.5 - 0.25
for row, (table, role) in enumerate(zip(single.values(), ["estimate", "reference"])):
    colour = plots.COLOURS[role]
    ax.plot(table.accuracy, row + jitter, "o", ms=5, alpha=0.5, color=colour)
ax.axvline(0.95, ls="--", lw=1, color=plots.COLOURS["exact"])
ax.set(yticks=[0, 1], yticklabels=list(single), xlim=(None, 1.02))
ax.set_xlabel("clustering accuracy of a single start")
ax.invert_yaxis()

generator = torch.Generator().manual_seed(seed_offset)
mixture = MoLRG.random(n, [d] * K, generator=generator)
x, labels = mixture.sample([N_k] * K, generator=generator)

start = [random_basis(n, d, generator=generator) for _ in range(K)]
denoiser = LowRank(start, schedule)
history = fit(denoiser, x, steps=steps, sigma=(0.1, 1.0), generator=generator)
chosen = energies(x, denoiser.bases).argmax(-1)
print(f"loss {history[:20].mean():.2f} -> {history[-20:].mean():.2f}")
print(f"accuracy {clustering_accuracy(chosen, labels):.2f}")

isotropic = honest_training.Problem(n=n, K=K, d=d, N_k=N_k, structured=False)
without = honest_training.by_training(isotropic, seeds, **shared)
control_accuracy = honest_training.chosen(without)
worst = honest_training.worst(trained)
glue("c05_control", float(control_accuracy.mean()), display=False)
glue("c05_worst", 100 * float((worst >= 0.95).mean()), display=False)

verdict = claims.check(
    "C05",
    values={"success": best >= 0.95, "shortfall": reference - best},
    control={"success": (control_accuracy >= 0.95) | (worst >= 0.95)},
    seeds=seeds,
    profile=profile,
    figure=figure,
    parameters={"n": n, "K": K, "d": d, "N_k": N_k, "starts": starts, "steps": steps},
)
verdict.glue()
verdict

# NBVAL_CHECK_OUTPUT
print(verdict)

def trained_with(**changes):
    return honest_training.by_training(problem, seeds, **shared, **changes)


ascended = honest_training.by_ascent(problem, seeds, **shared)
variants = {
    "soft-max,\nnoise 0.2 to 2": trained_with(ranges=[(0.2, 2.0)]),
    "soft-max,\nnoise 0.1 to 1": trained,
    "soft-max,\nnoise 0.02 to 0.2": trained_with(ranges=[(0.02, 0.2)]),
    "hard-max on $x_0$,\nnoise 0.1 to 1": trained_with(assign_on="x0"),
    "gradient ascent,\nno noise": ascended,
    "K-subspaces": alternated,
}
rates = {name: honest_training.success_rates(table) for name, table in variants.items()}

variants_figure, ax = plt.subplots(figsize=(6.0, 3.4))
keys = ["wide", "middle", "narrow", "hard", "ascent", "alternating"]
source = torch.Generator().manual_seed(seed_offset)
for row, (key, (name, rate)) in enumerate(zip(keys, rates.items())):
    mean = float(rate.mean())
    role = "estimate" if "soft" in name else "extra2" if "hard" in name else "reference"
    (low,), (high,) = stats.bootstrap(rate.to_numpy(), generator=source)
    error = [[mean - low], [high - mean]]
    colour = plots.COLOURS[role]
    ax.barh(row, mean, xerr=error, color=colour, alpha=0.7, height=0.6)
    glue(f"c05_rate_{key}", 100 * mean, display=False)
ax.set(yticks=range(len(rates)), yticklabels=list(rates), xlim=(0, 1))
ax.set_xlabel("share of single starts that succeed")
ax.invert_yaxis()

print(claims.provenance())
