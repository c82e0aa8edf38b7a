from IPython.display import display
profile = "quick"
seed_offset = 0
seed_count = 3
width = 128
steps = 800
level = 0.1

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from molrg import claims, draws, plots, sweeps
from molrg.studies import ladder
from molrg.studies.ladder_measures import arrivals, exponent, samples_per_dimension
from myst_nb import glue

plots.house_style()
paper = profile == "paper"
seeds = claims.seeds(10 if paper else seed_count, seed_offset)
dims = (3, 4, 6) if paper else (3, 6)


def swept(study, cells, seeds=seeds):
    """A row for each cell and seed, kept between runs in the paper profile."""
    store = sweeps.kept(f"c09-{study.__name__}", profile)
    table = sweeps.run(study, cells, seeds=seeds, store=store)
    return table.assign(ratio=table.N / table.d, error=table.errors.map(np.mean))


def glue_mean(name, values):
    glue(f"c09_{name}", float(np.mean(values)), display=False)

few = {"tied": lambda d: sorted({d - 1, d, d + 1, d + 2, 2 * d})}
some = {"free": (1, 2, 4, 8), "mlp": (2, 4, 8, 16, 32, 64) if paper else (4, 8, 16, 32)}
few |= {kind: lambda d, at=at: [ratio * d for ratio in at] for kind, at in some.items()}
usual = {"tied": 300, "free": 400, "mlp": steps}


def train(kind, width=0, steps=None, dims=dims):
    cell = {"kind": kind, "width": width, "steps": steps or usual[kind]}
    grid = [{"d": d, "N": N} for d in dims for N in few[kind](d)]
    return swept(ladder.train, [cell | at for at in grid])


rungs = {"tied low-rank": train("tied"), "free mixture": train("free")}
rungs["perceptron"] = train("mlp", width)
ratios = (2, 8, 32, 64, 128, 256, 512)[: 7 if paper else 6]
cells = [{"kind": "empirical", "d": d, "N": r * d} for d in dims for r in ratios]
copier = swept(ladder.reference, [cell | {"points": 256} for cell in cells])
arrived = {name: arrivals(table, level) for name, table in rungs.items()}
arrived_copier = arrivals(copier, level)

styles = {3: "o-", 4: "s-", 6: "^-"}
shades = {d: plt.cm.cividis(at) for d, at in ((3, 0.0), (4, 0.4), (6, 0.8))}


def draw(ax, name, table, needed):
    """Error against samples per dimension, a curve for each d; dotted, the copier."""
    for d, part in table.groupby("d"):
        mean = part.groupby("ratio").error.mean()
        ax.plot(mean, styles[d], ms=4, color=shades[d], label=f"$d = {d}$")
        other = copier[copier.d == d].groupby("ratio").error.mean()
        ax.plot(other, ":", color=shades[d])
    ax.axhline(level, ls="--", lw=1, color=plots.COLOURS["exact"])
    ratio = samples_per_dimension(needed).mean()
    ax.set(xscale="log", yscale="log", ylim=(3e-4, 1.2), xlim=(0.5, 700))
    ax.set(title=f"{name}: $N^*/d$ = {ratio:.1f}", ylabel="error")
    ax.set_xlabel("samples / dimension, $N/d$")


figure, axes = plt.subplots(2, 2, figsize=(6.6, 5.6), layout="constrained")
for ax, (name, table) in zip(axes.flat, rungs.items(), strict=False):
    draw(ax, name, table, arrived[name])
draw(axes[1, 1], "empirical", copier, arrived_copier)
figure.legend(
    *axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3
);

cells = [
    {"kind": kind, "d": d, "N": 8 * d, "points": 2048}
    for kind in ladder.REFERENCES
    for d in dims
]
calibration = swept(ladder.reference, cells)
calibration["copies"] = calibration.memorised.str[ladder.CS.index(1 / 3)]
calibration["law"] = 3.0**-calibration.d
calibration.pivot_table(["copies", "law"], "d", "kind").round(4)

summary = {
    name: {"N*/d": samples_per_dimension(N).mean(), "exponent": exponent(N).mean()}
    for name, N in (arrived | {"empirical": arrived_copier}).items()
}
for name, row in summary.items():
    glue_mean(f"ratio_{name.split()[0]}", row["N*/d"])
    glue_mean(f"exponent_{name.split()[0]}", row["exponent"])
pd.DataFrame(summary).T.round(2)

if paper:
    fixed = {"images": 76800, "batch": 256, "lr": 6e-3}
    cells = [{"d": d, "N": r * d} | fixed for d in dims for r in (2, 5, 10, 20, 60)]
    unets = ladder.unet_scores(swept(ladder.unet, cells, range(3)))
    # other widths and lengths of training, at d = 4 only
    varied = {(width, steps): rungs["perceptron"].query("d == 4")}
    varied |= {(size, steps): train("mlp", size, dims=[4]) for size in (64, 256)}
    varied |= {(width, b): train("mlp", width, b, [4]) for b in (steps // 4, 4 * steps)}
    found = {
        key: samples_per_dimension(arrivals(table, level)).mean()
        for key, table in varied.items()
    }
    times = {str(b): value for (w, b), value in found.items() if w == width}
    sizes = {str(w): value for (w, b), value in found.items() if b == steps}
    recorded = {"unets": unets.to_dict("records"), "times": times, "sizes": sizes}
else:
    recorded = claims.recorded("C09")

copies = calibration.pivot_table("copies", ["kind", "seed"], "d")
law = 3.0 ** -np.array(dims)
values = {
    "ratio_tied": samples_per_dimension(arrived["tied low-rank"]),
    "ratio_free": samples_per_dimension(arrived["free mixture"]),
    "ratio_mlp": samples_per_dimension(arrived["perceptron"]),
    "collapse_exponent": exponent(arrived["perceptron"]),
    "bayes_gap": (copies.loc["bayes"] - law).abs().max(axis=1),
    "empirical_memorised": copies.loc["empirical"].min(axis=1),
}
copier_ratio = samples_per_dimension(arrived_copier)
control = dict.fromkeys(("ratio_tied", "ratio_free", "ratio_mlp"), copier_ratio) | {
    "collapse_exponent": exponent(arrived_copier),
    "bayes_gap": (copies.loc["empirical"] - law).abs().max(axis=1),
    "empirical_memorised": copies.loc["bayes"].min(axis=1),
}
parameters = {"width": width, "steps": steps, "level": level, "dims": dims}
run = {"seeds": seeds, "profile": profile, "figure": figure, "parameters": parameters}
run |= recorded if paper else {}
verdict = claims.check("C09", values=values, control=control, **run)
verdict.glue()
verdict

# NBVAL_CHECK_OUTPUT
print(verdict)

unets = pd.DataFrame(recorded["unets"]).eval("ratio = N / d")
finished = unets[unets.share == 1]
arrived_unet = arrivals(finished, level)
glue_mean("ratio_unet", samples_per_dimension(arrived_unet))
glue_mean("exponent_unet", exponent(arrived_unet))
unet_figure, ax = plt.subplots(figsize=(5, 3.6))
draw(ax, "U-Net", finished, arrived_unet)
ax.set_xlim(0.5, 100)
ax.legend(loc="lower left");

times, sizes = recorded["times"], recorded["sizes"]
for name, key in zip(("early", "usual", "late"), sorted(times, key=int), strict=True):
    glue_mean(f"time_{name}", times[key])
for name, key in zip(("narrow", "usual", "wide"), sorted(sizes, key=int), strict=True):
    glue_mean(f"width_{name}", sizes[key])
usual = (ladder.CS.index(1 / 3), ladder.RESIDUALS.index(0.2))
unets["score"] = unets.gl.map(lambda table: table[usual[0]][usual[1]])
whole = unets[unets.share == 1]
marks = (0.7, 0.8, 0.9, 0.95)
by_mark = {}
for mark in marks:
    reached = arrivals(whole, mark, column="spread", falls=False)
    by_mark[mark] = samples_per_dimension(reached).mean()
    glue_mean(f"spread_{100 * mark:.0f}", by_mark[mark])
strict = whole.gl.map(lambda table: np.array(table))
end = whole.ratio == whole.ratio.max()
plateau = np.stack(strict[end]).mean(0)
for most in (0.1, 0.2, 0.5):
    glue_mean(f"gl_{10 * most:.0f}", plateau[usual[0], ladder.RESIDUALS.index(most)])
for share in (0.25, 0.5):
    early = unets[(unets.share == share) & (unets.ratio == unets.ratio.max())]
    glue_mean(f"early_{100 * share:.0f}", early.error)
glue_mean("end", whole[end].error)

score_figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3.8))
names = {"spread": "reference", "score": "estimate", "copies": "control"}
unets["copies"] = unets.memorised.str[usual[0]]
whole, half = (unets[unets.share == share] for share in (1, 0.5))
for (name, role), mark in zip(names.items(), "so^", strict=True):
    label = {"score": "GL", "copies": "copies"}.get(name, name)
    wide = whole.groupby(["seed", "ratio"])[name].mean().unstack()
    style = {"role": role, "label": label, "generator": draws.source(30)}
    plots.band(left, wide.columns, wide.to_numpy(), **style)
    before = half.groupby("ratio")[name].mean()
    left.plot(before, mark + ":", mfc="none", color=plots.COLOURS[role])
ticks = {"xticks": wide.columns, "xticklabels": [f"{r:g}" for r in wide.columns]}
left.set(xscale="log", ylabel="score of U-Net samples", **ticks)
left.minorticks_off()
left.set_xlabel("samples / dimension, $N/d$")
left.legend(loc="upper center", bbox_to_anchor=(0.5, 1.18), ncols=3, fontsize=9)
right.plot(*zip(*by_mark.items(), strict=True), "s-", color=plots.COLOURS["reference"])
right.axhspan(50, 60, color=plots.COLOURS["exact"], alpha=0.15, lw=0)
right.set(xlabel="level that the spread has to reach", ylabel="$N/d$ at which it does");

print(claims.provenance())
