from IPython.display import display
profile = "quick"
seed_offset = 0
seed_count = 4
draws = 2
steps = 8
trees = 64

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from molrg import MoLRG, claims, images, plots, schedules, stats
from molrg.studies import (
    class_flips,
    forward_backward,
    survival_references as references,
    width_ratios,
)
from molrg.studies.width_ratios import curves, ratio
from myst_nb import glue

plots.house_style()
seeds = claims.seeds(seed_count, seed_offset, profile)
schedule = schedules.DDPM()
times = [0.1, 0.25, 0.4, 0.5, 0.6, 0.8]
if profile == "paper":
    times, steps = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9], 12

generator = torch.Generator().manual_seed(seed_offset)
line = MoLRG.random(3, [2], generator=generator)
denoiser, (x0, _) = line.denoiser(schedule), line.sample(1000, generator=generator)
survival = []
for t in times:
    x = forward_backward.run(denoiser, x0, t, steps=100, generator=generator)
    survival.append(float((x0 * x).sum() / x0.square().sum()))
log_sigma = schedule.sigma(torch.tensor(times)).log()
(width,) = forward_backward.width(log_sigma, survival)
print(f"width {width:.2f} in the logarithm of sigma")

sets = {"fashion-mnist": "Fashion-MNIST", "mnist": "MNIST"}
observers = {name: class_flips.load(name) for name in sets}
outcomes = {
    name: class_flips.outcomes(observer, times, seeds, draws=draws, steps=steps)
    for name, observer in observers.items()
}
survivals = {
    name: class_flips.survival(outcomes[name], observers[name]) for name in sets
}
garments, digits = survivals.values()

chosen = (0.3, 0.4, 0.5, 0.6, 0.75 if profile == "quick" else 0.7)
examples = [
    class_flips.examples(observer, chosen, seed=seed_offset, steps=steps)
    for observer in observers.values()
]
pictures, changed = (
    torch.cat(both, 1).flatten(0, 1) for both in zip(*examples, strict=True)
)
titles = ["original", *[f"t = {t}" for t in chosen]] * 2 + [""] * (len(pictures) - 12)
photo = plots.image_grid(pictures, columns=12, titles=titles, scale=0.72)
for ax, new in zip(photo.axes, changed, strict=False):
    if new:
        frame = {"fill": False, "ec": plots.COLOURS["control"], "lw": 2.5}
        ax.add_patch(plt.Rectangle((-0.5, -0.5), 28, 28, **frame))

fine = [0.03, 0.06, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.9]
points = 5 * trees
tree = references.of_tree(fine, seeds, trees=trees)
flat = references.of_mixture(fine, seeds, points=points)
narrow = references.of_mixture(fine, seeds, points=points, d=2)
few_steps = references.of_mixture(fine, seeds, points=points, steps=steps)

figure, axes = plt.subplots(2, 2, figsize=(7.6, 5.6), sharey=True)
styles = {
    "1": ("reference", "first layer"),
    "features": ("extra", "features"),
    "class": ("estimate", "class"),
    "class of another": ("control", "class of another image"),
}
for ax, table, name in zip(axes[0], (garments, digits), sets.values(), strict=True):
    for quantity, (role, label) in styles.items():
        plots.band(ax, times, curves(table, quantity), role=role, label=label)
    ax.set(title=f"{name}, trained", xlabel="time t", xlim=(0, 1))
    plots.sigma_axis(ax, schedule)
known = {"tree": (tree, "leaves"), "flat mixture": (flat, "coordinates")}
for ax, (name, (table, low)) in zip(axes[1], known.items(), strict=True):
    for quantity, role in {low: "reference", "class": "estimate"}.items():
        plots.band(ax, fine, curves(table, quantity), role=role, label=quantity)
    ax.set(title=f"{name}, exact", xlabel="time t", xlim=(0, 1))
    ax.legend(fontsize=8)
axes[0, 1].legend(fontsize=8)
plt.setp(axes[:, 0], ylabel="survival (1 same, 0 unrelated)");

comparisons = {
    "Fashion-MNIST": (garments, "class", "1"),
    "MNIST": (digits, "class", "1"),
    "tree, depth 6": (tree, "class", "leaves"),
    "tree, half its leaves": (tree, "half of the leaves", "leaves"),
    "flat mixture, d = 20": (flat, "class", "coordinates"),
    "flat mixture, d = 2": (narrow, "class", "coordinates"),
    "d = 20, few steps": (few_steps, "class", "coordinates"),
    "Fashion-MNIST, brightness": (garments, "brightness", "1"),
    "Fashion-MNIST, left or right": (garments, "left or right", "1"),
    "MNIST, brightness": (digits, "brightness", "1"),
    "MNIST, left or right": (digits, "left or right", "1"),
}
compared = width_ratios.compare(comparisons)

in_t, in_log = (
    compared[compared["clock"] == clock].set_index("comparison")
    for clock in width_ratios.CLOCKS
)


def with_interval(rows):
    return [f"{r.ratio:.2f} [{r.lower:.2f}, {r.upper:.2f}]" for r in rows.itertuples()]


columns = {
    "class, place": in_t["place"],
    "width": in_t["width"],
    "feature, place": in_t["reference_place"],
    "its width": in_t["reference_width"],
    "ratio [95 %]": with_interval(in_t),
    "width in ln σ": in_log["width"],
    "its": in_log["reference_width"],
    "ratio in ln σ [95 %]": with_interval(in_log),
}
table = pd.DataFrame(columns, index=pd.Index(list(comparisons), name=""))
keys = (
    "fashion mnist tree low_tree flat small steps bright side bright_mnist side_mnist"
)
for key, name in zip(keys.split(), comparisons, strict=True):
    numbers = {"": in_t["ratio"], "_log": in_log["ratio"], "_pooled": in_log["pooled"]}
    for end, column in numbers.items():
        glue(f"c18_{key}{end}", float(column[name]), display=False)
table.style.format(precision=3)

quantities = [*class_flips.LAYERS, "class"]
layer_widths, parts = {}, {}
for name in sets:
    layer_widths[name] = width_ratios.by_quantity(
        survivals[name], quantities, "ln sigma"
    )
    parts[name] = class_flips.inherited_parts(outcomes[name], 0.5)

for name, key in {"fashion-mnist": "fashion", "mnist": "mnist"}.items():
    places = class_flips.class_transitions(outcomes[name])
    half = outcomes[name][outcomes[name]["t"] == 0.5]
    repeated = half.pivot(index=["seed", "image"], columns="draw", values="class")
    shared = forward_backward.intraclass_correlation(torch.tensor(repeated.to_numpy()))
    train, _ = images.load(f"{name}-slice", "train")
    wiener = references.of_gaussian(train, times)["pixels"]
    pixels = layer_widths[name].query("quantity == 'pixels'")["width"]
    own = parts[name].groupby("layer")["own"].mean()
    facts = {
        "wiener": forward_backward.width(log_sigma, wiener)[0],
        "pixels": pixels.mean(),
        "first": places["place"].min(),
        "last": places["place"].max(),
        "own": places["width"].median(),
        "whole": forward_backward.width(
            times, curves(survivals[name], "class").mean(0)
        )[0],
        "shared": 100 * shared,
        "part": own["1"],
        "logits": own["logits"],
    }
    for fact, value in facts.items():
        glue(f"c18_{key}_{fact}", float(value), display=False)

why, axes = plt.subplots(1, 2, figsize=(8, 3.4))
spots = np.arange(len(quantities))
places = (("estimate", -0.1), ("extra2", 0.1))
for name, (role, shift) in zip(sets, places, strict=True):
    groups = layer_widths[name].groupby("quantity")["width"]
    sums = [stats.Summary.of(groups.get_group(q).to_numpy()) for q in quantities]
    means, halves = [s.mean for s in sums], [s.upper - s.mean for s in sums]
    style = {"fmt": "o", "ms": 4, "color": plots.COLOURS[role], "label": sets[name]}
    axes[0].errorbar(spots + shift, means, halves, **style)
    own = parts[name].pivot(index="seed", columns="layer", values="own")
    own = own[list(class_flips.LAYERS)]
    plots.band(axes[1], spots[:-1], own, role=role, label=sets[name])
exact_line = {"lw": 1, "color": plots.COLOURS["exact"]}
axes[0].axhline(0.5, **exact_line, label="Gaussian coordinate")
axes[1].axhline(0, **exact_line)
axes[0].set(ylabel=r"width in $\ln\sigma$", ylim=(0, None))
axes[1].set(ylabel="similarity to own original,\nless that to others of its class")
for ax, names in zip(axes, (quantities, quantities[:-1]), strict=True):
    ax.set_xticks(range(len(names)), names, rotation=50)
    ax.set_xlabel("layer")
axes[0].legend(fontsize=8);

first_layer = parts["fashion-mnist"].query("layer == '1'")
values = {
    "width_ratio": ratio(garments, "class", "1"),
    "tree_ratio": ratio(tree, "class", "leaves"),
    "width_ratio_mnist": ratio(digits, "class", "1"),
    "width_ratio_log": ratio(garments, "class", "1", "ln sigma"),
    "composition": first_layer["own"],
}
control = {
    "width_ratio": ratio(garments, "class of another", "1"),
    "tree_ratio": ratio(tree, "half of the leaves", "leaves"),
    "width_ratio_mnist": ratio(digits, "class of another", "1"),
    "width_ratio_log": ratio(garments, "class of another", "1", "ln sigma"),
    "composition": first_layer["control"],
}
verdict = claims.check(
    "C18",
    values=values,
    control=control,
    seeds=seeds,
    profile=profile,
    figure=figure,
    draws=draws,
    steps=steps,
    trees=trees,
    times=times,
    table=table.to_dict("index"),
)
verdict.glue()
verdict

# NBVAL_CHECK_OUTPUT
print(verdict)

print(claims.provenance())
