"""What a report found about references, in a sentence for each section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from molrg.companion.report import lists
from molrg.companion.report.comparing import NETWORK
from molrg.companion.report.laws import knows_the_answers

Part = Mapping[str, Any]
FAR = 0.5  # squared distance from which a reference is not near, that of the mean image being 1


def nearest(rows: Sequence[Part], distances: Sequence[Part]) -> str:
    """The nearest reference, with the noise levels at which it is, and where none is.

    Args:
        rows: "nearest" of `comparing.nearest_reference`.
        distances: likewise.
    """
    far = {
        row["sigma"]: row["distance"]
        for row in distances
        for near in rows
        if near["sigma"] == row["sigma"] and near["reference"] == row["reference"]
        if row["distance"] >= FAR
    }
    levels = [row["sigma"] for row in rows]
    near = [row for row in rows if row["sigma"] not in far]
    tied = [row["sigma"] for row in near if row["tied"]]
    phrases = []
    if tied:
        phrases.append(f"no reference is clearly nearest at {lists.levels(tied, levels)}")
    clear = [row for row in near if not row["tied"]]
    for name in dict.fromkeys(row["reference"] for row in clear):
        where = [row["sigma"] for row in clear if row["reference"] == name]
        phrases.append(f"nearest at {lists.levels(where, levels)}: {name}")
    if far:
        numbers = lists.words([f"{distance:.2f}" for distance in far.values()])
        phrases.append(f"at {lists.levels(list(far), levels)} none is near ({numbers})")
    text = "; ".join(phrases)
    return f"{text[:1].upper()}{text[1:]}."


def errors(rows: Sequence[Part], *, unseen: bool) -> str:
    """At how many noise levels the network is better than references that do not know the answer.

    Args:
        rows: "errors" of `comparing.nearest_reference`.
        unseen: whether the images are no training images.
    """
    levels = list(dict.fromkeys(row["sigma"] for row in rows))
    own = {row["sigma"]: row["error"] for row in rows if row["denoiser"] == NETWORK}
    names = list(dict.fromkeys(row["denoiser"] for row in rows if row["denoiser"] != NETWORK))
    fair = [name for name in names if unseen or not knows_the_answers(name)]
    alike: dict[tuple[float, ...], list[str]] = {}  # references by the levels they are beaten at
    for name in fair:
        beaten = tuple(
            row["sigma"]
            for row in rows
            if row["denoiser"] == name and own[row["sigma"]] < row["error"]
        )
        alike.setdefault(beaten, []).append(_with_article(name))
    phrases: list[str] = []
    for beaten, group in alike.items():
        counted = f"{len(beaten)} of {len(levels)}" + ("" if phrases else " noise levels")
        where = f" ({lists.levels(beaten, levels)})" if beaten else ""
        phrases.append(f"{lists.words(group)} at {counted}{where}")
    kind = "test images" if unseen else "training images"
    text = f"On {kind}: better than {', than '.join(phrases)}." if fair else ""
    if len(fair) < len(names):
        text += " Windows and training images have seen the answers and are not counted."
    return text.strip()


def _with_article(name: str) -> str:
    return name if name.startswith(("one ", "windows")) else f"the {name}"
