from IPython.display import display
profile = "quick"
seed_offset = 0
seed_count = 3
width = 64
steps = 250

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from molrg import claims, dimension, draws, images, plots, stats, sweeps
from molrg.studies import intrinsic_cost
from molrg.studies.intrinsic_cost import linear_dimension, samples_needed, slopes
from myst_nb import glue

plots.house_style()
seeds = claims.seeds(seed_count if profile == "quick" else 5, seed_offset)
budget = {"width": width, "steps": steps, "batch": 32, "lr": 0.004, "high": 1.0}
if profile == "paper":
    budget |= {"width": 3 * width // 2, "steps": 3 * steps, "lr": 0.003}
per_d = [0.5, 1, 2, 6, 32] if profile == "quick" else [0.5, 1, 2, 4, 8, 16, 64]
dims, sizes = [4, 8, 16, 32], [8, 16, 32]


def grow(d, size=16, objects=16, curvature=1.0, *, counts=None, over=seeds, **changes):
    """A row for each N and seed of one family, from the store where it is there."""
    counts = counts or [int(ratio * d) for ratio in per_d]
    family = {"source": "rendered", "d": d, "size": size, "objects": objects}
    family |= {"curvature": curvature, "kinds": "x y"}
    cell = family | {"largest": max(counts)} | budget | changes
    cells = [cell | {"N": N} for N in counts]
    # a store holds one kind of result
    kind = "samples" if cell["high"] > 1 else cell["source"]
    settings = {"seeds": over, "store": sweeps.kept(f"c14_{kind}", profile)}
    chunk = len(cells) * len(over)
    return sweeps.run(intrinsic_cost.train, cells, chunk=chunk, **settings)

longer = {"steps": 400, "width": 96, "lr": 0.003}  # pixels cost steps, see below
if profile == "paper":
    longer |= {"steps": 1000}
by_d = {d: grow(d) for d in dims}
by_size = {size: grow(8, size, objects=4, **longer) for size in sizes}
N_d = [samples_needed(table) for table in by_d.values()]
N_n = [samples_needed(table) for table in by_size.values()]
pixels = np.array(sizes) ** 2
measured = {f"slope_{name}": slopes(N_d, dims, name) for name in ("error", "gap")}
measured |= {f"pixels_{name}": slopes(N_n, pixels, name) for name in ("error", "gap")}

def plain(ax, x, y):
    """Logarithmic axes with these ticks, in plain numbers."""
    ax.set(xscale="log", yscale="log")
    ax.set(xticks=x, xticklabels=x, yticks=y, yticklabels=y)
    ax.minorticks_off()


figure, axes = plt.subplots(3, 2, figsize=(6.6, 7.8))
shades = plt.get_cmap("viridis")(np.linspace(0.1, 0.85, len(dims)))
for row, name in zip(axes.T, ("error", "gap"), strict=True):
    for d, colour in zip(dims, shades, strict=True):
        N, scores = intrinsic_cost.scores(by_d[d])
        mean = scores[name].mean(0)
        row[0].plot(N / d, mean, "o-", ms=3, color=colour, label=f"{d}")
    row[0].set(xscale="log", xlabel="samples per dimension N/d", ylim=(-0.2, 1.05))
    row[0].set(title=f"by the {name}", ylabel="score")
    for ax, x, needed in ((row[1], dims, N_d), (row[2], pixels, N_n)):
        N = np.array([each[name] for each in needed])
        plots.band(ax, x, N.T)
        middle = np.log(N).mean()
        law = 1.0 if ax is row[1] else 0.0
        straight = np.exp(middle + law * (np.log(x) - np.log(x).mean()))
        ax.plot(x, straight, "--", color=plots.COLOURS["exact"])
        plain(ax, x, [2, 5, 10, 20, 50, 100, 200, 500])
        ax.set(xlabel="pixels n" if ax is row[2] else "intrinsic dimension d")
        ax.set(ylabel="samples needed", ylim=np.exp(middle) * np.array([0.2, 5]))
axes[0, 0].legend(title="d", ncols=2, loc="lower right");

for key, values in measured.items():
    summary = stats.Summary.of(values)
    for part in ("mean", "lower", "upper"):
        glue(f"c14_{key}_{part}", getattr(summary, part), display=False)
for name in ("error", "gap"):
    constant = np.mean([N[name] / d for N, d in zip(N_d, dims, strict=True)])
    glue(f"c14_constant_{name}", float(constant), display=False)
plateaus = {size: float(t[t.N.max() == t.N].test.mean()) for size, t in by_size.items()}
glue("c14_plateau_small", plateaus[sizes[0]], display=False)
glue("c14_plateau_large", plateaus[sizes[-1]], display=False)

family = images.rendered(8, 16, objects=4, kinds=("x", "y"), curvature=0.0)
x, z = family.sample(60, draws.source(8, seed_offset), dtype=torch.float64)


def residual(x, N):
    """Largest relative distance of later images from the span of the first N."""
    centred = (x - x[0]).flatten(1)
    basis = torch.linalg.svd(centred[1:N], full_matrices=False).Vh
    rest = centred[N:] - centred[N:] @ basis.T @ basis
    return float((rest.norm(dim=1) / centred[N:].norm(dim=1)).max())


print("factors:", ", ".join(family.names[:4]), "...")
print("residual of the others:", {N: f"{residual(x, N):.0e}" for N in (7, 8, 9, 10)})

def shown(size, curvature, factors):
    family = images.rendered(8, size, objects=4, kinds=("x", "y"), curvature=curvature)
    blocks = torch.ones(1, 1, 32 // size, 32 // size)
    return torch.kron(family.render(factors), blocks)


factors = 2 * torch.rand(8, 8, generator=draws.source(9, seed_offset)) - 1
rows = [(8, 1.0), (16, 1.0), (32, 1.0), (32, 0.0), (32, 3.0)]
_ = plots.image_grid(torch.cat([shown(*row, factors) for row in rows]), columns=8)

tables = {(1.0, d): by_d[d] for d in (8, 32)}
tables |= {(c, d): grow(d, curvature=c) for c in (0.0, 3.0) for d in (8, 32)}
rows = []
for (c, d), table in sorted(tables.items()):
    x, _ = intrinsic_cost.pool("rendered", d, 16, 16, c, 800, seeds[0])
    row = {"curvature": c, "d": d, "linear": linear_dimension(x)}
    for score, N in samples_needed(table).items():
        rows.append(row | {"score": score, "N": N.mean(), "seeds": N})
bent = pd.DataFrame(rows)

few = seeds[:1] if profile == "quick" else seeds[:3]
samples = {"high": 12.0, "steps": 3 * budget["steps"], "over": few}
copies = {d: grow(d, counts=[4, 16, 128], **samples) for d in (8, 32)}
keys = ["curvature", "d", "linear"]
bent.pivot(index=keys, columns="score", values="N").round(1)

exponents = {
    key: np.log2(g["seeds"].iloc[1] / g["seeds"].iloc[0]) / 2
    for key, g in bent.groupby(["score", "curvature"])
}
bend_figure, axes = plt.subplots(2, 2, figsize=(6.6, 5.4))
axes[1, 1].axis("off")
axes = axes.flat[:3]
chosen = bent[bent.score == "error"]
for d, marker in ((8, "o"), (32, "s")):
    part = chosen[chosen.d == d]
    axes[0].plot(part.curvature, part.N / d, marker + "-", label=f"d = {d}")
    axes[1].plot(part.linear, part.N, marker, ms=6, label=f"d = {d}")
    group = copies[d].groupby("N")[["gl", "gl_fresh"]].mean()
    axes[2].plot(group.index, group.gl, marker + "-", label=f"d = {d}")
    fresh = f"d = {d}, fresh images"
    axes[2].plot(group.index, group.gl_fresh, marker + ":", color="0.5", label=fresh)
reach = np.array([chosen.linear.min(), chosen.linear.max()])
ratio = float((chosen.N / chosen.linear).mean())
axes[1].plot(reach, ratio * reach, "--", color=plots.COLOURS["exact"])
axes[0].set(xlabel="curvature", ylabel="N_min / d, by the error", ylim=(0, None))
plain(axes[1], [5, 10, 20, 50, 100], [5, 10, 20, 50, 100])
axes[1].set(xlabel="linear dimension", ylabel="N_min, by the error")
axes[2].set(xscale="log", xlabel="samples N", ylim=(0, 1.05))
axes[2].set_ylabel("share that are no copies")
axes[0].legend(loc="lower right")
axes[1].legend(loc="upper left")
bend_figure.legend(*axes[2].get_legend_handles_labels(), loc=(0.62, 0.25))
for c in (0.0, 3.0):
    part = chosen[chosen.curvature == c]
    glue(f"c14_bent_{c:.0f}", float((part.N / part.d).mean()), display=False)
    glue(f"c14_lin_{c:.0f}", float((part.N / part.linear).mean()), display=False)
    for k in ("error", "gap"):
        glue(f"c14_exponent_{k}_{c:.0f}", float(exponents[k, c].mean()), display=False)

there = {row.name for row in images.available() if row.download_megabytes == 0}
full = profile == "paper" and there >= {"mnist", "fashion-mnist"}
ending, side = ("", 28) if full else ("-slice", 14)
sets = {"digits": 8, f"mnist{ending}": side, f"fashion-mnist{ending}": side}
rows = []
for name, size in sets.items():
    N = 1200 if name == "digits" else 2700
    x, _ = intrinsic_cost.pool(name, 1, size, 1, 0.0, N, seeds[0])
    near = dimension.readings(x.double())
    d, low, high = near["MLE k=20"], min(near.values()), max(near.values())
    counts = [2, 4, 8, 16, 32, 64, 128, 1024]
    counts += [4096] * (full and name != "digits")
    table = grow(d, size, 1, 0.0, source=name, counts=counts, over=few)
    row = {"set": name, "pixels": size**2, "d": d, "low": low, "high": high}
    row["linear"] = linear_dimension(x)
    rows.append(row | {k: float(v.mean()) for k, v in samples_needed(table).items()})
real = pd.DataFrame(rows).set_index("set")
real.round(1)

real_figure, ax = plt.subplots(figsize=(6.6, 4.6))
reach = np.array([real.d - real.low, real.high - real.d])
for name, role in (("error", "estimate"), ("gap", "reference")):
    values, colour = np.array([N[name] for N in N_d]).T, plots.COLOURS[role]
    plots.band(ax, dims, values, role=role, label=f"rendered, {name}")
    ax.errorbar(
        real.d,
        real[name],
        xerr=reach,
        fmt="D",
        capsize=3,
        color=colour,
        label=f"real, {name}",
    )
    ratios = real[name] / real.d
    for part, extreme in (("low", ratios.min()), ("high", ratios.max())):
        glue(f"c14_real_{name}_{part}", float(extreme), display=False)
heights = [*(1.4 * real.gap[:2]), 0.5 * real.error.iloc[2]]
for row, height in zip(real.itertuples(), heights, strict=True):
    short = row.Index.removesuffix("-slice")
    ax.annotate(short, (row.d, height), fontsize=9, ha="center")
for constant in (50, 630):
    line = constant * np.array(dims)
    ax.plot(dims, line, ":", color=plots.COLOURS["control"])
    ax.annotate(f"{constant} d (second-hand)", (4, 1.8 * line[0]), fontsize=9)
plain(ax, dims, [10, 100, 1000, 10000])
ax.set(xlabel="intrinsic dimension (known, or estimated)", ylabel="samples needed")
_ = ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)

edge = {
    curvature: [intrinsic_cost.linear_edge(seed, curvature=curvature) for seed in seeds]
    for curvature in (0.0, 1.0)
}
growing = [samples_needed(grow(8, 8, objects=4)), N_d[dims.index(32)]]  # more objects
values = measured | {"linear_edge": edge[0.0]}
control = {"linear_edge": edge[1.0]}
for name in ("error", "gap"):
    control[f"slope_{name}"] = slopes(N_n, pixels, name)
    control[f"pixels_{name}"] = slopes(growing, [64, 256], name)
run = {"seeds": seeds, "profile": profile, "figure": figure, "parameters": budget}
run["real"] = real.reset_index().to_dict("list")
verdict = claims.check("C14", values=values, control=control, **run)
verdict.glue()
verdict

# NBVAL_CHECK_OUTPUT
print(verdict)

print(claims.provenance())
