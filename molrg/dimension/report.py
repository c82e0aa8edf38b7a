"""What the dimension of a reader's own data is, and what the number of points allows one to say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from molrg import checks
from molrg.dimension.estimators import Estimate, NeighbourTable, estimate, method_name
from molrg.dimension.gaussians import flat_dimension, gaussian_twin
from molrg.dimension.neighbours import numbers

if TYPE_CHECKING:
    import pandas as pd

CALIBRATED_AT = 4000  # points of the calibration in `describe`, at most
_NAMED = 8  # things left out that a sentence names


def describe(
    x: Tensor | np.ndarray,
    labels: Tensor | np.ndarray | Sequence[Any] | None = None,
    *,
    ks: Sequence[int] = (5, 10, 20),
    generator: torch.Generator | None = None,
) -> Report:
    """Describe the dimension of a reader's own array: every method, and what N says about it.

    Source: ours.

    Args:
        x: points (N, ...), flattened to (N, n).
        labels: class of each point (N,), numbers or names, for a line per class. A class with fewer
            than 4 max(ks) different points cannot be measured; the report says so.
        ks: numbers of neighbours for the maximum-likelihood estimate.
        generator: source of the halvings and of the calibration; None is a generator with seed 0.

    Returns:
        A report that prints itself. It holds the same reading of the data's Gaussian twin, too.

    Raises:
        ValueError: as :func:`molrg.dimension.estimate`, for all points together; where labels do
            not have one entry per point, or one is NaN or None.
    """
    generator = generator or torch.Generator().manual_seed(0)
    k = max(checks.count("k", number, 3) for number in ks)
    classes = None if labels is None else _labels(labels, len(x))
    table = NeighbourTable(x, k, generator=generator)
    whole, unmeasured = _by_methods(table, ks)
    measured: dict[Any, Estimate] = {}
    if classes is not None:
        measured, left_out = _by_classes(x, classes, k, generator)
        unmeasured |= left_out
    points = numbers(x)[table.cloud.rows]
    N = min(len(points), CALIBRATED_AT)
    reading = next(e.value for e in whole if e.k == k and e.method == "mle")
    flat = flat_dimension(N, reading, points.shape[1], k, generator)
    twin = gaussian_twin(torch.from_numpy(points), generator=generator)
    return Report(
        N=len(points),
        n=points.shape[1],
        duplicates=table.cloud.duplicates,
        estimates=whole,
        classes=measured,
        unmeasured=unmeasured,
        flat=flat,
        calibrated_at=N,
        twin=estimate(twin, k=k, splits=2, generator=generator).value,
    )


def _labels(labels: Tensor | np.ndarray | Sequence[Any], N: int) -> np.ndarray:
    array = np.asarray(labels.cpu() if isinstance(labels, Tensor) else labels)
    if array.shape != (N,):
        raise ValueError(f"labels.shape = {array.shape}: allowed is ({N},), one label per point")
    import pandas as pd  # noqa: PLC0415 - slow to import

    missing = int(pd.isna(array).sum())
    if missing:
        raise ValueError(f"labels = {missing} NaN or None: allowed is a number or name per point")
    return array


def _by_methods(table: NeighbourTable, ks: Sequence[int]) -> tuple[list[Estimate], dict[str, str]]:
    """Estimates of all points, and why a method gives none; the calibrated one has to give one."""
    estimates = []
    unmeasured = {}
    for method, k in [("mle", k) for k in ks] + [("twonn", 2)]:
        try:
            estimates.append(table.estimate(method, k))
        except ValueError as error:
            if method == "mle" and k == max(ks):
                raise
            unmeasured[method_name(method, k)] = _reason(error)
    return estimates, unmeasured


def _by_classes(
    x: Tensor | np.ndarray, labels: np.ndarray, k: int, generator: torch.Generator
) -> tuple[dict[Any, Estimate], dict[str, str]]:
    """An estimate for each class, and why a class has none."""
    points = x.detach().cpu() if isinstance(x, Tensor) else np.asarray(x)
    estimates = {}
    unmeasured = {}
    for label in np.unique(labels).tolist():
        rows = np.flatnonzero(labels == label)
        try:
            estimates[label] = estimate(points[rows], k=k, generator=generator)
        except ValueError as error:
            unmeasured[_class(label)] = f"{_reason(error)}; points in it: {len(rows)}"
    return estimates, unmeasured


def _class(label: Any) -> str:
    """How a class is called, in one line whatever its name is."""
    return f"class {' '.join(str(label).split())}"


def _reason(error: ValueError) -> str:
    """An error about the points x as a reason."""
    return str(error).removeprefix("x = ").replace(": allowed is", ", and needs")


@dataclass(frozen=True)
class Report:
    """What :func:`describe` measured; prints as text, and as a table in a notebook.

    Attributes:
        N: different points.
        n: coordinates of a point.
        duplicates: exact duplicates that were dropped.
        estimates: of all points, one per method.
        classes: of each class that could be measured, by its label.
        unmeasured: classes and methods without an estimate, and why.
        flat: dimension of the Gaussian that gives the same reading.
        calibrated_at: points of that Gaussian.
        twin: the reading of the Gaussian with the data's mean and covariance.
    """

    N: int
    n: int
    duplicates: int
    estimates: list[Estimate]
    classes: dict[Any, Estimate]
    unmeasured: dict[str, str]
    flat: float
    calibrated_at: int
    twin: float

    @property
    def reference(self) -> Estimate:
        """The maximum-likelihood estimate with most neighbours: the one that is calibrated."""
        return max((e for e in self.estimates if e.method == "mle"), key=lambda e: e.k)

    @property
    def low(self) -> float:
        """The lowest lower end over methods."""
        return min(e.low for e in self.estimates)

    @property
    def high(self) -> float:
        """The highest upper end over methods."""
        return max(e.high for e in self.estimates)

    def table(self) -> pd.DataFrame:
        """One row for each method on all points, then one for each class."""
        import pandas as pd  # noqa: PLC0415 - slow to import

        named = [("all", e) for e in self.estimates]
        named += [(_class(label), e) for label, e in self.classes.items()]
        columns = ["points", "method", "k", "N", "dimension", "low", "high", "N/dimension"]
        rows = [
            (who, e.method, e.k, e.N, e.value, e.low, e.high, e.N / e.value) for who, e in named
        ]
        return pd.DataFrame(rows, columns=columns)

    def statements(self) -> list[str]:
        """Sentences on what the number of points does and does not allow to say."""
        sentences = [self._size(), self._bias(), self._against_twin(), self._samples()]
        sentences += [self._pieces(), self._left_out()]
        sentences.append(
            "Not shown by these numbers: that the set is a manifold, that it has several pieces, "
            "or that its dimension is the same everywhere."
        )
        return [sentence for sentence in sentences if sentence]

    def _size(self) -> str:
        return (
            f"{self.N:,} points in {self.n:,} coordinates ({self.duplicates} exact duplicates "
            f"dropped); all methods together: {self.low:.1f} to {self.high:.1f}, "
            f"{100 * self.high / self.n:.1f} % of the coordinates at most."
        )

    def _bias(self) -> str:
        flat = f"about {self.flat:.0f}" if math.isfinite(self.flat) else "too high to say at this N"
        return (
            f"Bias: a flat Gaussian with this reading (k = {self.reference.k}, "
            f"N = {self.calibrated_at:,}) has dimension {flat}; a curved set can instead read "
            "higher than its dimension. The interval is for the sampling of independent points and "
            "covers neither."
        )

    def _against_twin(self) -> str:
        return (
            "A Gaussian with the same mean and covariance and no other structure reads "
            f"{self.twin:.1f}; the data read {self.reference.value / self.twin:.2f} of that. "
            "Near 1, a steep spectrum is all that has been seen."
        )

    @property
    def _fewest(self) -> float:
        """Samples per dimension where they are fewest, among what was measured."""
        measured = self.classes.values() or [self.reference]
        return min(e.N / e.value for e in measured)

    @property
    def _missing_classes(self) -> bool:
        return any(name.startswith("class ") for name in self.unmeasured)

    def _samples(self) -> str:
        text = (
            f"Samples per dimension: {self.N / self.high:.0f} for the whole at least, "
            f"log2(N/d) = {math.log2(self.N / self.high):.1f}"
        )
        if self.classes:
            among = "measured class" if self._missing_classes else "class"
            text += f"; {self._fewest:.0f} in the {among} that has the fewest"
        return text + "."

    def _pieces(self) -> str:
        verdict = "met: N_k >= d_k" if self._fewest >= 1 else "NOT met: N_k >= d_k"
        if self._missing_classes and self._fewest >= 1:
            verdict = "N_k >= d_k: not known, for some classes could not be measured"
        return (
            f"Linear pieces would be determined ({verdict}), if the data were linear pieces "
            "without noise. Curved pieces, noise and trained networks need more, and how many more "
            "no estimate of dimension tells."
        )

    def _left_out(self) -> str:
        if not self.unmeasured:
            return ""
        named = [f"{name} ({why})" for name, why in list(self.unmeasured.items())[:_NAMED]]
        if len(self.unmeasured) > _NAMED:
            named.append(f"and {len(self.unmeasured) - _NAMED} more")
        return f"Not measured: {'; '.join(named)}."

    def __repr__(self) -> str:
        table = self.table().to_string(index=False, float_format=lambda v: f"{v:.1f}")
        return "\n".join([table, "", *(f"- {line}" for line in self.statements())])

    def _repr_html_(self) -> str:
        table = self.table().to_html(index=False, float_format=lambda v: f"{v:.1f}", border=0)
        items = "".join(f"<li>{escape(line)}</li>" for line in self.statements())
        return f"{table}<ul>{items}</ul>"
