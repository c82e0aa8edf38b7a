from IPython.display import display
profile = "quick"
seed_offset = 0
seed_count = 4
model = "fashion-mnist"
others = ["fashion-mnist-short-x0", "fashion-mnist-short-eps", "white-noise"]
data = "fashion-mnist-slice"
device = "cpu"
n = 48
d = 6
K = 2
steps = 300

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from molrg import (
    MoLRG,
    claims,
    denoisers,
    devices,
    dimension,
    images,
    jacobian,
    plots,
    schedules,
    zoo,
)
from molrg.studies import (
    jacobian_models,
    jacobian_rank,
    jacobian_spans,
    mixture_jacobians,
)
from molrg.studies.jacobian_rank import noised
from molrg.studies.mixture_jacobians import curves, largest_fall
from myst_nb import glue

plots.house_style()
paper = profile == "paper"
seeds = claims.seeds(seed_count, seed_offset, profile)

generator, schedule = torch.Generator(), schedules.VP()
mixture = MoLRG.random(n, [d] * K, generator=generator.manual_seed(seed_offset))
x0, _ = mixture.sample(1, generator=generator.manual_seed(seed_offset))
denoiser = mixture.denoiser(schedule)
for t in schedule.t_of_sigma(torch.tensor([0.05, 1.0, 20.0])):
    J = jacobian.dense(denoiser, noised(schedule, x0, t, seed_offset), t)[0]
    S = torch.linalg.svdvals(J)
    share = S.square().cumsum(-1) / S.square().sum()
    print(
        f"t = {t:.2f}: rank {int(jacobian.numerical_rank(S))}, energy of the first",
        f"{d}: {share[d - 1]:.3f}, of the first {K * d}: {share[K * d - 1]:.3f}",
    )

sigmas = torch.logspace(-1.7, 1.5, 9, dtype=torch.float64).tolist()
sizes = {"n": n, "d": d, "K": K}

exact_ranks = mixture_jacobians.exact_ranks(seeds, sigmas, **sizes)
laws = {law: curves(rows) for law, rows in exact_ranks.groupby("law")}
exact, ambient = laws["exact"], laws["ambient noise"]
training = {"steps": steps, "noise_seed": seed_offset}
trained = {
    target: mixture_jacobians.trained_ranks(target, seeds, sigmas, **sizes, **training)
    for target in ("x0", "v", "eps")
}

mixture_figure, axes = plt.subplots(1, 2, figsize=(8.6, 3.6), sharey=True)
dashed = {"color": plots.COLOURS["control"], "label": "exact, with ambient noise"}
axes[0].plot(sigmas, ambient.mean(0), "--", **dashed)
for target, role in {"x0": "estimate", "v": "extra2", "eps": "reference"}.items():
    label = f"predicts {target.replace('eps', 'noise')}"
    plots.band(axes[1], sigmas, curves(trained[target]), role=role, label=label)
for ax in axes:
    ax.plot(sigmas, exact.mean(0), "k-", label="exact")
    ax.set(xscale="log", xlabel="noise level sigma", ylim=(0, n + 1))
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.3), ncols=2)
axes[0].set_ylabel(f"rank of J, of {n}");

name = data.removesuffix("-slice") if paper else data
place = devices.chosen(device)
train = images.load(name)[0].to(place)
x_test, test_labels = (part.to(place) for part in images.load(name, "test"))
network = zoo.load(model, device=device)
schedule, pixels = network.schedule, x_test[0].numel()
gaussian = denoisers.Gaussian(train.double(), schedule)
empirical = denoisers.Empirical(train, schedule)
picture = jacobian_rank.by_class(x_test, test_labels)
grid, middle = [0.3, 0.75, 0.95], 0.75
if paper:
    grid = [0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
followed = seeds[:6] if paper else seeds[:1]  # over all times; the others at 0.75

x0 = picture(seed_offset)
stops = (0.3, 0.5, middle, 0.95)
given = [noised(schedule, x0, t, seed_offset) for t in stops]
with torch.no_grad():
    estimates = [network(x_t, t) for x_t, t in zip(given, stops, strict=True)]
titles = ["image", "t = 0.3", "0.5", "0.75", "0.95"]
scaled = [x_t / x_t.abs().max() for x_t in given]
both_rows = torch.cat([x0, *scaled, x0, *estimates]).cpu()
photo = plots.image_grid(both_rows, columns=5, titles=titles + [""] * 5)
parameters = sum(parameter.numel() for parameter in network.parameters())
for key, value in {
    "model": model,
    "prediction": network.prediction.replace("eps", "the noise"),
    "parameters": f"{parameters:,}",
}.items():
    glue(f"c11_{key}", value, display=False)

chosen = {"always": middle, "followed": followed[:3]}
late = jacobian_rank.cells(seeds, [t for t in grid if t >= 0.5], **chosen)
cells = jacobian_rank.cells(seeds, grid, always=middle, followed=followed)
measured = {
    "network": jacobian_rank.readings(network, picture, cells, keep=[middle]),
    "empirical": jacobian_rank.readings(empirical, picture, late, keep=[middle]),
}
by_products = jacobian_rank.without_matrix(network, picture, seeds, middle)
untrained = jacobian_rank.untrained_networks(network, picture, x_test, seeds, middle)
constant = lambda x_t, t: train.mean(0)
several = {"network": network, "gaussian": gaussian, "constant": constant}
errors = jacobian_rank.denoising_errors(several, schedule, x_test, seeds, [0.5, middle])

fine = np.linspace(0.01, 0.99, 99)
wiener = jacobian_rank.gaussian_ranks(gaussian, fine.tolist())
numbers = ["rank", "share", "asymmetry", "trace"]
means = {who: rows.groupby("t")[numbers].mean() for who, rows in measured.items()}
# second-hand: off the published figures of 2409.02426 (t of its VP schedule)
# and of 2409.02374
paper_t = [0.03, 0.167, 0.275, 0.49, 0.65, 0.71, 0.815, 0.88, 0.93]
paper_ranks = [0.21, 0.079, 0.047, 0.019, 0.0077, 0.0056, 0.0036, 0.0040, 0.35]
sister_t, sister = [0.58, 0.81], [0.016, 0.33]
error = errors.pivot(index="seed", columns=["denoiser", "t"], values="error")
facts = {
    "factor": sister[1] / paper_ranks[6],
    "dimension": dimension.readings(train[:3000].cpu())["MLE k=20"],
    "ratio": 100 * means["network"]["rank"][middle] / pixels,
    "chance": 8 / pixels,
}
for other in ("gaussian", "constant"):
    for end, t in (("_half", 0.5), ("", middle)):
        ratios = error["network", t] / error[other, t]
        facts[f"over_{other}{end}"] = ratios.mean()
for end, t in (("", middle), ("_late", 0.95)):
    for who, rows in means.items():
        facts[f"{who}{end}"] = rows["rank"][t]
    facts[f"wiener{end}"] = wiener["rank"][np.abs(fine - t).argmin()]
for key, value in facts.items():
    glue(f"c11_{key}", float(value), display=False)

figure, axes = plt.subplots(1, 2, figsize=(8.6, 3.6), sharey=True)
roles = {"empirical": "extra", "network": "estimate"}
theirs = {"color": "0.5", "mfc": "none", "ls": ":"}
cross = {"ms": 9, "color": plots.COLOURS["control"], "label": "untrained"}


def on(ax, clock, t):
    """Times, or noise levels on the right."""
    return t if ax is axes[0] else clock.sigma(torch.tensor(list(t))).numpy()


for ax in axes:
    ax.plot(on(ax, schedule, fine), wiener["share"], "k-", label="one Gaussian")
    for who, role in roles.items():
        groups = measured[who].groupby("t")["share"]
        mean, spread = groups.mean(), groups.std(ddof=0)
        style = {"fmt": "o-", "color": plots.COLOURS[role], "label": who}
        ax.errorbar(on(ax, schedule, mean.index), mean, spread, **style)
    ax.plot(on(ax, schedule, [middle]), [untrained["share"].mean()], "X", **cross)
    vp = schedules.VP()
    ax.plot(on(ax, vp, paper_t), paper_ranks, "s", **theirs, label="paper, CIFAR-10")
    label = "sister paper, CIFAR-10"
    ax.plot(on(ax, vp, sister_t), sister, "^", **theirs, label=label)
    ax.axhline(0.05, color="0.7", lw=0.8)
axes[0].set(yscale="log", xlabel="time t", ylabel="rank of J / pixels")
axes[1].set(xscale="log", xlabel="noise level sigma")
handles = axes[0].get_legend_handles_labels()
figure.legend(*handles, loc="outside lower center", ncols=3);

judged, axes = plt.subplots(1, 3, figsize=(8.6, 3))
S = jacobian_rank.gaussian_singular_values(gaussian, middle).sort(descending=True)[0]
axes[0].plot((S / S[0]).cpu(), "k-")
for who, role in roles.items():
    S = measured[who].query("t == @middle")["S"].iloc[0]
    axes[0].plot(S / S[0], color=plots.COLOURS[role])
axes[0].set(xlim=(0, 60), ylim=(1e-4, 2), yscale="log", title="spectrum at t = 0.75")
axes[0].set(xlabel="number", ylabel="singular value / largest")
for ax, key in zip(axes[1:], ("asymmetry", "trace"), strict=True):
    for who, role in roles.items():
        ax.plot(means[who][key], "o-", color=plots.COLOURS[role], label=who)
    ax.set(xlabel="time t", title=f"{key} of J", xlim=(0, 1))
    plots.sigma_axis(ax, schedule)
axes[2].plot(fine, wiener["trace"], "k-", label="one Gaussian")
axes[2].set(yscale="symlog")
axes[2].axhline(0, color="0.7", lw=0.8)
axes[2].legend()
for key in ("asymmetry", "trace"):
    for label, t in (("middle", middle), ("late", 0.95)):
        value = float(means["network"][key][t])
        glue(f"c11_{key}_{label}", value, display=False)

stops = [0.3, 0.5, 0.6, middle, 0.8, 0.9, 0.95] if paper else [middle]
if paper:
    others += ["fashion-mnist-short-v", "fashion-mnist-short-v-seed-1", "mnist"]
compared = jacobian_models.ranks(
    others,
    followed[:3],
    stops,
    pictures={data.removesuffix("-slice"): picture},
    device=device,
)

own = measured["network"].query("seed in @followed[:3] and t in @stops")
everyone = pd.concat([own.assign(model=model), compared])
ranks = everyone.pivot_table(index="model", columns="t", values="rank")
study = {"ranks": ranks.rename(columns="t = {:g}".format).to_dict("index")}

# tables of the recorded run, of more images and times, where nothing else was changed
settings = {"model": model, "data": name, "steps": steps, "others": others} | sizes
recorded = claims.recorded("C11")
usual = dict(recorded.get("parameters", {}))
usual["others"] = usual.get("others", [])[: len(others)]
same = usual == settings | {"data": name.removesuffix("-slice")}
from_record = not paper and not seed_offset and same
told = recorded["study"] if from_record else study
caption = "Recorded run" if from_record else "This run"
pd.DataFrame(told["ranks"]).T.style.format(precision=0).set_caption(caption)

comparison, ax = plt.subplots(figsize=(8.6, 3.4))
shares = means["network"]["share"]
here = shares[shares.index >= min(stops[0], middle)]
label = f"{model}, the network above"
ax.plot(here, "o-", lw=2.5, color=plots.COLOURS["estimate"], label=label)
for (other, rows), marker in zip(compared.groupby("model", sort=False), "sDX^vP"):
    recipe = rows.iloc[0]
    target = recipe["target"].replace("eps", "noise")
    label = f"{recipe['data']}, {target}, {recipe['seen']:,} images"
    mean = rows.groupby("t")["share"].mean()
    ax.plot(mean, f"{marker}--", label=label)
    share = 100 * float(mean[middle])
    glue(f"c11_{other.replace('-', '_')}", share, display=False)
ax.plot(fine, wiener["share"], "k-", label="one Gaussian")
exact_at = means["empirical"]["share"].loc[here.index.min() :]
ax.plot(exact_at, ":", color=plots.COLOURS["extra"], label="empirical")
ax.set(yscale="log", xlim=(stops[0] - 0.05, 1))
ax.set(xlabel="time t", ylabel="rank of J / pixels")
plots.sigma_axis(ax, schedule)
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5));

span_times = [0.3, 0.5, 0.6, middle, 0.8] if paper else [0.5, middle]
late = [t for t in span_times if t >= 0.5]
spans = {
    who: jacobian_spans.affinities(denoiser, picture, seeds, times, gaussian)
    for who, denoiser, times in (
        ("network", network, span_times),
        ("empirical", empirical, late),
    )
}
stacked = {who: jacobian_rank.stacked_rank(rows) for who, rows in measured.items()}

affinity = pd.concat(spans, names=["who", None]).reset_index("who")
affinity = affinity.sort_values("t", kind="stable")
affinity.index = [f"{who}, t = {t:g}" for who, t in zip(affinity.who, affinity.t)]
for row in affinity.to_dict("records"):
    for key in ("with the Gaussian", "within a class", "across"):
        quoted = f"c11_{row['who']}_{key.split()[0]}_{row['t']:g}"
        glue(quoted, row[key], display=False)
for who, value in stacked.items():
    glue(f"c11_{who}_stacked", value, display=False)
study["affinity"] = affinity.drop(columns=["who", "t"]).to_dict("index")
told = recorded["study"] if from_record else study
pd.DataFrame(told["affinity"]).T.style.format(precision=2).set_caption(caption)

at_middle = measured["network"].query("t == @middle")
agreement = jacobian_rank.agreement(by_products, at_middle)
white = compared.query("model == 'white-noise'")["share"].min()  # NaN without it
of_constant = error["constant", middle].to_numpy()
values = {
    "rank_ratio": measured["network"].groupby("seed")["share"].min(),
    "mixture_rank_low": exact[:, 0] / d,
    "mixture_rank_high": exact[:, -1] / (K * d),
    "mixture_fall": largest_fall(exact),
    "agreement": agreement["off"],
    "error_over_constant": error["network", middle] / of_constant,
}
control = {
    "rank_ratio": np.fmin(untrained["share"], white),
    "mixture_rank_low": ambient[:, 0] / d,
    "mixture_rank_high": laws["one subspace"][:, -1] / (K * d),
    "mixture_fall": largest_fall(ambient),
    "agreement": agreement["off_of_three"],
    "error_over_constant": untrained["error"] / of_constant,
}
verdict = claims.check(
    "C11",
    values=values,
    control=control,
    seeds=seeds,
    profile=profile,
    figure=comparison if paper else figure,
    parameters=settings,
    study=study,
)
verdict.glue()
verdict

# NBVAL_CHECK_OUTPUT
print(verdict)

print(claims.provenance())
