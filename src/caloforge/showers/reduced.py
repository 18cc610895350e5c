"""Showers with fewer layers: some of them left out, or layers of the same grid added up to one image."""

from __future__ import annotations

__all__ = ["Reduction", "reduce"]

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import ShowersError, nearest
from caloforge.showers.container import Showers

if TYPE_CHECKING:
    from caloforge.detector import Detector, Layer

_NAMED = 4  # layers whose names the detector's name has


def reduce(detector: Detector, layers: Sequence[str] = (), flatten: bool = False) -> Reduction:
    """Return how showers of a detector get fewer layers.

    Args:
        detector: What was hit.
        layers: Names of those that are kept, in whatever order; none: all.
        flatten: Add up layers that follow each other and have the same grid.

    Raises:
        ShowersError: No such layer, one is named twice, or no two neighbours have the same grid.
    """
    kept = _kept(detector, layers)
    groups = (
        [list(g) for _, g in groupby(kept, key=lambda layer: layer.grid)] if flatten else [[x] for x in kept]
    )
    if flatten and len(groups) == len(kept):
        raise ShowersError(
            "no two layers that follow each other have the same grid",
            where=f"detector {detector.name}",
            got=", ".join(f"{x.name} {x.shape[0]} x {x.shape[1]}" for x in kept),
            cure="leave --flatten out, or keep layers of the same grid only, with --layers",
        )
    for group in groups:
        if len({float(detector.sampling_fractions[layer.index]) for layer in group}) > 1:
            raise ShowersError(
                "layers with different sampling fractions have no sum that could be simulated",
                where=f"detector {detector.name}",
                got=", ".join(layer.name for layer in group),
                cure="keep those of one section with --layers",
            )
    return Reduction(detector, groups, flatten)


class Reduction:
    """Takes showers of one detector to those of another with fewer layers.

    Args:
        source: The detector whose showers are read.
        groups: Its layers that become one, for each layer of the other.
        flat: Whether layers are added up.

    Attributes:
        detector: The other detector: the same material, fewer layers.
    """

    def __init__(self, source: Detector, groups: Sequence[Sequence[Layer]], flat: bool) -> None:
        self.source, self.groups, self.flat = source, groups, flat
        self.detector = _detector(source, groups, flat)
        self._all = self._lost = 0.0
        self._empty = 0

    def __call__(self, showers: Showers) -> Showers:
        """Return the same showers, as the other detector reads them out."""
        cells = np.concatenate([_sum(showers.cells, group) for group in self.groups], axis=1)
        outside = showers.overflow
        if outside is not None:
            columns = [[layer.index for layer in group] for group in self.groups]
            outside = np.stack([outside[:, c].sum(1, dtype=np.float64) for c in columns], axis=1)
        self._count(showers.cells, cells)
        return Showers(self.detector, showers.incident, cells, outside, showers.provenance)

    def _count(self, before: NDArray[np.float32], after: NDArray[np.float32]) -> None:
        total = before.sum(dtype=np.float64)
        self._all += total
        self._lost += total - after.sum(dtype=np.float64)
        self._empty += int((~after.any(axis=1) & before.any(axis=1)).sum())

    def step(self) -> dict[str, Any]:
        """Return what was done, for the provenance."""
        return {"layers": {to.name: [x.name for x in of] for to, of in self._pairs()}}

    def notes(self) -> tuple[str, ...]:
        """Return what was lost of the showers so far, for people to read."""
        used = {layer.index for group in self.groups for layer in group}
        left = [layer.name for layer in self.source.layers if layer.index not in used]
        found = []
        if left:
            share = self._lost / self._all if self._all else 0.0
            found.append(f"left out with {share:.1%} of the energy in cells: {', '.join(left)}")
        if self._empty:
            found.append(f"showers that hold energy in layers left out, and nothing now: {self._empty:,}")
        if self.flat:
            found += [f"{to.name} is the sum of {len(of)} layers" for to, of in self._pairs() if len(of) > 1]
            found += _gaps(self.groups)
            if self.source.digitisation is not None:
                found.append("the electronics of single layers are left out")
        return tuple(found)

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


def _detector(source: Detector, groups: Sequence[Sequence[Layer]], flat: bool) -> Detector:
    from caloforge.detector import Detector

    specs = [spec for spec in source.readout.layers for _ in range(spec.count)]
    layers = []
    for first, *others in groups:
        last = others[-1] if others else first
        place: dict[str, Any] = {"start": first.start, "thickness": round(last.end - first.start, 9)}
        if source.depth_is_nominal:
            place = {"start": None, "thickness": None}
        name = f"{first.name}-{last.name}" if others else first.name
        layers.append(
            specs[first.index].model_copy(update={"name": name, "id": first.id, "count": 1, **place})
        )
    fields = {name: getattr(source, name) for name in Detector.model_fields}
    fields["name"] = _name(source, groups, flat)
    fields["readout"] = source.readout.model_copy(update={"layers": tuple(layers)})
    fields["digitisation"] = None if flat else _electronics(source, [group[0].index for group in groups])
    # By its text, which is read with all checks.
    made = Detector.model_construct(**fields)
    return Detector.from_yaml(made.to_yaml(), where=f"the detector {made.name}")


def _electronics(source: Detector, kept: Sequence[int]) -> Any:
    block = source.digitisation
    if block is None:
        return None
    own = {key: values for key, values in block.by_layer().items() if len(values) > 1}
    return block.model_copy(update={key: tuple(values[i] for i in kept) for key, values in own.items()})


def _name(source: Detector, groups: Sequence[Sequence[Layer]], flat: bool) -> str:
    names = [layer.name for group in groups for layer in group]
    parts = [source.name]
    if len(names) < source.n_layers:
        parts += names if len(names) <= _NAMED else [f"{len(names)}-layers"]
    return "-".join([*parts, "flat"] if flat else parts)


def _sum(cells: NDArray[np.float32], group: Sequence[Layer]) -> NDArray[np.float32]:
    if len(group) == 1:
        return cells[:, group[0].cells]
    total = np.zeros((len(cells), group[0].n_cells))
    for layer in group:
        total += cells[:, layer.cells]
    return total.astype(np.float32)


def _gaps(groups: Sequence[Sequence[Layer]]) -> list[str]:
    depths = {
        f"{g[0].name}-{g[-1].name}": g[-1].end - g[0].start - sum(x.thickness for x in g) for g in groups
    }
    return [f"{name} spans {gap:g} mm that were not read out" for name, gap in depths.items() if gap > 1e-6]
