"""Showers with fewer layers or cells: some of them left out, neighbours of the same kind added up."""

from __future__ import annotations

__all__ = ["Reduction", "reduce"]

from collections.abc import Sequence
from itertools import groupby
from math import gcd
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caloforge.detector.readout import spec_of
from caloforge.errors import ShowersError, nearest
from caloforge.showers.container import Showers
from caloforge.showers.regrid import Regrid, divisors
from caloforge.showers.times import mean_times

if TYPE_CHECKING:
    from caloforge.detector import Detector, Layer
    from caloforge.detector.readout import LayerSpec

_NAMED = 4  # layers whose names the detector's name has


def reduce(
    detector: Detector,
    layers: Sequence[str] = (),
    flatten: bool = False,
    rebin: Sequence[int] = (),
    crop: Sequence[int] = (),
) -> Reduction:
    """Return how showers of a detector get fewer layers or cells: chosen first, then added up.

    Args:
        detector: What was hit.
        layers: Names of those that are kept, in whatever order; none: all.
        flatten: Add up layers that follow each other and have the same grid.
        rebin: How many neighbouring cells are added up along each axis of the grids, and then, if there is a
            third number, how many layers of the same grid.
        crop: Cells that are kept around the middle in x and y; one number: inner rings of polar grids.

    Raises:
        ShowersError: No such layer, one is named twice, no two neighbours have the same grid, or numbers of
            cells or layers that do not fit.
    """
    _check_numbers("--rebin", rebin, (0, 2, 3), "2x2, or 2x2x5 with layers")
    _check_numbers("--crop", crop, (0, 1, 2), "24x24, or 9 for rings of polar grids")
    kept = _kept(detector, layers)
    first, second, depth = (*rebin, *(1, 1, 1)[len(rebin) :])
    regrid = Regrid(tuple(crop) or None, (first, second, depth))
    regrid.check(kept)
    if rebin and set(rebin) == {1}:
        raise ShowersError("factors of 1 change nothing", where="--rebin", got="x".join(map(str, rebin)))
    groups = _added(detector, kept, flatten, depth)
    for group in groups:
        if len({float(detector.sampling_fractions[layer.index]) for layer in group}) > 1:
            raise ShowersError(
                "layers with different sampling fractions have no sum that could be simulated",
                where=f"detector {detector.name}",
                got=", ".join(layer.name for layer in group),
                cure="keep those of one section with --layers",
            )
    return Reduction(detector, groups, flatten, regrid)


def _check_numbers(where: str, numbers: Sequence[int], counts: Sequence[int], expected: str) -> None:
    if len(numbers) not in counts or any(n < 1 for n in numbers):
        raise ShowersError(
            "these are not numbers of cells", where=where, got="x".join(map(str, numbers)), expected=expected
        )


def _added(detector: Detector, kept: Sequence[Layer], flatten: bool, depth: int) -> list[list[Layer]]:
    """Layers that become one each: alone, `depth` by `depth`, or all neighbours of the same grid."""
    alike = [list(group) for _, group in groupby(kept, key=lambda layer: layer.grid)]
    if flatten and depth > 1:
        raise ShowersError(
            "layers can be added up in one way only",
            where="--rebin",
            got=f"{depth} of them, and --flatten",
            cure="leave --flatten or the third factor out",
        )
    if flatten and len(alike) == len(kept):
        raise ShowersError(
            "no two layers that follow each other have the same grid",
            where=f"detector {detector.name}",
            got=", ".join(f"{x.name} {x.shape[0]} x {x.shape[1]}" for x in kept),
            cure="leave --flatten out, or keep layers of the same grid only, with --layers",
        )
    if any(len(group) % depth for group in alike):
        raise ShowersError(
            "the layers cannot be added up so: a number of layers with the same grid does not divide",
            where=f"--rebin, detector {detector.name}",
            got=f"{depth} of {', '.join(str(len(group)) for group in alike)} layers",
            expected=divisors(gcd(*(len(group) for group in alike))),
        )
    if flatten:
        return alike
    return [group[i : i + depth] for group in alike for i in range(0, len(group), depth)]


class Reduction:
    """Takes showers of one detector to those of another with fewer layers or cells.

    Args:
        source: The detector whose showers are read.
        groups: Its layers that become one, for each layer of the other.
        flat: Whether all neighbours of the same grid are added up.
        regrid: What becomes of the cells of each.

    Attributes:
        detector: The other detector: the same material, fewer layers or cells.
    """

    def __init__(
        self, source: Detector, groups: Sequence[Sequence[Layer]], flat: bool, regrid: Regrid
    ) -> None:
        self.source, self.groups, self.flat, self.regrid = source, groups, flat, regrid
        self.detector = _detector(source, groups, flat, regrid)
        self._all = self._lost = self._beside = 0.0
        self._empty = self._without_overflow = 0

    def __call__(self, showers: Showers) -> Showers:
        """Return the same showers, as the other detector reads them out."""
        made = [self._layer(showers.cells, group) for group in self.groups]
        cells = np.concatenate([cells for cells, _ in made], axis=1)
        beside = np.stack([beside for _, beside in made], axis=1)
        outside = self._outside(showers, beside)
        self._count(showers.cells, cells, beside)
        time = self._times(showers, cells)
        return Showers(self.detector, showers.incident, cells, outside, showers.provenance, time)

    def _times(self, showers: Showers, cells: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Times of the new cells: means weighted with energy, as `simulate` takes them."""
        if showers.time is None:
            return None
        if all(self._stays(group) for group in self.groups):
            return np.concatenate([showers.time[:, group[0].cells] for group in self.groups], axis=1)
        weighted = showers.cells * showers.time.astype(np.float64)
        moments = np.concatenate([self._layer(weighted, group)[0] for group in self.groups], axis=1)
        return mean_times(moments, cells)

    def _stays(self, group: Sequence[Layer]) -> bool:
        return len(group) == 1 and not self.regrid.changes_cells

    def _outside(self, showers: Showers, beside: NDArray[np.float64]) -> NDArray[np.float32] | None:
        """The overflow, with what was beside the cells that are kept."""
        if showers.overflow is None:
            self._without_overflow += len(showers) if self.regrid.crop else 0
            return beside.astype(np.float32) if self.regrid.crop else None
        columns = [[layer.index for layer in group] for group in self.groups]
        sums = [showers.overflow[:, of].sum(1, dtype=np.float64) for of in columns]
        return (np.stack(sums, axis=1) + beside).astype(np.float32)

    def _layer(
        self, cells: NDArray[np.floating], group: Sequence[Layer]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Cells of the layer that a group becomes, and the energy beside them."""
        if self._stays(group):
            return cells[:, group[0].cells].astype(np.float32, copy=False), np.zeros(len(cells))
        total = np.zeros((len(cells), group[0].n_cells))
        for layer in group:
            total += cells[:, layer.cells]
        images, beside = self.regrid.cells(total.reshape(-1, *group[0].shape), group[0])
        return images.reshape(len(cells), -1).astype(np.float32), beside

    def _count(
        self, before: NDArray[np.float32], after: NDArray[np.float32], beside: NDArray[np.float64]
    ) -> None:
        total, moved = before.sum(dtype=np.float64), beside.sum()
        self._all += total
        self._beside += moved
        self._lost += total - after.sum(dtype=np.float64) - moved
        self._empty += int((~after.any(axis=1) & before.any(axis=1)).sum())

    def step(self) -> dict[str, Any]:
        """Return what was done, for the provenance."""
        return {"layers": {to.name: [x.name for x in of] for to, of in self._pairs()}} | self.regrid.step()

    def notes(self) -> tuple[str, ...]:
        """Return what was lost of the showers so far, for people to read."""
        used = {layer.index for group in self.groups for layer in group}
        left = [layer.name for layer in self.source.layers if layer.index not in used]
        found = []
        if left:
            share = self._lost / self._all if self._all else 0.0
            found.append(f"left out with {share:.1%} of the energy in cells: {', '.join(left)}")
        if self.regrid.crop:
            share = self._beside / self._all if self._all else 0.0
            found.append(f"{share:.2%} of the energy in cells was beside those kept, and is now overflow")
        if self._without_overflow:
            found.append("what lay beside all cells is not in the overflow: it was not kept")
        if self._empty:
            what = "cells or layers" if self.regrid.crop else "layers"
            found.append(f"showers that hold energy in {what} left out, and nothing now: {self._empty:,}")
        if self.regrid.factors[2] > 1:
            found.append(f"each layer is the sum of {self.regrid.factors[2]}")
        else:
            found += [f"{to.name} is the sum of {len(of)} layers" for to, of in self._pairs() if len(of) > 1]
        found += _gaps(self.groups)
        if self.source.digitisation is not None and self.detector.digitisation is None:
            single = "cells" if self.regrid.changes_cells else "layers"
            found.append(f"the electronics of single {single} are left out")
        return (*found, *self.regrid.notes(self.source))

    def _pairs(self) -> list[tuple[Layer, Sequence[Layer]]]:
        return list(zip(self.detector.layers, self.groups, strict=True))


def _kept(detector: Detector, names: Sequence[str]) -> list[Layer]:
    known = {layer.name: layer for layer in detector.layers}
    for name in names:
        if name not in known or list(names).count(name) > 1:
            raise ShowersError(
                "a layer is named twice" if name in known else f"there is no layer {name!r}",
                where=f"detector {detector.name}",
                got=", ".join(names),
                expected=", ".join(known),
                near=None if name in known else nearest(name, known),
            )
    return [layer for layer in detector.layers if not names or layer.name in names]


def _detector(source: Detector, groups: Sequence[Sequence[Layer]], flat: bool, regrid: Regrid) -> Detector:
    specs = source.layer_specs
    layers = tuple(_spec(specs[group[0].index], group, regrid) for group in groups)
    kept = [group[0].index for group in groups]
    return source.changed(
        name=_name(source, groups, flat, regrid),
        readout=source.readout.model_copy(update={"layers": layers}),
        digitisation=None if flat or regrid.adds else _electronics(source, kept),
    )


def _spec(spec: LayerSpec, group: Sequence[Layer], regrid: Regrid) -> LayerSpec:
    """The layer that a group becomes, as a detector file has it, from that of its first."""
    first, last = group[0], group[-1]
    fields: dict[str, Any] = {"grid": spec_of(regrid.grid(first))} if regrid.changes_cells else {}
    if first is not last:
        fields["name"] = f"{first.name}-{last.name}"
        if spec.thickness is not None:
            fields["thickness"] = round(last.end - first.start, 9)
    return spec.model_copy(update=fields)


def _electronics(source: Detector, kept: Sequence[int]) -> Any:
    block = source.digitisation
    if block is None:
        return None
    own = {key: values for key, values in block.by_layer().items() if len(values) > 1}
    return block.model_copy(update={key: tuple(values[i] for i in kept) for key, values in own.items()})


def _name(source: Detector, groups: Sequence[Sequence[Layer]], flat: bool, regrid: Regrid) -> str:
    names = [layer.name for group in groups for layer in group]
    parts = [source.name]
    if len(names) < source.n_layers:
        parts += names if len(names) <= _NAMED else [f"{len(names)}-layers"]
    return "-".join([*parts, *regrid.suffix(), *(["flat"] if flat else [])])


def _gaps(groups: Sequence[Sequence[Layer]]) -> list[str]:
    depths = {
        f"{g[0].name}-{g[-1].name}": g[-1].end - g[0].start - sum(x.thickness for x in g) for g in groups
    }
    return [f"{name} spans {gap:g} mm that were not read out" for name, gap in depths.items() if gap > 1e-6]
