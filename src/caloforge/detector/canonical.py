"""The canonical YAML of a detector: one text for one detector, however its file was written."""

from __future__ import annotations

__all__ = ["canonical_yaml", "runs"]

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from caloforge.detector.grids import CartesianGrid, Grid
from caloforge.detector.nearest import CellGrid, HexagonalGrid
from caloforge.detector.readout import alike
from caloforge.detector.stack import Layered, Row, Slab

if TYPE_CHECKING:
    from caloforge.detector.detector import Detector
    from caloforge.detector.readout import Layer

_T = TypeVar("_T")
_LONGEST_PERIOD = 1000


def canonical_yaml(detector: Detector, whole: bool = True) -> str:
    """Return the text; reading it gives an equal detector and again this text.

    Args:
        detector: Any.
        whole: Also what no energy of a cell depends on: its electronics, and whether cells have times.
    """
    lines = [*_head(detector), *_stack(detector), *_readout(detector, whole), *_binning(detector)]
    return "\n".join([*lines, *(_digitisation(detector) if whole else ()), ""])


def runs(items: Sequence[_T]) -> Iterator[tuple[int, Sequence[_T]]]:
    """Fold a sequence into (repeats, period), e.g. ABABABC into (3, AB), (1, C); longest run first."""
    start = 0
    while start < len(items):
        longest = min(_LONGEST_PERIOD, (len(items) - start) // 2)
        # A period can only end where the first item comes again; checking that first keeps this fast.
        periods = [p for p in range(1, longest + 1) if items[start + p] == items[start]]
        found = [(_repeats(items, start, p), p) for p in periods]
        repeats, period = max(
            found, key=lambda run: ((run[0] > 1) * run[0] * run[1], -run[1]), default=(1, 1)
        )
        period = period if repeats > 1 else 1
        yield repeats, items[start : start + period]
        start += repeats * period


def _repeats(items: Sequence[_T], start: int, period: int) -> int:
    end = start + period
    while end + period <= len(items) and items[end : end + period] == items[start : start + period]:
        end += period
    return (end - start) // period


def _head(detector: Detector) -> Iterator[str]:
    yield f"name: {_text(detector.name)}"
    yield f"about: {_text(detector.about)}"
    yield f"source: {_text(detector.source)}"
    yield f"shape: {detector.shape}"
    if detector.size:
        yield f"size: {_list(_mm(size) for size in detector.size)}"
    if detector.inner_radius is not None:
        yield f"inner_radius: {_mm(detector.inner_radius)}"
    if detector.materials:
        yield "materials:"
    for name, mixture in sorted(detector.materials.items()):
        parts = ", ".join(f"{key}: {part!r}" for key, part in sorted(mixture.nist.items()))
        yield f"  {_text(name)}: {{density: {mixture.density!r} g/cm3, composition: {{{parts}}}}}"


def _stack(detector: Detector) -> Iterator[str]:
    if detector.stack:
        yield "stack:"
    position = 0
    for repeat, period in runs([slab.content for slab in detector.slabs]):
        yield f"- repeat: {repeat}"
        yield "  slabs:"
        for slab in detector.slabs[position : position + len(period)]:
            yield f"  - {_slab(slab)}"
        position += repeat * len(period)


def _slab(slab: Layered) -> str:
    if isinstance(slab, Slab):
        return f"{{material: {_text(slab.material)}, thickness: {_mm(slab.thickness)}{_flags(slab)}}}"
    plates = f"slabs: {_list(map(_slab, slab.sequence))}"
    if isinstance(slab, Row):
        return f"{{thickness: {_mm(slab.thickness)}, across: {slab.across}, {plates}}}"
    gaps = f"{{material: {_text(slab.filling.material)}{_flags(slab.filling)}}}"
    turn = f"around: {slab.around}, angle: {slab.angle!r} rad"
    return f"{{thickness: {_mm(slab.thickness)}, {turn}, gaps: {gaps}, {plates}}}"


def _flags(slab: Slab) -> str:
    flag = ", active: true" if slab.active else ""
    flag += "" if slab.birks is None else f", birks: {slab.birks!r} mm/MeV"
    return flag


def _readout(detector: Detector, whole: bool) -> Iterator[str]:
    readout = detector.readout
    yield "readout:"
    yield f"  deposits: {readout.deposits}"
    yield f"  frame: {readout.frame}"
    yield f"  centre: {readout.centre}"
    if readout.sampling_fraction is not None:
        yield f"  sampling_fraction: {readout.sampling_fraction!r}"
    if readout.threshold is not None:
        yield f"  threshold: {readout.threshold!r} MeV"
    if readout.gate is not None:
        yield f"  gate: {readout.gate!r} ns"
    if readout.time is not None and whole:
        yield f"  time: {readout.time}"
    yield "  layers:"
    for group in _groups(detector.layers, _mergeable):
        yield _layer(group, detector.depth_is_nominal)


def _mergeable(before: Layer, layer: Layer) -> bool:
    """Whether two neighbours can be written as one entry with a count."""
    follows = layer.start == before.end and layer.id == before.id + 1
    return (
        alike(before, layer) and follows and all(part.name == f"layer_{part.id}" for part in (before, layer))
    )


def _groups(items: Sequence[_T], together: Callable[[_T, _T], bool]) -> list[list[_T]]:
    groups: list[list[_T]] = []
    for item in items:
        if groups and together(groups[-1][-1], item):
            groups[-1].append(item)
        else:
            groups.append([item])
    return groups


def _layer(group: Sequence[Layer], nominal: bool) -> str:
    first = group[0]
    # Several layers share an entry only if their names follow from their ids.
    fields = [f"id: {first.id}"] if len(group) > 1 else [f"name: {_text(first.name)}", f"id: {first.id}"]
    if len(group) > 1:
        fields.append(f"count: {len(group)}")
    if not nominal:
        fields += [f"start: {_mm(first.start)}", f"thickness: {_mm(first.thickness)}"]
    if first.sampling_fraction is not None:
        fields.append(f"sampling_fraction: {first.sampling_fraction!r}")
    return f"  - {{{', '.join(fields)}, grid: {_grid(first.grid)}}}"


def _grid(grid: Grid) -> str:
    if isinstance(grid, CartesianGrid):
        window = _list(_mm(width) for width in grid.window)
        return f"{{kind: cartesian, window: {window}, cells: {_list(map(str, grid.cells))}}}"
    if isinstance(grid, HexagonalGrid):
        window = _list(_mm(width) for width in grid.window or ())
        size = f"window: {window}" if grid.rings is None else f"rings: {grid.rings}"
        return f"{{kind: hexagonal, cell: {_mm(grid.width)}, {size}}}"
    if isinstance(grid, CellGrid):
        parts = {"centres": grid.places, "outline": grid.outline, "outside": grid.outside}
        texts = [f'{key}: "{_places(points)}"' for key, points in parts.items() if points]
        return f"{{kind: cells, {', '.join(texts)}}}"
    edges = ", ".join(_number(edge) for edge in grid.r_edges)
    return f'{{kind: polar, alpha: {grid.alpha}, r_edges: "{edges} mm"}}'


def _places(points: Sequence[tuple[float, float]]) -> str:
    return ", ".join(f"{_number(x)} {_number(y)}" for x, y in points) + " mm"


def _binning(detector: Detector) -> Iterator[str]:
    if detector.binning is None:
        return
    binning = detector.binning
    fields = [f"particle: {_text(binning.particle)}", f"pid: {binning.pid}"]
    if binning.eta is not None:
        fields.append(f"eta: {_list(map(_number, binning.eta))}")
    if binning.layer_ids not in (None, detector.layers[-1].id + 1):
        fields.append(f"layer_ids: {binning.layer_ids}")
    yield f"binning: {{{', '.join(fields)}}}"


def _digitisation(detector: Detector) -> Iterator[str]:
    block = detector.digitisation
    if block is None:
        return
    units = {"crosstalk": "{!r}", "light_yield": "{!r} /MeV", "threshold": "{}"}
    yield "digitisation:"
    for key, values in block.by_layer().items():
        texts = [units.get(key, "{!r} MeV").format(value) for value in values]
        yield f"  {key}: {texts[0] if len(texts) == 1 else _list(texts)}"
    if block.gains is not None:
        yield f"  gains: {_list(_number(gain) for gain in sorted(block.gains))}"
    for key in ("bits", "pedestal"):
        if getattr(block, key) is not None:
            yield f"  {key}: {getattr(block, key)}"


def _list(items: Any) -> str:
    return f"[{', '.join(items)}]"


def _mm(value: float) -> str:
    return f"{_number(value)} mm"


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def _text(value: str) -> str:
    dumped = yaml.safe_dump(value, default_style='"', allow_unicode=True, width=10**9)
    return dumped.strip()
