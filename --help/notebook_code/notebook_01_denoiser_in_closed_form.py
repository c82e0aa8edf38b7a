from IPython.display import display
profile = "quick"
seed_offset = 0
seed_count = 8
draws = 200000
nodes = 64

import matplotlib.pyplot as plt
import torch
from molrg import MoLRG, claims, plots, schedules
from molrg.studies import closed_form
from molrg.subspaces import random_bases
from myst_nb import glue

plots.house_style()
schedule = schedules.VP()
seeds = claims.seeds(seed_count, seed_offset, profile)

table = closed_form.deviations(seeds, draws=draws, nodes=nodes)
lemma = table[table.formula == "closed form"]
control = table[table.formula == "without determinant"]
glue("c01_mixtures", len(seeds), display=False)
glue("c01_tweedie", float(lemma.tweedie.max()), display=False)
glue("c01_quadrature", float(lemma.quadrature.max()), display=False)
glue("c01_z", float(lemma.importance_z.max()), display=False)

lines = MoLRG(list(torch.tensor([[[1.0], [0.0]], [[0.5], [3**0.5 / 2]]]).double()))
axis = torch.linspace(-2.1, 2.1, 8, dtype=torch.float64)
points = torch.cartesian_prod(axis, axis)
figure, axes = plt.subplots(2, 2, figsize=(5.8, 5.8), sharex=True, sharey=True)
edm = schedules.EDM()
arrows = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.008}
for ax, sigma in zip(axes.flat, [0.15, 0.6, 1.0, 2.0]):
    moved = lines.denoiser(edm)(points, float(edm.t_of_sigma(sigma))) - points
    for basis, role in zip(lines.bases, ["reference", "extra2"]):
        ax.axline((0, 0), tuple(basis[:, 0].tolist()), color=plots.COLOURS[role], lw=2)
    colour = plots.COLOURS["estimate"]
    ax.quiver(*points.T, *moved.T, color=colour, headwidth=5, **arrows)
    ax.set(title=rf"$\sigma$ = {sigma}", aspect="equal")
    ax.set(xlim=(-2.4, 2.4), ylim=(-2.4, 2.4))
for ax in axes[1]:
    ax.set_xlabel("first coordinate")
for ax in axes[:, 0]:
    ax.set_ylabel("second coordinate")

generator = torch.Generator().manual_seed(seed_offset)
U = random_bases(6, [2, 2], angle=60, generator=generator)
x_t = torch.randn(3, 6, generator=generator, dtype=torch.float64)
s, gamma = schedule.s(0.3), schedule.gamma(0.3)

experts = torch.stack([s / (s**2 + gamma**2) * x_t @ u @ u.T for u in U])
energy = torch.stack([(x_t @ u).square().sum(-1) for u in U])
w = torch.softmax(s**2 / (2 * gamma**2 * (s**2 + gamma**2)) * energy, dim=0)
x0_hat = (w[..., None] * experts).sum(0)

difference = (x0_hat - MoLRG(U).denoiser(schedule)(x_t, 0.3)).abs().max()
print(f"largest difference from molrg's denoiser: {difference:.1e}")

mixture = MoLRG(U)
references = {
    "Tweedie": closed_form.tweedie(mixture, x_t, 0.3),
    "quadrature": closed_form.quadrature(mixture, x_t, 0.3, nodes),
}
for name, reference in references.items():
    difference = (x0_hat - reference).abs().max()
    print(f"largest difference from {name}: {difference:.1e}")

table.groupby("formula").max()  # largest deviations over the seeds

quantities = {
    "tweedie_deviation": "tweedie",
    "quadrature_deviation": "quadrature",
    "importance_z": "importance_z",
}
verdict = claims.check(
    "C01",
    values={name: lemma[column] for name, column in quantities.items()},
    control={name: control[column] for name, column in quantities.items()},
    seeds=seeds,
    profile=profile,
    figure=figure,
    parameters={"draws": draws, "nodes": nodes},
)
verdict.glue()
verdict

# NBVAL_CHECK_OUTPUT
print(verdict)

sigmas = [0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4]
roles = {90: "estimate", 30: "reference", 10: "extra"}
sure = closed_form.certainty(roles, sigmas, seeds)
certainty_figure, ax = plt.subplots()
for angle, role in roles.items():
    rows = sure[sure.angle == angle]
    values = rows.pivot(index="seed", columns="sigma", values="largest").to_numpy()
    source = torch.Generator().manual_seed(seed_offset)
    style = {"role": role, "label": f"{angle} degrees", "generator": source}
    plots.band(ax, sigmas, values, **style)
ax.axhline(0.5, ls="--", lw=1, color=plots.COLOURS["exact"])
ax.set(xscale="log", xlabel=r"noise level $\sigma_t$", ylabel="largest weight")
certainty_figure.legend(loc="outside upper center", ncols=3);

print(claims.provenance())
