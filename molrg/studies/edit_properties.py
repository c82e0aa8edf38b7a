r"""Four properties that edits are said to have: linear, composable, transferable, local.

Each is measured for a singular vector and for a smooth random direction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from molrg import editing, sweeps
from molrg.studies import editing_setting
from molrg.studies.editing_setting import Setting
from molrg.subspaces import principal_angles

REACH = torch.tensor([0.5, 1.0, 2.0, 4.0], device="cpu")
COLUMNS = (
    *(f"{kind}_{name}" for name in ("r2", "mixing", "alike", "size") for kind in ("own", "smooth")),
    "leak",
    "within",
)
Change = Callable[..., Tensor]


def properties(
    seed: int,
    model: str,
    data: str,
    t: float,
    steps: int,
    weights: float,
    device: str = "cpu",
) -> dict[str, Any]:
    """The four properties of one image's edits; a row is one image.

    Args:
        seed: of the image, and of smooth directions. Transfer is to the next image of its class,
            seed + 10, and to one of another class, seed + 1.
        model: as in `Setting`, like data, t, steps and device.
        data: of the images.
        t: time of the edit.
        steps: of DDIM.
        weights: tells networks of one name apart in a store.
        device: to compute on.

    Returns:
        For "own" and "smooth" directions, with the name and "_" in front: "r2", share of the change
        that is proportional to the step, up to each of `REACH`; "mixing", how far a step along two
        directions is from the sum of the two, at each of `REACH`; "alike" and "size", cosine and
        relative size of the change of another image, of its class and of another. "leak" and
        "within": share of the change outside the left third, and size of the change inside, for a
        direction found with a mask on it, for one with five directions of the rest projected away,
        and for a smooth one cut to the mask.
    """
    setting = Setting(model, data, t, steps, device)
    x_t = torch.cat([editing_setting.noisy(setting, seed + k) for k in (0, 10, 1)])
    base = editing_setting.finish(setting, x_t)

    def change(V: Tensor, lengths: Tensor, which: slice = slice(0, 1)) -> Tensor:
        """Changes of the finished images, (images, directions, lengths, n)."""
        shifts = (V[:, None] * lengths.reshape(1, -1, 1, 1, 1)).flatten(0, 1)
        edited = editing_setting.edit(setting, x_t[which], shifts)
        return (edited - base[which, None]).flatten(2).unflatten(1, (len(V), -1))

    own = editing_setting.start(setting, seed)[1][:2]
    smooth = _smooth(setting, seed)
    row: dict[str, Any] = {}
    for kind, V in {"own": own, "smooth": smooth}.items():
        outcomes = _linear_and_composable(change, V) | _transferred(change, V)
        row |= {f"{kind}_{name}": value for name, value in outcomes.items()}
    return row | _local(setting, change, x_t[:1], smooth[0])


def _smooth(setting: Setting, seed: int) -> Tensor:
    return editing_setting.candidates(setting, "smooth", seed, 2)


def _linear_and_composable(change: Change, V: Tensor) -> dict[str, Any]:
    both_ways = torch.cat([-REACH, REACH])
    line = change(V[:1], both_ways)[0, 0]
    second, both = change(torch.stack([V[1], V[0] + V[1]]), REACH)[0]
    near = [REACH.repeat(2) <= reach for reach in REACH]
    return {
        "mixing": editing.interaction(both, line[len(REACH) :], second),
        "r2": [editing.linearity(line[n], both_ways[n]) for n in near],
    }


def _transferred(change: Change, V: Tensor) -> dict[str, Tensor]:
    """Likeness of the changes of the source and of two other images for a unit step."""
    changes = change(V[:1], REACH[1:2], slice(0, 3))[:, 0, 0]
    size = torch.linalg.vector_norm(changes, dim=1)
    alike = torch.cosine_similarity(changes[:1], changes[1:], dim=1)
    return {"alike": alike, "size": size[1:] / size[0]}


def _local(setting: Setting, change: Change, x_t: Tensor, smooth: Tensor) -> dict[str, Tensor]:
    """Leaks of edits of the left third, and their change inside."""
    mask = torch.zeros_like(smooth)
    mask[..., : smooth.shape[-1] // 3] = 1
    found = [editing_setting.directions(setting, x_t, 1, mask, null)[0] for null in (0, 5)]
    cut = smooth * mask
    V = torch.stack([*found, cut / torch.linalg.vector_norm(cut)])
    changes = change(V, REACH[1:2])[0, :, 0].reshape(-1, *smooth.shape)
    within = torch.linalg.vector_norm((changes * mask).flatten(1), dim=1)
    return {"leak": editing.leak(changes, mask), "within": within}


def table(
    setting: Setting,
    seeds: Sequence[int],
    *,
    store: str | None = None,
    profile: str = "quick",
) -> pd.DataFrame:
    """A row of `properties` for each image, kept between runs in the paper profile.

    Args:
        setting: network, images, time and steps.
        seeds: of the images.
        store: name of the store.
        profile: "quick" or "paper".
    """
    cell = vars(setting) | {"weights": editing_setting.weight_sum(setting.network)}
    kept = None if store is None else sweeps.kept(store, profile)
    return sweeps.run(properties, [cell], seeds=seeds, store=kept)


def shared_directions(
    setting: Setting, twins: tuple[str, str], seeds: Sequence[int]
) -> pd.DataFrame:
    """Whose directions these are: of the image, of its data, or of one training.

    One row is one image; values are mean squared cosines of the principal angles between spans of
    four directions.

    Args:
        setting: whose noisy points are looked at.
        twins: two networks of one recipe but for the seed.
        seeds: of the images, two or more; each is compared with the next.

    Returns:
        Columns seed; "twins", two networks at one image; "two_images", one network at two images;
        "one_gaussian", the first network and the principal directions of the images.
    """
    spans = {}
    for name in twins:
        twin = Setting(name, setting.data, setting.t, setting.steps, setting.device)
        for seed in seeds:
            x_t = editing_setting.start(setting, seed)[0]
            spans[name, seed] = editing_setting.directions(twin, x_t, 4)
    principal = editing.principal(editing_setting.pictures(setting, "train")[0], 4)
    first, second = twins
    rows = []
    for seed, following in zip(seeds, [*seeds[1:], seeds[0]], strict=True):
        own = spans[first, seed]
        rows.append(
            {
                "seed": seed,
                "twins": _affinity(own, spans[second, seed]),
                "two_images": _affinity(own, spans[first, following]),
                "one_gaussian": _affinity(own, principal),
            }
        )
    return pd.DataFrame(rows)


def _affinity(V: Tensor, W: Tensor) -> float:
    angles = principal_angles(V.flatten(1).T, W.flatten(1).T)
    return angles.cos().square().mean().item()
