r"""Which named attributes of an image edits change, for singular vectors and for random directions.

An image is inverted to x_t, moved along a direction there, and finished by DDIM. Attributes and
their movement are those of `editing.attributes`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from molrg import checks, draws, editing, sweeps
from molrg.editing import attributes
from molrg.stats import Summary
from molrg.studies import editing_setting
from molrg.studies.editing_setting import Setting

ALPHAS = torch.tensor([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0], device="cpu")
KINDS = ("own", "smooth", "other", "white", "matched", "drawn", "principal")
OUTCOMES = ("gain", "moved", "loose", "kept", "odds", "r2")
UNIT = torch.tensor([-1.0, 1.0], device="cpu")
_NOISE = 5  # purpose of random numbers
_KEPT = 8  # images whose edits are remembered


def trial(
    seed: int,
    model: str,
    data: str,
    t: float,
    steps: int,
    kinds: str,
    weights: float,
    device: str = "cpu",
) -> dict[str, Any]:
    """Edit one image along directions of several kinds; a row is one image at one time.

    There are four of each kind, but only one of "other", to compare with the first singular vector.

    Args:
        seed: of the image and of random directions.
        model: as in `Setting`, like data, t, steps and device.
        data: of the images.
        t: time of the edit.
        steps: of DDIM.
        kinds: words of `KINDS`, in an order in which "matched" comes after "own" and "smooth".
        weights: tells networks of one name apart in a store.
        device: to compute on.

    Returns:
        "error", mean squared difference of the image and what comes back without an edit;
        "error_of_noise", the same from noise in place of the inverted image. For each kind, with
        its name and "_" in front, lists over its directions: "gain", change of the finished
        image for a unit step; but for "white" and "other" also "moved", whether an attribute moves;
        "effect" and "steady", (4, 10), how far each attribute moves and whether it does; "r2",
        linearity; "loose", whether any attribute is off by one standard deviation at the largest
        steps; "kept" and "odds", share of these that keep the class, and change of its log-odds,
        where there is a classifier.

    Raises:
        ValueError: where a kind is none of these.
    """
    setting = Setting(model, data, t, steps, device)
    x0 = editing_setting.picture(setting, seed)
    gamma = setting.network.schedule.gamma(t)
    noise = draws.normal(x0.shape, generator=draws.source(_NOISE, seed)) * gamma
    base = _unedited(setting, seed)
    row: dict[str, Any] = {"error": (base - x0).square().mean().item()}
    unrelated = editing_setting.finish(setting, noise.float())
    row["error_of_noise"] = (unrelated - x0).square().mean().item()
    for kind in kinds.split():
        checks.one_of("kinds", kind, KINDS)
        outcomes = _outcomes(setting, kind, seed, row)
        row |= {f"{kind}_{name}": np.asarray(value).tolist() for name, value in outcomes.items()}
    return row


def _outcomes(setting: Setting, kind: str, seed: int, row: Mapping[str, Any]) -> dict[str, Any]:
    """What steps along directions of a kind do to the finished image, to attributes and class."""
    base = _unedited(setting, seed)
    if kind == "own":
        return _of_lines(setting, base, _own_lines(setting, seed))
    V = _directions(setting, kind, seed, row)
    if kind in ("white", "other"):
        return {"gain": _gain(base, _edits(setting, seed, V, UNIT))}
    return _of_lines(setting, base, _lines(setting, seed, V))


def _directions(setting: Setting, kind: str, seed: int, row: Mapping[str, Any]) -> Tensor:
    if kind == "other":
        return editing_setting.candidates(setting, kind, seed)[:1]
    if kind != "matched":
        return editing_setting.candidates(setting, kind, seed)
    # lengthened to the effect of the singular vectors
    smooth = editing_setting.candidates(setting, "smooth", seed)
    longer = smooth.new_tensor(row["own_gain"]) / smooth.new_tensor(row["smooth_gain"])
    return smooth * longer.reshape(-1, 1, 1, 1)


@functools.lru_cache(maxsize=_KEPT)
def _unedited(setting: Setting, seed: int) -> Tensor:
    """What comes back of an image without an edit, (1, C, H, W)."""
    return editing_setting.finish(setting, editing_setting.start(setting, seed)[0])


def _edits(setting: Setting, seed: int, V: Tensor, lengths: Tensor) -> Tensor:
    """Finished images at some lengths along directions (m, C, H, W), (m, lengths, C, H, W)."""
    shifts = (V[:, None] * lengths.reshape(1, -1, 1, 1, 1)).flatten(0, 1)
    x_t = editing_setting.start(setting, seed)[0]
    return editing_setting.edit(setting, x_t, shifts)[0].unflatten(0, (len(V), -1))


def _lines(setting: Setting, seed: int, V: Tensor) -> Tensor:
    """Finished images at all lengths of `ALPHAS`, (m, alphas, C, H, W)."""
    base = _unedited(setting, seed)
    unedited = base.expand(len(V), 1, *base.shape[1:])
    back, forth = _edits(setting, seed, V, ALPHAS[ALPHAS != 0]).chunk(2, 1)
    return torch.cat([back, unedited, forth], 1)


@functools.lru_cache(maxsize=_KEPT)
def _own_lines(setting: Setting, seed: int) -> Tensor:
    """Those along the image's own directions, which figures show as well."""
    return _lines(setting, seed, editing_setting.start(setting, seed)[1])


def _gain(base: Tensor, edited: Tensor) -> Tensor:
    """Size of the change of the finished image for a unit step, of edits (m, 2, C, H, W)."""
    return torch.linalg.vector_norm((edited - base).flatten(2), dim=-1).mean(1)


def _of_lines(setting: Setting, base: Tensor, lines: Tensor) -> dict[str, Any]:
    """Outcomes of edits at all lengths of `ALPHAS`."""
    classifier, _ = editing_setting.observer(setting)
    outcomes = {"gain": _gain(base, lines[:, ALPHAS.abs() == 1])}
    outcomes |= _of_attributes(setting, lines)
    outcomes["r2"] = editing.linearity((lines - base).flatten(2), ALPHAS)
    if classifier is not None:
        ends = lines[:, [len(ALPHAS) // 2, 0, -1]]
        outcomes |= _of_class(classifier(ends.flatten(0, 1)).unflatten(0, (-1, 3)))
    return outcomes


def _of_attributes(setting: Setting, edited: Tensor) -> dict[str, Any]:
    """Movements of attributes over images (m, alphas, C, H, W)."""
    spread = editing_setting.observer(setting)[1]
    measured = attributes.measure(edited.flatten(0, 1).clamp(-1, 1))
    table = {name: values.reshape(len(edited), -1) for name, values in measured.items()}
    moves = attributes.movement(ALPHAS, table, spread)
    middle = len(ALPHAS) // 2
    off = [
        (values[:, [0, -1]] - values[:, middle : middle + 1]).abs() / spread[name]
        for name, values in table.items()
    ]
    loose = (torch.stack(off).amax((0, 2)) >= 1).double()
    return {"moved": moves.any, "effect": moves.effect, "steady": moves.moved, "loose": loose}


def _of_class(logits: Tensor) -> dict[str, Tensor]:
    """Class kept and its log-odds, from logits (m, 3, classes): unedited, at both ends."""
    classes = logits.argmax(-1)
    odds = attributes.log_odds(logits)[..., classes[0, 0]].double()
    return {
        "kept": (classes[:, 1:] == classes[:, :1]).double().mean(1),
        "odds": (odds[:, 1:] - odds[:, :1]).mean(1),
    }


def trials(
    setting: Setting,
    seeds: Sequence[int],
    kinds: str,
    *,
    store: str | None = None,
    profile: str = "quick",
) -> pd.DataFrame:
    """A row of `trial` for each image, kept between runs in the paper profile.

    Args:
        setting: network, images, time and steps.
        seeds: of the images.
        kinds: as in `trial`.
        store: name of the store.
        profile: "quick" or "paper".
    """
    weights = editing_setting.weight_sum(setting.network)
    cell = vars(setting) | {"kinds": kinds, "weights": weights}
    kept = None if store is None else sweeps.kept(store, profile)
    return sweeps.run(trial, [cell], seeds=seeds, store=kept).sort_values("seed")


# reading the table


def column(table: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """A column as an array (images, directions, ...), of the images where it was measured."""
    return np.array(table[name].dropna().tolist(), dtype=float)


def furthest(table: pd.DataFrame, count: int) -> pd.DataFrame:
    """The largest steady movement of any attribute, then of another on another image, and so on.

    One row is one such case. Movements that are not steady come last.

    Args:
        table: of `trials` with "own" directions.
        count: cases, at most as many as images and as attributes.

    Returns:
        Columns attribute, seed, direction (from 0), and effect, in standard deviations.
    """
    effect = column(table, "own_effect")  # (images, directions, attributes)
    size = np.abs(effect) * (column(table, "own_steady") + 1e-6)
    rows = []
    for _ in range(min(count, len(table), effect.shape[-1])):
        image, direction, attribute = np.unravel_index(size.argmax(), size.shape)
        rows.append(
            {
                "attribute": attributes.NAMES[attribute],
                "seed": int(table["seed"].iloc[image]),
                "direction": int(direction),
                "effect": float(effect[image, direction, attribute]),
            }
        )
        size[image] = 0
        size[:, :, attribute] = 0
    return pd.DataFrame(rows)


def strip(setting: Setting, seed: int, direction: int, lengths: Sequence[float]) -> Tensor:
    """Edits of one image along one of its own directions, (lengths, C, H, W).

    Args:
        setting: network, images, time and steps.
        seed: of the image.
        direction: from 0 to 3.
        lengths: of the steps, out of `ALPHAS`.

    Raises:
        ValueError: where a length is none of these.
    """
    allowed = tuple(ALPHAS.tolist())
    for length in lengths:
        checks.one_of("lengths", length, allowed)
    places = [allowed.index(length) for length in lengths]
    return _own_lines(setting, seed)[direction, places]


def outcome_means(table: pd.DataFrame, kinds: Sequence[str]) -> pd.DataFrame:
    """Means over directions, with intervals over images.

    One row is one kind of direction and one outcome of `OUTCOMES` that was measured.

    Args:
        table: of `trials`.
        kinds: to be looked for.

    Returns:
        Columns kind, outcome, and the fields of `molrg.stats.Summary`.
    """
    rows = []
    for kind in kinds:
        for outcome in OUTCOMES:
            if f"{kind}_{outcome}" in table:
                summary = Summary.of(column(table, f"{kind}_{outcome}").mean(1))
                rows.append({"kind": kind, "outcome": outcome} | vars(summary))
    return pd.DataFrame(rows)


def shares_by_attribute(
    table: pd.DataFrame, kinds: Sequence[str] = ("own", "smooth")
) -> pd.DataFrame:
    """Share of directions that move each attribute.

    One row is one attribute, one column per kind of direction.

    Args:
        table: of `trials`.
        kinds: that were measured.
    """
    shares = {kind: column(table, f"{kind}_steady").mean((0, 1)) for kind in kinds}
    return pd.DataFrame(shares, index=list(attributes.NAMES))


def summarise(table: pd.DataFrame, others: Mapping[float, pd.DataFrame]) -> dict[str, Any]:
    """What is kept of `trials` beside a record, as JSON has it.

    Args:
        table: of `trials`.
        others: tables of `trials` by the time of the edit.

    Returns:
        "gains" and "kinds": summaries over images of means over directions, by kind, and by kind
        and outcome; "chosen": {attribute: (seed, direction, effect)} of the `furthest`; "first":
        the gain of the first singular vector; "times": summaries at other times, by "kind_outcome";
        "by_name": of `shares_by_attribute`; "over_matched": by how much singular vectors move
        attributes more often than smooth directions of equal effect, where these were measured.
    """
    kinds = [k for k in ("own", "principal", "drawn", "smooth", "matched") if f"{k}_r2" in table]
    gains = {kind: Summary.of(column(table, f"{kind}_gain").mean(1)) for kind in (*kinds, "white")}
    means = {kind: rows.set_index("outcome") for kind, rows in _by_kind(table, kinds)}
    summary: dict[str, Any] = {
        "gains": {kind: vars(gain) for kind, gain in gains.items()},
        "kinds": {kind: rows.to_dict("index") for kind, rows in means.items()},
        "chosen": {
            row.attribute: (row.seed, row.direction, row.effect)
            for row in furthest(table, 6).itertuples()
        },
        "first": vars(Summary.of(column(table, "own_gain")[:, 0])),
        "times": {f"{t:g}": _flat_means(rows) for t, rows in sorted(others.items())},
        "by_name": shares_by_attribute(table).to_dict("list"),
    }
    if "matched" in kinds:
        lead = column(table, "own_moved").mean(1) - column(table, "matched_moved").mean(1)
        summary["over_matched"] = vars(Summary.of(lead))
    return summary


def _by_kind(table: pd.DataFrame, kinds: Sequence[str]) -> list[tuple[str, pd.DataFrame]]:
    means = outcome_means(table, kinds)
    return [(kind, means[means["kind"] == kind].drop(columns="kind")) for kind in kinds]


def _flat_means(table: pd.DataFrame) -> dict[str, Any]:
    means = outcome_means(table, ("own", "smooth"))
    names = means["kind"] + "_" + means["outcome"]
    rows = means.drop(columns=["kind", "outcome"]).to_dict("records")
    return dict(zip(names, rows, strict=True))
