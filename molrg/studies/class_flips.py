r"""Class flips of images: what survives noise and random denoising, by class and by layer.

A classifier looks at the original and at the result. Each of its layers gives a similarity, its
verdict gives a class; pixels are layer 0. All survival is on the scale of `forward_backward`, from
1, identical, to 0, unrelated test images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import normalize

from molrg import checks, images, zoo
from molrg.denoisers import Denoiser
from molrg.stats import fit_transition
from molrg.studies import forward_backward
from molrg.studies.forward_backward import chance_corrected, directions
from molrg.zoo.classifiers import Classifier

LAYERS = ("pixels", "1", "2", "3", "4", "5", "6", "features", "logits")
CLASSES = 10


def _brightness(x: Tensor) -> Tensor:
    return x.mean((1, 2, 3))


def _left_or_right(x: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    return (x[..., :half] - x[..., half:]).mean((1, 2, 3))


ATTRIBUTES: dict[str, Callable[[Tensor], Tensor]] = {
    "brightness": _brightness,
    "left or right": _left_or_right,
}


@dataclass(frozen=True)
class Observer:
    """A denoiser of one set of images, its classifier, and what unrelated test images show them.

    Source: ours.
    """

    denoiser: Denoiser
    classifier: Classifier
    x: Tensor  # test images (N, C, H, W)
    labels: Tensor  # (N,)
    centres: list[Tensor]  # mean of every layer, (*event)
    typical: list[
        list[Tensor]
    ]  # by half of the images and by layer: class means (10, n), unit rows
    chance: list[float]  # by layer: similarity of unrelated images
    class_chance: float  # agreement of unrelated images in their class
    medians: dict[str, float]  # by attribute

    @classmethod
    @torch.no_grad()
    def of(cls, denoiser: Denoiser, classifier: Classifier, x: Tensor, labels: Tensor) -> Observer:
        """Look at the test images once.

        Args:
            denoiser: of such images.
            classifier: of such images, with ten classes.
            x: test images (N, C, H, W), some of each class.
            labels: (N,).
        """
        layers = [x, *classifier.layers(x)]
        centres = [layer.mean(0) for layer in layers]
        classes = layers[-1].argmax(1)
        pairs = list(zip(layers, centres, strict=True))
        unit = [normalize((layer - centre).flatten(1), dim=1) for layer, centre in pairs]
        return cls(
            denoiser=denoiser,
            classifier=classifier,
            x=x,
            labels=labels,
            centres=centres,
            typical=[[_class_means(u, classes, part) for u in unit] for part in (0, 1)],
            chance=[
                forward_backward.mean_pairwise_similarity(layer, centre=centre)
                for layer, centre in pairs
            ],
            class_chance=forward_backward.pairwise_agreement(classes),
            medians={name: float(value(x).median()) for name, value in ATTRIBUTES.items()},
        )

    @torch.no_grad()
    def look(self, x: Tensor) -> Seen:
        """Look at images (B, C, H, W)."""
        layers = [x, *self.classifier.layers(x)]
        return Seen(
            classes=layers[-1].argmax(1),
            attributes={name: value(x) > self.medians[name] for name, value in ATTRIBUTES.items()},
            directions=self._directions(layers),
        )

    def typical_directions(self, half: int) -> list[Tensor]:
        """By layer, unit rows: the mean directions of the classes over a half of the images."""
        pairs = zip(self.typical[half], self.centres, strict=True)
        return self._directions([mean.reshape(-1, *c.shape) + c for mean, c in pairs])

    def _directions(self, layers: Sequence[Tensor]) -> list[Tensor]:
        pairs = zip(layers, self.centres, strict=True)
        return [directions(layer, centre=centre) for layer, centre in pairs]

    def originals(self, seed: int) -> Tensor:
        """One test image of each class, (10, C, H, W)."""
        rows = [(self.labels == k).nonzero()[:, 0] for k in range(CLASSES)]
        return self.x[[int(row[seed % len(row)]) for row in rows]]


@dataclass(frozen=True)
class Seen:
    """What an observer sees of B images."""

    classes: Tensor  # (B,)
    attributes: dict[str, Tensor]  # whether each is above its median, (B,)
    directions: list[Tensor]  # by layer: centred, unit rows (B, n)


def _class_means(unit: Tensor, classes: Tensor, part: int) -> Tensor:
    """Mean direction of each class over every other of its images, from the first or the second."""
    return torch.stack([unit[classes == k][part::2].mean(0) for k in range(CLASSES)])


def load(name: str) -> Observer:
    """The shipped denoiser, classifier and test images of a set, such as "mnist"."""
    x, labels = images.load(f"{name}-slice", "test")
    denoiser = cast(Denoiser, zoo.load(name))
    classifier = cast(Classifier, zoo.load(f"{name}-classifier"))
    return Observer.of(denoiser, classifier, x, labels)


def outcomes(
    observer: Observer, times: Sequence[float], seeds: Sequence[int], *, draws: int, steps: int
) -> pd.DataFrame:
    """What of ten images is left after forward and backward, draw by draw.

    One row is one draw of one image, noised up to one time, for one seed, which picks an image of
    each class. The times of a seed are drawn one after the other from one source.

    Args:
        observer: of a set of images.
        times: in (0, 1].
        seeds: of the images and the noise.
        draws: of each image, >= 1.
        steps: of the grid of `forward_backward.run`.

    Returns:
        Columns seed, t, image (0 ... 9, its class), draw; "class", whether the classifier gives the
        class that it gave the original, and "class of another", that of the next image; for each
        attribute whether it is on the same side of the median; for each layer the similarity to
        the original, and to other images of the original's class, "others 0" and "others 1" of
        either half of them.

    Raises:
        ValueError: where a number is out of range.
    """
    draws = checks.count("draws", draws)
    tables = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        x0 = observer.originals(seed).repeat_interleave(draws, 0)
        old = observer.look(x0)
        for t in times:
            x = forward_backward.run(observer.denoiser, x0, t, steps=steps, generator=generator)
            columns = _compare(observer, old, observer.look(x.clamp(-1, 1)), draws)
            about = {"seed": seed, "t": t, "image": np.arange(len(x0)) // draws}
            about["draw"] = np.arange(len(x0)) % draws
            tables.append(pd.DataFrame(about | columns))
    return pd.concat(tables, ignore_index=True)


def _compare(observer: Observer, old: Seen, new: Seen, draws: int) -> dict[str, np.ndarray]:
    before, after = old.classes, new.classes
    columns = {"class": before == after, "class of another": before.roll(draws) == after}
    for name in ATTRIBUTES:
        columns[name] = old.attributes[name] == new.attributes[name]
    for layer, a, b in zip(LAYERS, old.directions, new.directions, strict=True):
        columns[layer] = (a * b).sum(-1)
    for half, means in enumerate(observer.typical):
        typical = zip(LAYERS, new.directions, observer.typical_directions(half), means, strict=True)
        for layer, b, unit, mean in typical:
            cosine = (b * unit[before]).sum(-1)
            columns[f"{layer}, others {half}"] = cosine * mean.norm(dim=1)[before]
    return {name: column.double().cpu().numpy() for name, column in columns.items()}


def survival(table: pd.DataFrame, observer: Observer) -> pd.DataFrame:
    """Survival of class, layers and attributes, averaged over the images and draws of a seed.

    One row is one time for one seed.

    Args:
        table: of `outcomes`.
        observer: that made it.

    Returns:
        Columns seed, t, and one for each quantity: "class", "class of another", each of `LAYERS`,
        and each of `ATTRIBUTES`, on the scale from 1 to 0.
    """
    names = ["class", "class of another", *LAYERS, *ATTRIBUTES]
    means = table.groupby(["seed", "t"])[names].mean()
    chance = dict.fromkeys(("class", "class of another"), observer.class_chance)
    chance |= dict(zip(LAYERS, observer.chance, strict=True))
    chance |= dict.fromkeys(ATTRIBUTES, 0.5)
    corrected = {name: chance_corrected(means[name], chance[name]) for name in names}
    return pd.DataFrame(corrected, index=means.index).reset_index()


def class_transitions(table: pd.DataFrame) -> pd.DataFrame:
    """Where every class is lost, all seeds together.

    One row is one class whose curve passes one half within the times.

    Args:
        table: of `outcomes`.

    Returns:
        Columns image, place, width, in t.
    """
    rows = []
    for image, curve in table.groupby("image"):
        kept = curve.groupby("t")["class"].mean()
        score = chance_corrected(kept, 1 / CLASSES)
        fit = fit_transition(kept.index, score, falls=True, log2=False, draws=1)
        if fit.found:
            rows.append({"image": image, "place": fit.centre, "width": -fit.width})
    return pd.DataFrame(rows, columns=["image", "place", "width"])


def inherited_parts(table: pd.DataFrame, t: float) -> pd.DataFrame:
    """Of results of another class, how much more they resemble their original than its class.

    One row is one layer for one seed.

    Args:
        table: of `outcomes`.
        t: one of its times.

    Returns:
        Columns seed, layer; "own", similarity to the own original less that to other images of its
        class; "control", the same with half of those others in place of the original.

    Raises:
        ValueError: where the time is not in the table.
    """
    checks.one_of("t", t, tuple(table["t"].unique()))
    lost = table[(table["t"] == t) & (table["class"] == 0)]
    tables = []
    for layer in LAYERS:
        first, second = lost[f"{layer}, others 0"], lost[f"{layer}, others 1"]
        gaps = {"own": lost[layer] - (first + second) / 2, "control": first - second}
        means = pd.DataFrame(gaps).groupby(lost["seed"]).mean().reset_index()
        tables.append(means.assign(layer=layer))
    return pd.concat(tables, ignore_index=True)


@torch.no_grad()
def examples(
    observer: Observer, times: Sequence[float], *, seed: int, steps: int
) -> tuple[Tensor, Tensor]:
    """Every third of the ten originals of a seed and what noise makes of it, to look at.

    Args:
        observer: of a set of images.
        times: in (0, 1].
        seed: of the images and the noise.
        steps: as in `outcomes`.

    Returns:
        Images (4, 1 + times, C, H, W), the original first, and whether the classifier sees another
        class than in the original, (4, 1 + times).
    """
    generator = torch.Generator().manual_seed(seed)
    x0 = observer.originals(seed)[::3]
    row = [x0]
    for t in times:
        row.append(forward_backward.run(observer.denoiser, x0, t, steps=steps, generator=generator))
    pictures = torch.stack(row, 1).clamp(-1, 1)
    classes = observer.classifier(pictures.flatten(0, 1)).argmax(1).unflatten(0, (len(x0), -1))
    return pictures, classes != classes[:, :1]
