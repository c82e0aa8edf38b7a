from IPython.display import display
profile = "quick"
seed_offset = 0
parts = 5  # disjoint parts of each set, one a seed
anchors = 300  # points of a part at which a tangent space is taken

import matplotlib.pyplot as plt
import numpy as np
import torch
from molrg import MoLRG, claims, dimension, draws, images, plots, stats
from molrg.dimension import tangents
from molrg.studies import image_dimension
from myst_nb import glue

plots.house_style()
seeds = [seed_offset + part for part in range(parts)]
ending = {"quick": "-slice", "paper": ""}[profile]
titles = {f"mnist{ending}": "MNIST", f"fashion-mnist{ending}": "Fashion-MNIST"}
names = list(titles)
data = {name: images.load(name) for name in names}
small, small_labels = images.load("digits")

flat = {name: x.flatten(1).double() for name, (x, _) in data.items()}
flat["digits"] = small.flatten(1).double()
readings = image_dimension.readings(flat, seeds)
largest = readings.groupby(["set", "cloud", "seed"])[["ratio", "over_twin"]].max()

clouds = {
    "images": "estimate",
    "Gaussian twin": "reference",
    "pixels shuffled": "control",
}
shown = titles | {"digits": "digits (8 x 8)"}
figure, ax = plt.subplots()
for i, name in enumerate(shown):
    for j, (cloud, role) in enumerate(clouds.items()):
        chosen = readings[(readings.set == name) & (readings.cloud == cloud)]
        for k, (_, group) in enumerate(chosen.groupby("method", sort=False)):
            s = stats.Summary.of(group.ratio.to_numpy())
            x = i + (j - 1) * 0.26 + (k - 1.5) * 0.045
            ax.errorbar(
                x,
                s.mean,
                s.upper - s.mean,
                fmt="os^"[j],
                ms=4,
                color=plots.COLOURS[role],
                label=cloud if i == k == 0 else None,
            )
ax.axhline(0.05, color=plots.COLOURS["exact"], ls=":", lw=1.2)
ax.annotate("5 %", (2.42, 0.053), fontsize=9, ha="right")
ax.set(yscale="log", ylabel="estimated dimension / pixels")
ax.set(xticks=range(len(shown)), xticklabels=shown.values())
ax.yaxis.set_major_formatter(lambda v, _: f"{100 * v:g} %")
ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
dims_figure = figure  # kept beside the record

def worse_set(cloud, column, worst=np.max):
    """One number a seed, on the set where it is worst for the claim."""
    return worst([largest.loc[name, cloud][column] for name in names], axis=0)


percent = 100 * largest.ratio.groupby(["set", "cloud"]).mean()
over_twin = largest.over_twin.groupby(["set", "cloud"]).mean()
glue("c10_twin_percent", float(percent[names[0], "Gaussian twin"]), display=False)
for short, name in zip(["mnist", "fashion", "digits"], shown, strict=True):
    glue(f"c10_twin_{short}", float(over_twin[name, "images"]), display=False)
    glue(f"c10_percent_{short}", float(percent[name, "images"]), display=False)

from sklearn.neighbors import NearestNeighbors


def mle(x, k=20):
    neighbours = NearestNeighbors(n_neighbors=k).fit(x)
    T = neighbours.kneighbors()[0]  # to the others, ascending
    return 1 / np.log(T[:, -1:] / T[:, :-1]).mean()


def twonn(x):
    T = NearestNeighbors(n_neighbors=2).fit(x).kneighbors()[0]
    log_mu = np.sort(np.log(T[:, 1] / T[:, 0]))[: int(0.9 * len(x))]  # not the tail
    minus_log = -np.log(1 - np.arange(1, len(log_mu) + 1) / len(x))
    return log_mu @ minus_log / (log_mu @ log_mu)


source = draws.source(20)
a, b, c = 4 * draws.uniform((3, 2000), generator=source, dtype=torch.float64).numpy()
shapes = {
    "helix": [np.cos(a), np.sin(a), a],
    "rolled sheet": [a * np.cos(a), a * np.sin(a), b],
    "cube": [a, b, c],
}
for shape, coordinates in shapes.items():
    points = np.stack(coordinates, axis=1)
    print(f"{shape:12s}  MLE {mle(points):.2f}  TwoNN {twonn(points):.2f}")

shown = [torch.nn.functional.interpolate(small[:10], size=28, mode="nearest")]
shown += [torch.stack([x[y == c][0] for c in range(10)]) for x, y in data.values()]
_ = plots.image_grid(torch.cat(shown), columns=10)

report = dimension.describe(*data[names[0]], generator=draws.source(21))
by_class = [float(estimate) for estimate in report.classes.values()]
for name, estimate in (("mnist_low", report.low), ("mnist_high", report.high)):
    glue(f"c10_{name}", float(estimate), display=False)
glue("c10_class_low", min(by_class), display=False)
glue("c10_class_high", max(by_class), display=False)
report

true = [2, 5, 10, 20, 40, 80, 160, 320, 784]
table = dimension.calibration(3000, true, generator=draws.source(22))

figure, ax = plt.subplots()
ax.loglog(true, true, "--", color=plots.COLOURS["exact"], label="exact")
for column, role, words in [
    ("twonn", "reference", "TwoNN"),
    ("mle", "estimate", "MLE, k = 20"),
]:
    ax.loglog(
        table["d"], table[column], "o-", ms=4, color=plots.COLOURS[role], label=words
    )
ax.axhspan(
    report.low,
    report.high,
    color=plots.COLOURS["extra2"],
    alpha=0.35,
    label="what MNIST reads",
)
ax.set(xlabel="true dimension of a Gaussian", ylabel="estimated dimension")
ax.legend(loc="upper left")
glue("c10_white", float(table["mle"].iloc[-1]), display=False)
glue("c10_factor", float(true[-1] / table["mle"].iloc[-1]), display=False)
glue("c10_ten", float(table["mle"][2]), display=False)

def tangent_space(x, i, k=20, d=8):
    """The idea: centre the neighbourhood, keep its first d directions."""
    near = x[torch.cdist(x[i : i + 1], x)[0].topk(k, largest=False).indices]
    return torch.linalg.svd(near - near.mean(0), full_matrices=False).Vh[:d].T


x, y = flat[names[0]], data[names[0]][1]
near = torch.cdist(x[:1], x)[0].argsort()  # by distance from the first image
U = tangent_space(x, 0)
for rank in (1, 10, 100, 1000):
    affinity = (U.T @ tangent_space(x, int(near[rank]))).square().sum() / 8
    neighbour = f"its neighbour {rank:4d}, a {y[near[rank]]}"
    print(f"a {y[0]} and {neighbour}: affinity {affinity:.2f}")

sets = {title: (flat[name], data[name][1]) for name, title in titles.items()}
affinity = image_dimension.affinities(sets, seeds, anchors=anchors)

kinds = {"classes": "classes", "regions": "regions", "shuffled": "classes shuffled"}
kinds["twin"] = "Gaussian twin, regions"
lines = [(s, k, f"{s}: {words}") for s in titles.values() for k, words in kinds.items()]
lines += [(f"sheet {d}", "regions", f"one sheet, d = {d}: regions") for d in (12, 3)]
figure, ax = plt.subplots(figsize=(6.4, 4.2))
roles = {"naive": "extra", "disjoint": "extra2", "matched": "estimate"}
for i, (name, kind, _) in enumerate(lines):
    group = affinity[(affinity.set == name) & (affinity.labels == kind)]
    for j, (column, role) in enumerate(roles.items()):
        s = stats.Summary.of(group[column].to_numpy())
        ax.errorbar(
            s.mean,
            i + 0.2 * (j - 1),
            xerr=s.upper - s.mean,
            fmt="s^o"[j],
            ms=5,
            color=plots.COLOURS[role],
            label=column if i == 0 else None,
        )
ax.axvline(0, color=plots.COLOURS["exact"], lw=0.8)
ax.set(yticks=range(len(lines)), yticklabels=[words for *_, words in lines])
ax.set(
    ylim=(len(lines) - 0.5, -0.5),
    xlabel="affinity within minus across (squared cosine)",
)
_ = ax.legend(loc="lower center", bbox_to_anchor=(0.3, 1), ncols=3)

by_labels = affinity.set_index(["set", "labels", "seed"])


def gap_of(name, kind, column="matched"):
    return by_labels.loc[(name, kind), column].to_numpy()


model = MoLRG.random(784, [12] * 10, generator=draws.source(23))
x, y = model.sample([300] * 10, generator=draws.source(24))
source = draws.source(25)
mixture = tangents.tangent_affinity(x, y, anchors=anchors, generator=source)
glue("c10_gap_mixture", float(mixture.matched), display=False)
quoted = {
    "gap_mnist": ("MNIST", "classes", "matched"),
    "gap_fashion": ("Fashion-MNIST", "classes", "matched"),
    "naive_mnist": ("MNIST", "classes", "naive"),
    "naive_fashion": ("Fashion-MNIST", "classes", "naive"),
    "naive_sheet": ("sheet 3", "regions", "naive"),
    "gap_sheet": ("sheet 12", "regions", "matched"),
    "gap_sheet3": ("sheet 3", "regions", "matched"),
}
for name, which in quoted.items():
    glue(f"c10_{name}", float(gap_of(*which).mean()), display=False)

known = image_dimension.references(len(flat[names[0]]) // parts, seeds)
classes, twins, mixed = (
    np.array([gap_of(title, kind) for title in sets])
    for kind in ("classes", "twin", "shuffled")
)
values = {
    "dimension_ratio": worse_set("images", "ratio"),
    "twin_ratio": worse_set("images", "over_twin"),
    "affinity_difference": classes.min(0),
    "linear_reference": known["flat"],
    "white_noise_reference": known.white,
    "affinity_excess": (classes - twins).min(0),
}
control = {  # on the set on which each comes closest to passing
    "dimension_ratio": worse_set("pixels shuffled", "ratio", np.min),
    "twin_ratio": worse_set("second twin", "over_twin", np.min),
    "affinity_difference": mixed.max(0),
}
run = {"seeds": seeds, "profile": profile, "figure": dims_figure}
run |= {"parts": parts, "anchors": anchors}
verdict = claims.check("C10", values=values, control=control, **run)
verdict.glue()
verdict

# NBVAL_CHECK_OUTPUT
print(verdict)

uniform = draws.uniform((3000, 10), generator=draws.source(26), dtype=torch.float64)
angle = 2 * np.pi * uniform
torus = torch.cat([angle.cos(), angle.sin()], 1)
estimate = dimension.estimate(torus, generator=draws.source(27))
print(f"torus of ten dimensions   {estimate}")
for N in (300, 1000, 3000):
    x, _ = images.load(names[1], n=N, generator=draws.source(28, N))
    found = dimension.readings(x, ks=(5, 20, 40))
    words = ", ".join(f"{method}: {d:.1f}" for method, d in found.items())
    print(f"Fashion-MNIST, N = {N:4d}   {words}")
x, _ = data[names[0]]
for name, rows in (("even", x[0::2]), ("odd", x[1::2])):
    estimate = dimension.estimate(rows, generator=draws.source(29))
    print(f"{'MNIST, ' + name + ' rows':25s} {estimate}")

print(claims.provenance())
