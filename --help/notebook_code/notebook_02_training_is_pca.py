from IPython.display import display
profile = "quick"
seed_offset = 0
seed_count = 5
n = 48
d = 4
N = 100
steps = 600

import matplotlib.pyplot as plt
import torch
from molrg import MoLRG, claims, plots, schedules
from molrg.denoisers import LowRank
from molrg.studies import identities, pca_training
from molrg.subspaces import orthonormalise, pca, random_basis
from molrg.training import exact_loss, loss
from myst_nb import glue

plots.house_style()
schedule = schedules.VP()
seeds = claims.seeds(seed_count, seed_offset, profile)
generators = [torch.Generator().manual_seed(seed) for seed in seeds]

mixture = MoLRG.random(n, [d], noise=0.1, generator=generators[0])
x, _ = mixture.sample(N, generator=generators[0])
U = random_basis(n, d, generator=generators[0])
eps = torch.randn(N, n, generator=generators[0], dtype=torch.float64)
noise = torch.randn(200, N, n, generator=generators[0], dtype=torch.float64)

mixtures = [MoLRG.random(n, [d], noise=0.1, generator=g) for g in generators]
data = torch.stack([m.sample(N, generator=g)[0] for m, g in zip(mixtures, generators)])
bases = [[random_basis(n, d, generator=g) for _ in range(10)] for g in generators]
deviation = identities.with_one_subspace(data, bases)  # a row for each data set
glue("c02_deviation", float(deviation.orthonormal.max()), display=False)
glue("c02_seeds", len(seeds), display=False)

points, best = data[0], pca(data[0], d)
turns = torch.linspace(0, 1, 12)
path = [orthonormalise((1 - w) * bases[0][0] + w * best) for w in turns]
energy = [(points @ basis).square().sum(-1).mean() for basis in path]
identity_figure, ax = plt.subplots()
for t, role in [(0.1, "estimate"), (0.3, "reference"), (0.6, "extra2")]:
    line = [identities.affine_loss(points, [basis], t) for basis in path]
    ax.plot(energy, line, lw=1, color=plots.COLOURS["exact"])
    with torch.no_grad():
        losses = [exact_loss(LowRank([basis], schedule), points, t) for basis in path]
    name = rf"$\sigma_t$ = {schedule.sigma(t):.2f}"
    ax.plot(energy, losses, "o", color=plots.COLOURS[role], label=name)
    ax.plot(energy[-1], losses[-1], "s", ms=9, color=plots.COLOURS[role])
ax.set_xlabel(r"energy captured, mean of $\|U^T x\|^2$")
ax.set_ylabel(r"training loss $L_t(U)$")
identity_figure.legend(title="noise level", loc="outside right center");

s, gamma = schedule.s(0.3), schedule.gamma(0.3)
x_t = s * x + gamma * eps
x0_hat = s / (s**2 + gamma**2) * x_t @ U @ U.T
one_draw = (x0_hat - x).square().sum(-1).mean()
print(f"loss, one draw of noise: {one_draw:.3f}")

denoiser = LowRank([U], schedule)
exact = exact_loss(denoiser, x, 0.3)
losses = torch.stack([loss(denoiser, x, 0.3, noise=draw) for draw in noise])
error = losses.std() / len(losses) ** 0.5
print(f"exact {exact:.4f}; {len(losses)} draws {losses.mean():.4f} +- {error:.4f}")

noisy = [MoLRG([m.bases[0]], noise=0.5) for m in mixtures]
hard = torch.stack([m.sample(60, generator=g)[0] for m, g in zip(noisy, generators)])
truth = torch.stack([m.bases[0] for m in mixtures])
budgets = [25, 50, 100, 200, steps]
distances = pca_training.distances(hard, truth, budgets, generators)

U_hat = pca_training.trained(data, d, steps, generators)
sin_to_pca = pca_training.sine(U_hat, pca(data, d))
glue("c02_sine", float(sin_to_pca.mean()), display=False)

figure, ax = plt.subplots()
for column, role, label in (
    ("to_pca", "estimate", "to the PCA subspace"),
    ("to_truth", "extra2", "to the true subspace"),
):
    values = distances.pivot(index="trial", columns="steps", values=column)
    source = torch.Generator().manual_seed(seed_offset)
    style = {"role": role, "label": label, "generator": source}
    plots.band(ax, budgets, values.to_numpy(), **style)
between = distances.pca_to_truth.mean()
exact = {"ls": "--", "lw": 1, "color": plots.COLOURS["exact"]}
ax.axhline(between, label="from PCA to the truth", **exact)
ax.set(xscale="log", ylim=(0, 1))
ax.set(xlabel="training steps", ylabel="sine of the largest angle")
ax.set_xticks(budgets, budgets)
ax.minorticks_off()
figure.legend(loc="outside upper center", ncols=2);

draws = [torch.randn(N, n, generator=g, dtype=torch.float64) for g in generators]
isotropic = torch.stack(draws) * (d / n) ** 0.5
halves_sin = pca_training.halves(data, d, steps, generators)
control_halves = pca_training.halves(isotropic, d, steps, generators)

last = distances[distances.steps == steps]
verdict = claims.check(
    "C02",
    values={
        "relative_deviation": deviation.orthonormal,
        "sin_to_pca": sin_to_pca,
        "truth_minus_pca": last.to_truth - last.to_pca,
        "halves_sin": halves_sin,
    },
    control={"relative_deviation": deviation.stretched, "halves_sin": control_halves},
    seeds=seeds,
    profile=profile,
    figure=figure,
    parameters={"n": n, "d": d, "N": N, "steps": steps},
)
verdict.glue()
verdict

# NBVAL_CHECK_OUTPUT
print(verdict)

print(claims.provenance())
