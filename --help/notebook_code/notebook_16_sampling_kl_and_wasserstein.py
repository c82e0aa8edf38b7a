from IPython.display import display
profile = "quick"
seed_offset = 0
seed_count = 5
walkers = 6000
curve_walkers = 150

import matplotlib.pyplot as plt
import numpy as np
from molrg import claims, plots, schedules
from molrg.studies import sampling_rates
from molrg.studies.manifold_rates import endpoint_variance
from molrg.studies.reverse_schemes import SCHEMES, level_grid
from myst_nb import glue

plots.house_style()
schedule = schedules.VP()
seeds = claims.seeds(seed_count, seed_offset, profile)
named = {
    "posterior mean": "posterior mean held fixed",
    "score": "score held fixed",
    "euler": "Euler-Maruyama",
}
roles = {"posterior mean": "estimate", "score": "extra2", "euler": "control"}
style = {
    way: {"color": plots.COLOURS[roles[way]], "ls": "--" if way == "score" else "-"}
    for way in SCHEMES
}

times = level_grid(schedule, 100, stop=0.05)
s, gamma = schedule.s(times), schedule.gamma(times)
v = {"along": gamma[0] ** 2, "across": gamma[0] ** 2}
for k in range(100):
    r, share = s[k] / s[k + 1], gamma[k + 1] / gamma[k]
    A = r * share**2
    B = s[k + 1] - A * s[k]
    C = share * (gamma[k] ** 2 - (r * gamma[k + 1]) ** 2).sqrt()
    for way, signal in (("along", 1), ("across", 0)):
        shrink = s[k] * signal / (s[k] ** 2 * signal + gamma[k] ** 2)
        v[way] = (A + B * shrink) ** 2 * v[way] + C**2
print(f"along:  {v['along']:.6f}, should be {s[-1] ** 2 + gamma[-1] ** 2:.6f}")
print(f"across: {v['across']:.15f}, should be {gamma[-1] ** 2:.15f}")

dims = [8, 32, 128, 512, 2048, 8192]
table = sampling_rates.slopes_in_dimension(dims, seeds)
table.style.format(precision=3).format("{:.1g}", subset="spread").hide(axis="index")

sampled_dims, ten_steps = [32, 64, 128], {"d": 16, "steps": 10, "stop": 0.05}
walked = sampling_rates.sampled_endpoints(
    sampled_dims, seeds, **ten_steps, walkers=walkers
)
walked["deviation"] = (walked["kl"] / walked["exact"] - 1).abs()
deviation = walked.groupby("seed")["deviation"].max()

fine = np.unique(np.geomspace(16, 8192, 60).astype(int))
ends = sampling_rates.endpoints(fine.tolist(), **ten_steps)
lines = dict(list(ends.groupby("scheme")))
figure, ax = plt.subplots()
for way in SCHEMES:
    ax.plot(fine, lines[way]["kl"], lw=1.2, label=named[way], **style[way])
    dots = walked[walked["scheme"] == way]
    ax.plot(dots["D"], dots["kl"], "o", ms=4, color=style[way]["color"], alpha=0.5)
full = lines["full rank"]["kl"]
ax.plot(fine, full, "k:", lw=1.2, label="posterior mean, d = D")
ax.set(xscale="log", yscale="log", xlabel="ambient dimension D")
ax.set_ylabel("KL at the end")
ax.set_xticks(dims[1:], dims[1:])
ax.minorticks_off()
ax.legend()
glue("c16_deviation", 100 * float(deviation.mean()), display=False)
glue("c16_spread", float(table["spread"].max()), display=False)
for name in ("score", "euler", "full", "w2"):
    glue(f"c16_{name}", float(table[name].mean()), display=False)

steps_D = sampling_rates.steps_by_ambient([8, 32, 128, 512], d=4, kl=0.1)
steps_d = sampling_rates.steps_by_intrinsic([1, 2, 4, 8, 16, 32], D=512, kl=0.1)
for name in ("end", "path"):
    exponent = np.polyfit(np.log(steps_d["d"]), np.log(steps_d[name]), 1)[0]
    glue(f"c16_{name}", float(exponent), display=False)

step_figure, axes = plt.subplots(1, 2, figsize=(6.8, 3.3))
for way, rows in steps_D.groupby("scheme", sort=False):
    line = style[way] | {"label": named[way], "marker": "o", "ms": 4}
    axes[0].plot(rows["D"], rows["steps"], **line)
blue, black = plots.COLOURS["estimate"], plots.COLOURS["exact"]
axes[1].plot("d", "path", "s:", ms=4, color=black, label="paths", data=steps_d)
axes[1].plot("d", "end", "o-", ms=4, color=blue, label="end", data=steps_d)
for ax, x in zip(axes, (rows["D"], steps_d["d"]), strict=True):
    ax.set(xscale="log", yscale="log")
    ax.set_xticks(x, x)
    ax.set_xticks([], minor=True)
    ax.legend()
axes[0].set_yticks([30, 100, 300], [30, 100, 300])
axes[0].set_yticks([], minor=True)
axes[0].set(xlabel="ambient dimension D (d = 4)", ylabel="steps for a KL of 1/10")
axes[1].set(xlabel="intrinsic dimension d");

ends = sampling_rates.endpoints(fine.tolist(), d=4, steps=400, stop=0.05)
lines = dict(list(ends.groupby("scheme")))
flat, solid = lines["posterior mean"], lines["full rank"]
w2_figure, ax = plt.subplots()
blue, red = plots.COLOURS["estimate"], plots.COLOURS["control"]
ax.plot(fine, flat["w2"], color=blue, label="d = 4")
ax.plot(fine, solid["w2"], color=red, label="d = D")
once_more = {"ls": "--", "label": "d = 4, denoised once more"}
ax.plot(fine, flat["w2_denoised"], color=blue, **once_more)
left = schedule.gamma(schedule.t_of_sigma(0.05)) * np.sqrt(fine)
ax.plot(fine, left, "k:", lw=1, label="noise left over")
ax.set(xscale="log", yscale="log", xlabel="ambient dimension D")
ax.set_ylabel("Wasserstein distance from the data")
ax.set_xticks(dims[1:], dims[1:])
ax.minorticks_off()
ax.legend()
solid_slope = np.polyfit(np.log(fine), np.log(solid["w2"]), 1)[0]
glue("c16_solid", float(solid_slope), display=False)

curved = sampling_rates.noise_across_curve(
    [8, 32, 128, 256], seeds, steps=40, stop=0.05, walkers=curve_walkers
)

grid = level_grid(schedule, 40, stop=0.05)
left_over = schedule.gamma(grid[-1]).item() ** 2
curve_figure, ax = plt.subplots()
for way in SCHEMES:
    rows = curved[curved["scheme"] == way]
    ratios = rows.pivot(index="seed", columns="D", values="ratio")
    plots.band(ax, ratios.columns, ratios, role=roles[way], label=named[way])
    flat = endpoint_variance(way, schedule, grid, 0.0) / left_over
    ax.axhline(flat, ls="--", lw=1, color=plots.COLOURS["exact"])
ax.set(xscale="log", xlabel="ambient dimension D")
ax.set_ylabel("noise across the curve / exact")
ax.set_xticks(ratios.columns, ratios.columns)
ax.minorticks_off()
ax.legend(loc="center right", bbox_to_anchor=(1, 0.4));

# the control: the samples of the first scheme against the line of the third
exact = walked.set_index(["scheme", "seed", "D"])
mistaken = exact.loc["posterior mean", "kl"] / exact.loc["euler", "exact"] - 1
verdict = claims.check(
    "C16",
    values={
        "kl_spread": table["spread"],
        "slope_score": table["score"],
        "slope_euler": table["euler"],
        "slope_full_rank": table["full"],
        "trajectory_deviation": deviation,
        "w2_slope": table["w2"],
    },
    control={
        "kl_spread": table["others"],
        "trajectory_deviation": mistaken.abs().groupby("seed").min(),
    },
    seeds=seeds,
    profile=profile,
    figure=figure,
    parameters={"walkers": walkers},
)
verdict.glue()
verdict

# NBVAL_CHECK_OUTPUT
print(verdict)

print(claims.provenance())
