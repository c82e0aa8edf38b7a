r"""Rendered images: scenes whose intrinsic dimension and number of pixels are set independently.

A scene is a few soft-edged ellipses on a dark ground. Its factors z are the positions, turns, sizes
and brightnesses that are free to vary, d of them in [-1, 1]; f(z) is the picture, an analytic
function of z.
With f_0 = f(0) and J the derivative there,

.. math:: x_c(z) = f_0 + \frac{f(cz) - f_0}{c}, \qquad x_0(z) = f_0 + Jz,

so that c, the `curvature`, bends the set and leaves its tangent space at the base scene as it is:
an exact linear piece at 0, pictures in the usual sense at 1, objects that wander over one another
at 3.

The picture is drawn on a fine grid and averaged over pixels. Sizes that divide `FINE` share that
grid: one scene at two such sizes is the same scene, and block averages of the larger image are the
smaller.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from molrg import checks, draws

# What half a range of each factor does at curvature 1; positions in cells of the layout. The
# numbers make all kinds change the picture by about as much.
RANGES = {"x": 0.2, "y": 0.2, "angle": 0.5, "size": 0.25, "brightness": 0.9, "aspect": 0.3}
KINDS = tuple(RANGES)
FINE = 32  # samples along a side, at least; a pixel is the average of those in it
EDGE = 1.5  # steepness of the edges; lower is softer
APART = 0.01  # weakest over strongest direction of the tangent space, at least


class Scenes:
    """A family of scenes with d free factors: its images form one piece of a d-dimensional surface.

    Objects lie on a square layout. The factors of the first object come first, in the order of
    `kinds`.

    Source: ours.

    Args:
        d: number of free factors, at most objects * len(kinds).
        size: pixels along a side, >= 2.
        objects: ellipses in the picture, whether they move or not.
        kinds: which factors an object has, of `KINDS`.
        curvature: c in [0, 3]; 0 is the exactly linear family.
        scene: seed of the base scene (places, turns, brightnesses).

    Attributes:
        names: what each factor is, such as "x of object 0".
        base: the base scene f_0, (1, size, size), float64.

    Raises:
        ValueError: where an argument is out of range, d is more than the objects have, or the
            pixels are too few to tell the factors apart.
    """

    def __init__(
        self,
        d: int,
        size: int = 16,
        *,
        objects: int = 4,
        kinds: Sequence[str] = KINDS,
        curvature: float = 1.0,
        scene: int = 0,
    ) -> None:
        self.size = checks.count("size", size, 2)
        self.objects = checks.count("objects", objects)
        self.kinds = tuple(checks.one_of("kinds", kind, KINDS) for kind in kinds)
        if not 0 < len(set(self.kinds)) == len(self.kinds):
            raise ValueError(f"kinds = {self.kinds}: allowed is one kind or more, each once")
        self.d = checks.count("d", d)
        most = self.objects * len(self.kinds)
        if self.d > most:
            allowed = f"at most {most} = {objects} objects of {len(self.kinds)} factors"
            raise ValueError(f"d = {d}: allowed is {allowed}")
        self.curvature = checks.real("curvature", curvature, 0.0, 3.0)
        names = [f"{kind} of object {k}" for k in range(self.objects) for kind in self.kinds]
        self.names = names[: self.d]
        self._lay_out(torch.Generator().manual_seed(checks.count("scene", scene, 0)))
        rest = torch.zeros(self.d, dtype=torch.float64, device="cpu")
        self.base = self._picture(rest[None])[0]
        self._slopes = torch.func.jacfwd(lambda z: self._picture(z[None])[0])(rest)
        spectrum = torch.linalg.svdvals(self._slopes.flatten(0, -2))
        if len(spectrum) < self.d or float(spectrum[-1] / spectrum[0]) <= APART:
            raise ValueError(
                f"size = {size}: allowed is more pixels than {size}x{size} to tell {d} factors of "
                f"{objects} objects apart, or fewer factors"
            )

    def bent(self, curvature: float) -> Scenes:
        """The same scenes at another curvature: the base and its tangent space are kept.

        Args:
            curvature: c in [0, 3].

        Raises:
            ValueError: where the curvature is out of range.
        """
        other = copy.copy(self)
        other.curvature = checks.real("curvature", curvature, 0.0, 3.0)
        return other

    def sample(
        self, N: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32
    ) -> tuple[Tensor, Tensor]:
        """Draw scenes with independent factors, uniform on [-1, 1].

        Args:
            N: number of images, >= 1.
            generator: source of the factors; the same factors come out at every size.
            dtype: of what is returned.

        Returns:
            images (N, 1, size, size) and factors (N, d).

        Raises:
            ValueError: where N < 1.
        """
        shape = (checks.count("N", N), self.d)
        uniform = draws.uniform(shape, generator=generator, dtype=torch.float64)
        factors = 2 * uniform.to(dtype) - 1
        return self.render(factors), factors

    def render(self, factors: Tensor) -> Tensor:
        """Images (B, 1, size, size) of given factors (B, d), in their dtype.

        Pixels lie in [-1, 1] at curvature 1, and may lie a little outside below it.

        Raises:
            ValueError: where the factors are not a finite (B, d).
        """
        z = self._checked(factors)
        base = self.base.to(z)
        if self.curvature == 0:
            return base + torch.einsum("chwd,bd->bchw", self._slopes.to(z), z)
        blocks = [
            base + (self._picture(self.curvature * block) - base) / self.curvature
            for block in z.split(256)
        ]
        return torch.cat(blocks)

    def tangents(self, factors: Tensor) -> Tensor:
        """Derivatives of the image in each factor, (B, d, 1, size, size), at factors (B, d).

        Raises:
            ValueError: as `render`.
        """
        z = self._checked(factors)
        if self.curvature == 0:
            return self._slopes.to(z).movedim(-1, 0).expand(len(z), -1, -1, -1, -1)
        jacobian = torch.func.vmap(
            torch.func.jacfwd(lambda one: self._picture(one[None])[0]), chunk_size=16
        )
        return jacobian(self.curvature * z).movedim(-1, 1)

    def _checked(self, factors: Tensor) -> Tensor:
        shape = tuple(checks.finite("factors", factors).shape)
        if factors.dim() != 2 or shape[1] != self.d:
            raise ValueError(f"factors.shape = {shape}: allowed is (B, {self.d})")
        return factors

    def _lay_out(self, generator: torch.Generator) -> None:
        """The base scene: a value for each object and kind, and the grid of samples."""
        side = math.ceil(math.sqrt(self.objects))
        self._cell = 1 / side
        place = torch.arange(self.objects, device="cpu")
        u = draws.uniform((4, self.objects), generator=generator, dtype=torch.float64) - 0.5
        rows = (self.objects + side - 1) // side
        self._values = {
            "x": (place % side + 0.5 + 0.2 * u[0]) / side,
            "y": (place // side + 0.5 + 0.2 * u[1] + (side - rows) / 2) / side,
            "angle": math.pi * u[2],
            "size": torch.full_like(u[0], math.log(0.33)),
            "brightness": 0.8 + 1.2 * u[3],
            "aspect": torch.full_like(u[0], 0.3),
        }
        self._every = math.ceil(FINE / self.size)  # samples along the side of a pixel
        samples = self.size * self._every
        self._grid = (torch.arange(samples, dtype=torch.float64, device="cpu") + 0.5) / samples

    def _picture(self, z: Tensor) -> Tensor:
        """The picture f(z), (B, 1, size, size): ellipses over one another, averaged over pixels."""
        place = self.objects * len(self.kinds)
        moves = torch.nn.functional.pad(z, (0, place - self.d)).reshape(
            -1, self.objects, len(self.kinds)
        )
        value = {kind: base.to(z)[None] for kind, base in self._values.items()}
        for k, kind in enumerate(self.kinds):
            reach = RANGES[kind] * (self._cell if kind in "xy" else 1.0)
            value[kind] = value[kind] + reach * moves[..., k]
        along = self._grid.to(z)
        up = along[:, None]
        canvas = z.new_zeros(1, 1, 1)
        for k in range(self.objects):
            x, y, angle, size, light, aspect = (
                value[kind][:, k, None, None].expand(len(z), 1, 1) for kind in KINDS
            )
            cos = angle.cos()
            sin = angle.sin()
            a, b = (self._cell * (size + sign * aspect).exp() for sign in (1, -1))
            # (u/a)^2 + (v/b)^2 in turned coordinates, as a quadratic form: one product on the grid
            dx = along - x
            dy = up - y
            xx = (cos / a).square() + (sin / b).square()
            yy = (sin / a).square() + (cos / b).square()
            xy = 2 * EDGE * cos * sin * (a**-2 - b**-2)
            inside = EDGE * (1 - xx * dx.square()) - EDGE * yy * dy.square() - xy * dx * dy
            canvas = torch.lerp(canvas, light.sigmoid(), torch.sigmoid(inside))
        return 2 * torch.nn.functional.avg_pool2d(canvas[:, None], self._every) - 1


class Pieces:
    """A union of families of scenes: several surfaces in the space of images, each with a label.

    Source: ours.

    Args:
        families: one or more `Scenes` of one size.

    Attributes:
        dims: dimension of each piece.

    Raises:
        ValueError: where there is no family or their sizes differ.
    """

    def __init__(self, families: Sequence[Scenes]) -> None:
        sizes = sorted({family.size for family in families})
        if len(sizes) != 1:
            allowed = "one size, of one family or more"
            raise ValueError(f"sizes of families = {sizes}: allowed is {allowed}")
        self.families = list(families)
        self.size = sizes[0]
        self.dims = [family.d for family in families]

    def sample(
        self,
        N: int | Sequence[int],
        generator: torch.Generator,
        *,
        dtype: torch.dtype = torch.float32,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Draw scenes, sorted by family where the counts are given.

        Args:
            N: number of images, from families at random with equal chances; or one count for each.
            generator: source of labels and factors.
            dtype: of images and factors.

        Returns:
            images (N, 1, size, size), factors (N, largest d) with NaN where a family has fewer, and
            labels (N,).

        Raises:
            ValueError: where a count is below one, or there is not one count for each family.
        """
        labels = self._labels(N, generator)
        images = torch.empty(len(labels), 1, self.size, self.size, dtype=dtype, device="cpu")
        shape = (len(labels), max(self.dims))
        factors = torch.full(shape, math.nan, dtype=dtype, device="cpu")
        for k, family in enumerate(self.families):
            rows = labels == k
            if rows.any():
                images[rows], factors[rows, : family.d] = family.sample(
                    int(rows.sum()), generator, dtype=dtype
                )
        return images, factors, labels

    def _labels(self, N: int | Sequence[int], generator: torch.Generator) -> Tensor:
        K = len(self.families)
        if not isinstance(N, Sequence):
            size = (checks.count("N", N),)
            return torch.randint(K, size, generator=generator, device="cpu")
        if len(N) != K:
            raise ValueError(f"len(N) = {len(N)}: allowed is {K}, one count for each family")
        counts = [checks.count(f"N[{k}]", count) for k, count in enumerate(N)]
        return torch.arange(K, device="cpu").repeat_interleave(torch.tensor(counts, device="cpu"))
