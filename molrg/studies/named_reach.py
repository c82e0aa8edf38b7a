r"""How far directions with names go: over noise levels, in length, and on other faces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from molrg import draws, editing
from molrg.images import faces
from molrg.studies import editing_setting, named_directions, named_edits
from molrg.studies.named_edits import HIGH, STEPS, K

_FACE, _SAME, _OTHER = 11, 12, 13  # purposes of random numbers


def over_noise(seed: int, model: str, sigmas: Sequence[float]) -> pd.DataFrame:
    """Shares of the leading singular vectors in spans, over noise levels, two faces of a seed.

    Args:
        seed: of the faces and of what is random.
        model: a network of faces with a pose: its name in the zoo, or a folder.
        sigmas: noise levels.

    Returns:
        the table of `named_directions.shares`.
    """
    pictures, factors = faces.draw(2, pose=True, generator=draws.source(_FACE, seed))
    return named_directions.shares(
        editing_setting.network(model),
        pictures,
        factors,
        sigmas,
        reference=named_edits.reference(),
        k=K,
        seed=seed,
    )


def lengths(seed: int, model: str, alphas: Sequence[float]) -> pd.DataFrame:
    """What edits of one face do as the step grows.

    Args:
        seed: of the face.
        model: as in `over_noise`.
        alphas: lengths of a step, > 0.

    Returns:
        A row per length: "accuracy" of the names, balanced; "purity", the share of the attribute
        that changes most in all change; "flips", attributes with a list of values that change it.
    """
    network = editing_setting.network(model)
    face, _ = faces.draw(1, pose=True, generator=draws.source(_FACE, seed))
    x_t, t = noisy(model, face)
    V = directions(model, x_t)
    rows: list[dict[str, Any]] = []
    for alpha in alphas:
        found = named_edits.outcome(network, x_t, t, alpha * V)
        accuracy = named_directions.balanced_accuracy(found["names"], found["confirmed"])
        means = {name: float(np.mean(found[name])) for name in ("purity", "flips")}
        rows.append({"seed": seed, "alpha": alpha, "accuracy": accuracy} | means)
    return pd.DataFrame(rows)


def transfer(seed: int, model: str, alpha: float) -> pd.DataFrame:
    """Whether a direction does the same to other faces.

    Args:
        seed: of the faces.
        model: as in `over_noise`.
        alpha: length of a step, > 0.

    Returns:
        A row for another face of the same kind, and one of any kind: "agreement", the share of
        edits by the first face's directions that change most what they change at the first face;
        "own", the same for the other face's own directions, in their order.
    """
    network = editing_setting.network(model)
    face, factors = faces.draw(1, pose=True, generator=draws.source(_FACE, seed))
    x_t, t = noisy(model, face)
    V = directions(model, x_t)
    first = named_edits.outcome(network, x_t, t, alpha * V)["confirmed"]
    rows: list[dict[str, Any]] = []
    for to, purpose, kinds in (
        ("same kind", _SAME, [int(factors["kind"].iloc[0])]),
        ("any kind", _OTHER, None),
    ):
        generator = draws.source(purpose, seed)
        other, _ = faces.draw(1, pose=True, kinds=kinds, generator=generator)
        y_t, _ = noisy(model, other)
        moved = named_edits.outcome(network, y_t, t, alpha * V)["confirmed"]
        own = named_edits.outcome(network, y_t, t, alpha * directions(model, y_t))["confirmed"]
        row = {"agreement": agreement(first, moved), "own": agreement(first, own)}
        rows.append({"seed": seed, "to": to} | row)
    return pd.DataFrame(rows)


def agreement(one: Sequence[str], other: Sequence[str]) -> float:
    """Share of places in which two lists of names, of one length, agree."""
    return float(np.mean([a == b for a, b in zip(one, other, strict=True)]))


def noisy(model: str, face: Tensor) -> tuple[Tensor, float]:
    """A face (1, 3, 32, 32) inverted to the noise level of the edits, and its time."""
    network = editing_setting.network(model)
    t = network.schedule.t_of_sigma(HIGH).item()
    return editing.invert(network, face, t, steps=STEPS, corrections=4), t


def directions(model: str, x_t: Tensor) -> Tensor:
    """The leading right singular vectors at a noisy face (1, 3, 32, 32), (K, 3, 32, 32)."""
    network = editing_setting.network(model)
    t = network.schedule.t_of_sigma(HIGH).item()
    return named_directions.leading(network, x_t, t, K)[0].mT.unflatten(1, x_t.shape[1:])


def measured(
    seeds: Sequence[int],
    model: str,
    *,
    alpha: float,
    sigmas: Sequence[float] = (0.1, 0.35, 1.0, 3.0, 8.0),
    alphas: Sequence[float] = (1.5, 3.0, 6.0, 12.0, 24.0),
) -> dict[str, list[dict[str, Any]]]:
    """Means over seeds of `over_noise`, `lengths` and `transfer`, as rows that a record can keep.

    Args:
        seeds: of the faces.
        model: as in `over_noise`.
        alpha: length of a step for `transfer`.
        sigmas: for `over_noise`.
        alphas: for `lengths`.

    Returns:
        {"noise": rows, "lengths": rows, "transfer": rows}.
    """
    tables = {
        "noise": pd.concat(over_noise(s, model, sigmas).drop(columns="face") for s in seeds),
        "lengths": pd.concat(lengths(s, model, alphas) for s in seeds),
        "transfer": pd.concat(transfer(s, model, alpha) for s in seeds),
    }
    by = {"noise": "sigma", "lengths": "alpha", "transfer": "to"}
    kept: dict[str, list[dict[str, Any]]] = {}
    for name, table in tables.items():
        means = table.drop(columns="seed", errors="ignore").groupby(by[name], sort=False).mean()
        rows = means.reset_index().to_dict("records")
        kept[name] = [{str(column): value for column, value in row.items()} for row in rows]
    return kept
