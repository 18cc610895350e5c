"""Layers with fewer cells: the outer ones taken off, neighbours added up."""

from __future__ import annotations

__all__ = ["Regrid", "divisors"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from caloforge.detector.grids import CartesianGrid, Grid, PolarGrid
from caloforge.detector.nearest import NearestGrid
from caloforge.errors import ShowersError

if TYPE_CHECKING:
    from caloforge.detector import Detector, Layer

Real = NDArray[np.float64]


@dataclass(frozen=True)
class Regrid:
    """How the cells of a layer become those of a coarser or smaller one.

    Args:
        crop: Cells that are kept around the middle in x and y; one number: the innermost rings of polar
            grids. None: all.
        factors: How many neighbours are added up: in x and y or in sectors and rings, and how many layers.
    """

    crop: tuple[int, ...] | None = None
    factors: tuple[int, int, int] = (1, 1, 1)

    @property
    def adds(self) -> bool:
        """Whether cells or layers are added up."""
        return self.factors != (1, 1, 1)

    @property
    def changes_cells(self) -> bool:
        """Whether the cells of a layer are taken off or added up."""
        return self.crop is not None or self.factors[:2] != (1, 1)

    def check(self, layers: Sequence[Layer]) -> None:
        """See that every layer can be cut so.

        Raises:
            ShowersError: A layer cannot, with what would do; or no layer would change.
        """
        for layer in layers if self.changes_cells else ():
            if isinstance(layer.grid, NearestGrid):
                raise ShowersError(
                    "only cartesian and polar grids are cropped or rebinned",
                    where=f"layer {layer.name}",
                    got=f"a {layer.grid.kind} grid",
                    cure="add up layers alone: --rebin 1x1x2",
                )
            shape = self._cropped(layer)
            if any(n % f for n, f in zip(shape, self.factors, strict=False)):
                raise ShowersError(
                    "the cells cannot be added up so: a number of them does not divide",
                    where=f"--rebin, layer {layer.name} of {shape[0]} x {shape[1]} cells",
                    got="x".join(map(str, self.factors[:2])),
                    expected=f"{_axes(layer.grid)[0]} by {divisors(shape[0])}; "
                    f"{_axes(layer.grid)[1]} by {divisors(shape[1])}",
                )
        if self.crop and all(self._cropped(layer) == layer.shape for layer in layers):
            raise ShowersError("no layer has more cells", where="--crop", got="x".join(map(str, self.crop)))

    def _cropped(self, layer: Layer) -> tuple[int, int]:
        if self.crop is None:
            return layer.shape
        polar = isinstance(layer.grid, PolarGrid)
        if len(self.crop) != (1 if polar else 2):
            raise ShowersError(
                "a polar grid keeps inner rings" if polar else "a cartesian grid keeps a window of x and y",
                where=f"--crop, layer {layer.name} of {layer.shape[0]} x {layer.shape[1]} cells",
                got="x".join(map(str, self.crop)),
                expected="one number, their rings: --crop 9" if polar else "two numbers: --crop 11x11",
            )
        shape = (layer.shape[0], self.crop[0]) if polar else (self.crop[0], self.crop[1])
        for axis, (kept, n) in enumerate(zip(shape, layer.shape, strict=True)):
            # Half a cell cannot be kept, and a window beside the middle would move all showers.
            if kept > n or (not polar and (n - kept) % 2):
                raise ShowersError(
                    f"there are no {kept} cells in the middle of {n}",
                    where=f"--crop, layer {layer.name}, {_axes(layer.grid)[axis]}",
                    got="x".join(map(str, self.crop)),
                    expected=f"1 to {n}" if polar else _listed(range(2 - n % 2, n + 1, 2)),
                )
        return shape

    def grid(self, layer: Layer) -> Grid:
        """Return the grid that a cartesian or polar layer has then."""
        shape = self._cropped(layer)
        a, b = shape[0] // self.factors[0], shape[1] // self.factors[1]
        if isinstance(layer.grid, PolarGrid):
            return PolarGrid(layer.grid.r_edges[: shape[1] + 1 : self.factors[1]], a)
        assert isinstance(layer.grid, CartesianGrid)  # others are refused by `check`
        (dx, dy), (nx, ny) = layer.grid.cell, shape
        return CartesianGrid((round(nx * dx, 9), round(ny * dy, 9)), (a, b))

    def cells(self, images: Real, layer: Layer) -> tuple[Real, Real]:
        """Return the energies of the cells then, and what lies beside them.

        Args:
            images: Energies of a layer's cells, shape `(n, *layer.shape)`, MeV.
            layer: Whose they are.

        Returns:
            Shapes `(n, a, b)` and `(n,)`, MeV.
        """
        kept = images[(slice(None), *self._window(layer))]
        beside = images.sum((1, 2)) - kept.sum((1, 2)) if self.crop else np.zeros(len(images))
        (n, a, b), (fa, fb, _) = kept.shape, self.factors
        return kept.reshape(n, a // fa, fa, b // fb, fb).sum((2, 4)), np.maximum(beside, 0.0)

    def _window(self, layer: Layer) -> tuple[slice, slice]:
        shape = self._cropped(layer)
        if isinstance(layer.grid, PolarGrid):
            return slice(None), slice(shape[1])
        first = [(n - kept) // 2 for n, kept in zip(layer.shape, shape, strict=True)]
        return slice(first[0], first[0] + shape[0]), slice(first[1], first[1] + shape[1])

    def suffix(self) -> list[str]:
        """Return what a detector's name gets."""
        return [f"{name}{'x'.join(map(str, numbers))}" for name, numbers in self.step().items()]

    def step(self) -> dict[str, list[int]]:
        """Return what is done, for the provenance."""
        crop = {"crop": list(self.crop)} if self.crop else {}
        numbers = self.factors if self.factors[2] > 1 else self.factors[:2]
        return crop | ({"rebin": list(numbers)} if self.adds else {})

    def notes(self, source: Detector) -> list[str]:
        """Return where the new detector, simulated, would differ a little, for people to read."""
        readout, found = source.readout, []
        if readout.centre == "barycentre" and self.changes_cells:
            found.append(
                f"windows were centred with the cells of {source.name}; `simulate` centres with the new ones"
            )
        if readout.threshold and self.adds:
            found.append(f"the threshold of {readout.threshold:g} MeV was that of the cells before")
        return found


def divisors(n: int) -> str:
    """Return the numbers that divide `n`, in words."""
    return _listed([d for d in range(1, n + 1) if n % d == 0])


def _listed(numbers: Sequence[int]) -> str:
    few = [str(n) for n in numbers]
    return ", ".join(few if len(few) <= 12 else [*few[:5], "...", *few[-5:]])


def _axes(grid: Grid) -> tuple[str, str]:
    return ("sectors", "rings") if isinstance(grid, PolarGrid) else ("x", "y")
