from IPython.display import display
profile = "quick"
seed_offset = 0
seed_count = 5
model = "fashion-mnist"
data = "fashion-mnist-slice"
device = "cpu"
t = 0.5
steps = 10

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from molrg import claims, devices, editing, plots, stats
from molrg.editing import attributes
from molrg.studies import edit_properties, editing_setting, named_changes
from molrg.studies.named_changes import column
from myst_nb import glue

plots.house_style()
paper = profile == "paper"
seeds = claims.seeds(100 if paper else seed_count, seed_offset, profile)
setting = editing_setting.Setting(model, data, t, steps, device)

image = editing_setting.picture(setting, seed_offset)[0].to(devices.chosen(device))
strip = editing.strip(setting.network, image, t, k=1, steps=steps)
print(
    f"there and back: squared error {strip.error:.5f};",
    f"singular value {strip.directions.values[0, 0]:.1f};",
    f"edits {tuple(strip.images.shape)}",
)

kinds = "own smooth other white" + " matched drawn principal" * paper
table = named_changes.trials(setting, seeds, kinds, store="c12_trials", profile=profile)

# the recorded run has more images and times: its tables stand for the usual run only
recorded = claims.recorded("C12")
asked = {"model": model, "data": data, "t": t, "steps": steps}
same = all(recorded.get(name) == value for name, value in asked.items())
from_record = same and not paper and not seed_offset

times = (0.1, 0.3, 0.65, 0.8) if paper else (0.3 if t > 0.5 else 0.7,)
at_times = {} if from_record else {t: table}
for time in () if from_record else times:
    at_times[time] = named_changes.trials(
        editing_setting.Setting(model, data, time, steps, device),
        seeds[: 40 if paper else 2],
        "own smooth" if paper else "own",
        store="c12_times",
        profile=profile,
    )
live = named_changes.summarise(table, at_times)

chosen = (recorded["study"] if from_record else live)["chosen"]
pair = [list(chosen)[: 6 if paper else 4][i::2] for i in (0, 1)]  # two side by side
rows = list(zip(*pair, strict=False))
lengths = (-2.0, -1.0, 0.0, 1.0, 2.0)
shown = [
    named_changes.strip(setting, *chosen[name][:2], lengths)
    for both in rows
    for name in both
]
strips = plots.image_grid(torch.cat(shown), columns=10, scale=0.75)
axes = np.array(strips.axes).reshape(-1, 10)
for line, both in enumerate(rows):
    for half, name in enumerate(both):
        _, k, effect = chosen[name]
        words = f"{name}: $v_{k + 1}$, {effect:+.1f} sd"
        axes[line, 5 * half + 2].set_title(words, fontsize=8)

first = seeds[: 8 if paper else 5]
lines = []
for seed in first:
    ends = [named_changes.strip(setting, seed, k, (-2.0, 2.0)) for k in range(4)]
    lines.append(torch.cat([editing_setting.picture(setting, seed), *ends]))
gallery = plots.image_grid(torch.cat(lines), columns=9, scale=0.75)
axes = np.array(gallery.axes).reshape(-1, 9)
axes[0, 0].set_title("image", fontsize=8)
for k in range(4):
    axes[0, 2 * k + 1].set_title(f"$-2v_{k + 1}$", fontsize=8)
    axes[0, 2 * k + 2].set_title(f"$+2v_{k + 1}$", fontsize=8)
star = {"ha": "center", "va": "center", "color": plots.COLOURS["control"]}
for line, seed in enumerate(first):
    moved = table[table["seed"] == seed]["own_moved"].iloc[0]
    for k in np.flatnonzero(moved):  # a mark between the two pictures
        ax = axes[line, 2 * k + 2]
        ax.text(-0.08, 0.5, "*", transform=ax.transAxes, **star)

told = recorded["study"] if from_record else live
caption = "Recorded run" if from_record else "This run"
means = {
    kind: {
        name: f"{s['mean']:.2f} [{s['lower']:.2f}, {s['upper']:.2f}]"
        for name, s in outcomes.items()
    }
    for kind, outcomes in told["kinds"].items()
}
display(pd.DataFrame(means).T.style.set_caption(caption))
by_name = pd.DataFrame(told["by_name"], index=attributes.NAMES).T
by_name.style.format(precision=2).set_caption(caption)

properties = edit_properties.table(
    setting, seeds[: 30 if paper else 2], store="c12_properties", profile=profile
)
live["properties"] = {
    name: column(properties, name).tolist() for name in edit_properties.COLUMNS
}
study = recorded["study"] if from_record else live

twins = ("fashion-mnist-short-v", "fashion-mnist-short-v-seed-1")
if setting.network.event == editing_setting.network(twins[0], device).event:
    shared = edit_properties.shared_directions(setting, twins, seeds[:3])
    for name, words in {
        "twins": "two networks, one image",
        "two_images": "one network, two images",
        "one_gaussian": "network, principal directions",
    }.items():
        mean = stats.Summary.of(shared[name].to_numpy())
        glue(f"c12_shared_{name}", mean.mean, display=False)
        print(f"{words}: {mean.mean:.2f} [{mean.lower:.2f}, {mean.upper:.2f}]")

def panel(ax, names, label):
    for name, role in zip(names, ("estimate", "control"), strict=True):
        values = study["properties"][name]
        kind = name.split("_")[0]
        plots.band(ax, edit_properties.REACH, values, role=role, label=kind)
    ax.set(xlabel=label)


def bars(ax, columns, words, roles):
    sums = [stats.Summary.of(np.array(values)) for values in columns]
    means, halves = [s.mean for s in sums], [s.upper - s.mean for s in sums]
    colours = [plots.COLOURS[role] for role in roles]
    ax.bar(range(len(sums)), means, color=colours, yerr=halves)
    ax.set_xticks(range(len(sums)), words, fontsize=7)


properties_figure, axes = plt.subplots(2, 2, figsize=(7.6, 5.2))
panel(axes[0, 0], ("own_r2", "smooth_r2"), "largest step")
axes[0, 0].set(ylabel="$R^2$ of linearity", ylim=(0, 1.02))
panel(axes[0, 1], ("own_mixing", "smooth_mixing"), "step along both")
axes[0, 1].set(ylabel="error of composition", ylim=(0, None))
alike = np.hstack([study["properties"][f"{kind}_alike"] for kind in ("own", "smooth")])
words = ("own,\nsame class", "own,\nother", "smooth,\nsame class", "smooth,\nother")
bars(axes[1, 0], alike.T, words, ("estimate",) * 2 + ("control",) * 2)
axes[1, 0].set(ylabel="likeness of the change")
words = ("mask\nonly", "$r' = 5$", "smooth\nin mask")
leak = np.array(study["properties"]["leak"]).T
bars(axes[1, 1], leak, words, ("estimate",) * 2 + ("control",))
axes[1, 1].set(ylabel="share outside the mask")
axes[0, 1].legend();

times_figure, axes = plt.subplots(1, 3, figsize=(8.6, 2.9))
labels = {
    "gain": "change for a unit step",
    "moved": "share that moves an attribute",
    "kept": "class kept at $|\\alpha| = 2$",
}
for ax, (outcome, label) in zip(axes, labels.items(), strict=True):
    for kind, role in {"own": "estimate", "smooth": "control"}.items():
        name = f"{kind}_{outcome}"
        at = {float(a): s[name] for a, s in study["times"].items() if name in s}
        means = [s["mean"] for s in at.values()]
        halves = [s["upper"] - s["mean"] for s in at.values()]
        style = {"fmt": "o-", "ms": 4, "color": plots.COLOURS[role], "label": kind}
        ax.errorbar(list(at), means, halves, **style)
    ax.set(xlabel="time $t$", ylabel=label, xlim=(0, 0.9), ylim=(0, None))
    plots.sigma_axis(ax, setting.network.schedule)
axes[0].legend();

P, nan = study["properties"], float("nan")
quoted = {f"{kind}_moved": nan for kind in ("drawn", "principal", "matched")}
quoted |= {"principal_gain": nan, "matched_gain": nan, "matched_odds": nan}
for kind, outcomes in study["kinds"].items():
    quoted |= {f"{kind}_{name}": s["mean"] for name, s in outcomes.items()}
for end in ("mean", "lower", "upper", "min", "max", "sum"):
    quoted[f"over_matched_{end}"] = study.get("over_matched", {}).get(end, nan)
quoted["gain"] = study["first"]["mean"]
quoted["white"] = study["gains"]["white"]["mean"]
columns = {
    **dict.fromkeys(("r2", "mixing"), ("half", 1, 2, 4)),
    **dict.fromkeys(("alike", "size"), ("same", "other")),
}
for name, ends in columns.items():
    for kind in ("own", "smooth"):
        means = np.mean(P[f"{kind}_{name}"], 0)
        quoted |= {f"{kind}_{name}_{e}": v for e, v in zip(ends, means, strict=True)}
for name in ("leak", "within"):
    means = zip((0, 5, "smooth"), np.mean(P[name], 0), strict=True)
    quoted |= {f"{name}_{end}": value for end, value in means}
for name in ("error", "error_of_noise"):
    quoted[name] = table[name].mean()
quoted["images"] = len(P["leak"])
for name, value in quoted.items():
    glue(f"c12_{name}", float(value), display=False)
glue("c12_steps", steps, display=False)

own, smooth, other, white = (
    column(table, f"{kind}_gain") for kind in ("own", "smooth", "other", "white")
)
moved, by_chance = (column(table, f"{kind}_moved") for kind in ("own", "smooth"))
values = {
    "inversion_error": table["error"],
    "gain_over_smooth": own[:, 0] / smooth.mean(1),
    "gain_over_white": own[:, 0] / white.mean(1),
    "share_with_attribute": moved.mean(1),
    "lead_over_smooth": moved.mean(1) - 3 * by_chance.mean(1),
}
control = {
    "inversion_error": table["error_of_noise"],
    "gain_over_smooth": other[:, 0] / smooth.mean(1),
    "gain_over_white": white[:, 0] / white[:, 1:].mean(1),
    "share_with_attribute": by_chance.mean(1),
}
verdict = claims.check(
    "C12",
    values=values,
    control=control,
    seeds=seeds,
    profile=profile,
    figure=properties_figure,
    **asked,
    study=live,
)
verdict.glue()
verdict

# NBVAL_CHECK_OUTPUT
print(verdict)

print(claims.provenance())
