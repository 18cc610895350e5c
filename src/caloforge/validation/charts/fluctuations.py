"""Charts of what single cells do: maps of each layer, cells in order of their spread, and tables by layer."""

from __future__ import annotations

__all__ = ["Compared", "charts"]

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from caloforge.detector import Detector
from caloforge.validation.charts import Chart, Curve, Line, Map, Maps, Table
from caloforge.validation.charts.faces import layer_face, main_layers
from caloforge.validation.metrics.distances import Exchanged
from caloforge.validation.metrics.fluctuations import CellSums, Followed, separations

Array = NDArray[np.float64]
Cell = str | float | tuple[float, float]

_LAYERS = 4
_FEWEST_HITS = 10


@dataclass(frozen=True)
class Compared:
    """What is known of single cells.

    Attributes:
        detector: What was hit.
        followed: The cells.
        names: Of the reference, the floor and each candidate.
        sums: Of these, by block.
        found: The numbers of the floor and of each candidate, with those of each layer as `layer 0`.
    """

    detector: Detector
    followed: Followed
    names: tuple[str, ...]
    sums: tuple[CellSums, ...]
    found: tuple[dict[str, Exchanged], ...]

    @property
    def order(self) -> list[int]:
        """Places of the candidates among the names, then of the floor."""
        return [*range(2, len(self.names)), 1]

    def against_reference(self, of: Callable[[CellSums, CellSums], Array]) -> dict[int, Array]:
        """Compare the floor and each candidate with the reference, all showers together."""
        wholes = [sums.whole for sums in self.sums]
        return {i: of(wholes[0], wholes[i])[0] for i in self.order}

    def layer_name(self, layer: int) -> str:
        """Return a layer's name for people."""
        return self.detector.layers[layer].name.replace("_", " ")

    def ratios(self) -> dict[int, Array]:
        """Spread of each followed cell over Geant4's, by the place of the sample."""
        return self.against_reference(lambda a, b: b.spread(_FEWEST_HITS) / a.spread(_FEWEST_HITS))

    def correlations(self) -> list[Array]:
        """Correlation of each pair of neighbours in each sample."""
        return [sums.whole.correlation[0] for sums in self.sums]


def charts(compared: Compared) -> tuple[Chart, ...]:
    """Return what is to be seen of single cells.

    Args:
        compared: What is known of them.
    """
    tables = (_spread_table(compared), _neighbour_table(compared))
    return (*_sorted(compared), *(t for t in tables if t.rows), *_cell_maps(compared), *_pair_maps(compared))


def _sorted(compared: Compared) -> Iterator[Curve]:
    spread = Curve(
        key="cell_spread_sorted",
        title="Spread of single cells over Geant4's",
        theme="fluctuations",
        caption="Standard deviation of log10 of a cell's share at given energy of its layer, over Geant4's; "
        "cells in rising order. The floor says how far chance goes.",
        x="Cell, in rising order",
        unit="",
        y="Standard deviation / Geant4's",
        y_unit="",
        at=np.arange(1, len(compared.followed.cells) + 1, dtype=np.float64),
        lines=_lines(compared, compared.ratios()),
        ratio=False,
        level=1.0,
    )
    yield spread
    percent = {i: 100 * power for i, power in compared.against_reference(separations).items()}
    yield replace(
        spread,
        key="cell_shape_sorted",
        title="Distribution of single cells",
        caption="Separation power of each cell's log-share to Geant4's, in rising order. The floor says how "
        "far chance goes; many cells a little above it can be told together.",
        y="Separation power",
        y_unit="%",
        lines=_lines(compared, percent),
        level=None,
    )


def _lines(compared: Compared, values: dict[int, Array]) -> tuple[Line, ...]:
    return tuple(
        Line(compared.names[i], "floor" if i == 1 else "candidate", np.sort(values[i]))
        for i in sorted(values)
    )


def _spread_table(compared: Compared) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for layer in np.unique(compared.followed.layer).tolist():
        key = f"layer {layer}"
        measures = [found[key].measure() if key in found else None for found in compared.found]
        values = [(np.nan, np.nan) if m is None else (m.value, m.error) for m in (*measures[1:], measures[0])]
        rows.append((compared.layer_name(layer), int((compared.followed.layer == layer).sum()), *values))
    return Table(
        key="cell_spread_table",
        title="Spread of each layer's cells over Geant4's",
        theme="fluctuations",
        caption="Geometric mean of the cells. Below 1, single cells vary too little.",
        columns=("Layer", "Cells", *(compared.names[i] for i in compared.order)),
        rows=tuple(rows),
    )


def _neighbour_table(compared: Compared) -> Table:
    pairs, values = compared.followed.pairs, compared.correlations()
    layers = compared.followed.layer[pairs.first]
    rows: list[tuple[Cell, ...]] = []
    for layer in np.unique(layers).tolist():
        for word, diagonal in (("side", False), ("corner", True)):
            mine = (layers == layer) & (pairs.diagonal == diagonal)
            if mine.any():
                means = [_mean(values[i][mine]) for i in (0, *compared.order)]
                rows.append((compared.layer_name(layer), word, int(mine.sum()), *means))
    return Table(
        key="neighbours_table",
        title="Correlation of neighbouring cells, mean of each layer",
        theme="fluctuations",
        caption="Of the log-shares of two cells that share a side or touch at a corner, at given energy of "
        "the layer.",
        columns=("Layer", "Touch at", "Pairs", *(compared.names[i] for i in (0, *compared.order))),
        rows=tuple(rows),
    )


def _mean(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan


def _shown(compared: Compared) -> list[int]:
    """Return the layers that are drawn: those around the maximum of the hits that are followed."""
    weight = np.zeros(compared.detector.n_cells)
    weight[compared.followed.cells] = compared.sums[0].counts.sum(axis=0)
    have = set(compared.followed.layer.tolist())
    return [i for i in main_layers(compared.detector, weight, _LAYERS) if i in have]


def _cell_maps(compared: Compared) -> Iterator[Maps]:
    kinds = (
        (
            "cell_spread",
            "Spread of each cell",
            "Standard deviation of log10 of a cell's share of its layer's energy, at given energy of the "
            "layer: how far it is from Geant4's, in percent.",
            {i: 100 * (ratio - 1) for i, ratio in compared.ratios().items()},
        ),
        (
            "cell_mean",
            "Mean of each cell",
            "Geometric mean of a cell's share of its layer's energy, over the showers that hit it: how far "
            "it is from Geant4's, in percent.",
            compared.against_reference(
                lambda a, b: 100 * (10 ** (b.mean(_FEWEST_HITS) - a.mean(_FEWEST_HITS)) - 1)
            ),
        ),
        (
            "cell_shape",
            "Distribution of each cell",
            "Separation power of a cell's log-share to Geant4's, in percent. Two samples of Geant4 are "
            "apart, too, by chance.",
            {i: 100 * power for i, power in compared.against_reference(separations).items()},
        ),
        (
            "cell_hits",
            "Hits of each cell",
            "Share of the showers in which a cell has more than 1e-5 of its layer's energy: how far it is "
            "from Geant4's, in percentage points.",
            {
                i: values[compared.followed.cells]
                for i, values in compared.against_reference(
                    lambda a, b: 100 * (b.hit_share - a.hit_share)
                ).items()
            },
        ),
    )
    for key, title, caption, values in kinds:
        for layer in _shown(compared):
            yield Maps(
                key=f"{key}_{layer}",
                title=f"{title}, {compared.layer_name(layer)}",
                theme="fluctuations",
                caption=caption,
                quantity=key,
                layer=layer,
                panels=tuple(
                    _map(compared, layer, compared.names[i], _on_cells(compared, v))
                    for i, v in values.items()
                ),
            )


def _pair_maps(compared: Compared) -> Iterator[Maps]:
    """Show at each cell the mean correlation with its neighbours, less Geant4's."""
    pairs, values = compared.followed.pairs, compared.correlations()
    for key, word, diagonal in (
        ("neighbours_side", "that share a side", False),
        ("neighbours_diagonal", "that touch at a corner", True),
    ):
        mine = pairs.diagonal == diagonal
        for layer in _shown(compared):
            if not (mine & (compared.followed.layer[pairs.first] == layer)).any():
                continue
            yield Maps(
                key=f"{key}_{layer}",
                title=f"Correlation of neighbours {word}, {compared.layer_name(layer)}",
                theme="fluctuations",
                caption="At each cell, the mean correlation of its log-share with those of its neighbours "
                f"{word}, at given energy of the layer, less Geant4's; times 100.",
                quantity=key,
                layer=layer,
                panels=tuple(
                    _map(
                        compared,
                        layer,
                        compared.names[i],
                        _on_cells(compared, _around(compared, 100 * (values[i] - values[0]), mine)),
                    )
                    for i in compared.order
                ),
            )


def _around(compared: Compared, values: Array, mine: NDArray[np.bool_]) -> Array:
    """Return the mean over the pairs that each followed cell is part of; NaN where there is none."""
    pairs, k = compared.followed.pairs, len(compared.followed.cells)
    mine = mine & np.isfinite(values)
    ends = np.concatenate([pairs.first[mine], pairs.second[mine]])
    count = np.bincount(ends, minlength=k)
    total = np.bincount(ends, np.tile(values[mine], 2), minlength=k)
    return np.asarray(np.divide(total, count, out=np.full(k, np.nan), where=count > 0), np.float64)


def _on_cells(compared: Compared, values: Array) -> Array:
    """Put values of the followed cells in their places among all; the others stay empty."""
    out = np.full(compared.detector.n_cells, np.nan)
    out[compared.followed.cells] = values
    return out


def _map(compared: Compared, layer: int, name: str, values: Array) -> Map:
    return Map(name, layer_face(compared.detector, layer, values), "deviation")
