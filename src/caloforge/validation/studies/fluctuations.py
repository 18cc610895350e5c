"""What single cells do at given energy of their layer: mean, spread, hits, and correlation of neighbours."""

from __future__ import annotations

__all__ = ["fluctuations"]

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import vstack

from caloforge.detector import Detector
from caloforge.validation.charts.fluctuations import Compared, charts
from caloforge.validation.diagnosis import faults_tested
from caloforge.validation.inputs.resampling import Resampling, bootstraps, splits
from caloforge.validation.inputs.sample import Sample
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.measure import Number
from caloforge.validation.metrics.distances import LARGEST_P, Exchanged, corrected
from caloforge.validation.metrics.fluctuations import CellSums, Followed, cell_sums, neighbours, separations
from caloforge.validation.metrics.shares import log_shares
from caloforge.validation.studies.cell_faults import cell_faults, cell_tests
from caloforge.validation.study import Absent, Study, Tell, without_numbers

Array = NDArray[np.float64]

_FEWEST = 50
"""Whole showers of each sample without which nothing is compared."""

_OFTEN = 0.2
"""Cells that Geant4 hits in a larger share of the showers are followed."""

_OFTEN_HIT = "that Geant4 hits often"
_FEWEST_HITS = 10


def fluctuations(samples: Samples, tell: Tell) -> Study:
    """Compare every cell's mean and spread of log-share, its hits, and its correlation with neighbours.

    Args:
        samples: What to compare.
        tell: Called as the work advances.
    """
    every = (samples.reference, samples.floor, *samples.candidates)
    kept = min(sample.cells.shape[0] for sample in every)
    followed = _followed(samples) if kept >= _FEWEST else None
    if followed is None or not len(followed.cells):
        absent = Absent(kept, _FEWEST) if kept < _FEWEST else Absent(kept, 0, "no cell is hit often")
        return without_numbers(_NAME, _TITLE, samples.candidates, absent)
    sums = []
    for i, sample in enumerate(every):
        tell(0.7 * i / len(every), f"cells of {sample.name}")
        sums.append(_sums(sample, samples.blocks, followed))
    cut, draw = splits(samples.blocks, samples.seed), bootstraps(samples.blocks, samples.seed)
    cuts = _differences(cut, sums[0], sums[1], followed)
    tell(0.75, "chance")
    found = [
        _exchanged(cuts, *(_differences(way, sums[0], other, followed) for way in (cut, draw)))
        for other in sums[2:]
    ]
    floor = {key: Exchanged(float(v[0]), v[1:], v, v[1:]) for key, v in cuts.items()}
    others = [faults_tested(samples, candidate) for candidate in samples.candidates]
    # empty samples and a handful of showers are not looked through for faults
    tests = tuple(cell_tests(f) if other else 0 for f, other in zip(found, others, strict=True))
    compared = Compared(
        samples.detector, followed, tuple(s.name for s in every), tuple(sums), (floor, *found)
    )
    tell(1.0, "cells")
    return Study(
        _NAME,
        _TITLE,
        tuple(_numbers(f) for f in found),
        charts(compared),
        tuple(
            tuple(cell_faults(samples.detector, f, own + other)) if own else ()
            for f, own, other in zip(found, tests, others, strict=True)
        ),
        _METHOD.format(cells=len(followed.cells), all=samples.detector.n_cells, showers=kept),
        _details(compared),
        tests,
        missing=_missing(samples.detector, followed, kept),
    )


def _followed(samples: Samples) -> Followed:
    """Follow cells that both samples of Geant4 together hit often."""
    cells = [sample.cells for sample in (samples.reference, samples.floor)]
    return Followed.of(samples.detector, log_shares(samples.detector, vstack(cells, format="csr")), _OFTEN)


def _missing(detector: Detector, followed: Followed, kept: int) -> dict[str, Absent]:
    """Say why a kind of neighbours is not compared, where there is none."""
    every = neighbours(detector, np.ones(detector.n_cells, bool)).diagonal
    kinds = (
        (False, "neighbours_side", "have a side in common"),
        (True, "neighbours_diagonal", "touch at a corner only"),
    )
    return {
        key: Absent(kept, 0, f"no two cells {_OFTEN_HIT if kind in every else 'of this detector'} {how}")
        for kind, key, how in kinds
        if kind not in followed.pairs.diagonal
    }


def _sums(sample: Sample, blocks: int, followed: Followed) -> CellSums:
    block = sample.block[sample.chosen[: sample.cells.shape[0]]]
    return cell_sums(sample.detector, sample.cells, block, blocks, followed)


def _differences(ways: Resampling, first: CellSums, second: CellSums, followed: Followed) -> dict[str, Array]:
    """Return the numbers of a pair of samples for each resampling; NaN where undefined."""
    one, two = _resampled(ways, first, second)
    ratio = two.spread(_FEWEST_HITS) / one.spread(_FEWEST_HITS)
    shift = (two.mean(_FEWEST_HITS) - one.mean(_FEWEST_HITS)) / one.spread(_FEWEST_HITS)
    apart = two.correlation - one.correlation
    diagonal = followed.pairs.diagonal
    return {
        "cell_spread": 100 * _over(np.nanmedian, np.abs(ratio - 1)),
        "cell_spread_worst": 100 * _over(_twentieth, np.abs(ratio - 1)),
        "cell_mean": 100 * _rms(shift),
        "cell_shape": 100 * _over(np.nanmean, separations(one, two)),
        "cell_hits": 100 * _rms(two.hit_share - one.hit_share),
        "neighbours_side": _rms(apart[:, ~diagonal]),
        "neighbours_diagonal": _rms(apart[:, diagonal]),
    } | {
        f"layer {layer}": np.exp(_over(np.nanmean, np.log(ratio[:, followed.layer == layer])))
        for layer in np.unique(followed.layer).tolist()
    }


def _resampled(ways: Resampling, first: CellSums, second: CellSums) -> tuple[CellSums, CellSums]:
    pairs = [ways(getattr(first, name), getattr(second, name)) for name in vars(first)]
    one, two = zip(*pairs, strict=True)
    return CellSums(*one), CellSums(*two)


def _over(reduce: object, values: Array) -> Array:
    """Reduce along the cells, leaving out those that are undefined; NaN where all are."""
    out = np.full(len(values), np.nan)
    known = np.isfinite(values).any(axis=1)
    out[known] = reduce(values[known], axis=1)  # type: ignore[operator]
    return out


def _twentieth(values: Array, axis: int) -> Array:
    """Return what one cell in twenty is beyond: the largest of hundreds would be chance's."""
    return np.asarray(np.nanquantile(values, 0.95, axis=axis))


def _rms(values: Array) -> Array:
    return np.sqrt(_over(np.nanmean, values**2))


def _exchanged(
    cuts: dict[str, Array], exchanges: dict[str, Array], draws: dict[str, Array]
) -> dict[str, Exchanged]:
    return {
        key: Exchanged(float(v[0]), cuts[key][1:], v, draws[key])
        for key, v in exchanges.items()
        if np.isfinite(v[0]) and np.isfinite(cuts[key]).any()
    }


def _numbers(found: dict[str, Exchanged]) -> tuple[Number, ...]:
    known = [key for key in _LABELS if key in found]
    p_values = corrected([found[key] for key in known])
    return tuple(
        Number(
            key,
            label,
            found[key].measure(),
            unit,
            meaning=meaning,
            beyond=p < LARGEST_P,
        )
        for key, p in zip(known, p_values, strict=True)
        for label, unit, meaning in [_LABELS[key]]
    )


def _details(compared: Compared) -> dict[str, object]:
    """Give what the tables say, and the cells that are farthest off, for each sample."""
    order = dict(zip(range(1, len(compared.names)), compared.found, strict=True))
    ratios, correlations = compared.ratios(), compared.correlations()
    return {
        "cells_followed": len(compared.followed.cells),
        "samples": {
            compared.names[i]: {
                "spread_by_layer": {
                    compared.layer_name(int(key.split()[1])): [f.measure().value, f.measure().error]
                    for key, f in order[i].items()
                    if key.startswith("layer ")
                },
                "farthest_cell": _farthest(compared, ratios[i]),
                "neighbours_side": _mean_by(compared, correlations[i], False),
                "neighbours_diagonal": _mean_by(compared, correlations[i], True),
            }
            for i in order
        },
        "geant4": {
            "neighbours_side": _mean_by(compared, correlations[0], False),
            "neighbours_diagonal": _mean_by(compared, correlations[0], True),
        },
    }


def _farthest(compared: Compared, ratio: Array) -> dict[str, object]:
    if not np.isfinite(ratio).any():
        return {}
    i = int(np.nanargmax(np.abs(ratio - 1)))
    cell, layer = int(compared.followed.cells[i]), int(compared.followed.layer[i])
    return {"cell": cell, "layer": compared.layer_name(layer), "spread_over_geant4": float(ratio[i])}


def _mean_by(compared: Compared, values: Array, diagonal: bool) -> float:
    mine = values[(compared.followed.pairs.diagonal == diagonal) & np.isfinite(values)]
    return float(mine.mean()) if len(mine) else np.nan


_NAME, _TITLE = "fluctuations", "Single cells and neighbours"

_LABELS = {
    "cell_spread": (
        "Spread of single cells",
        "%",
        "Difference to Geant4 of the standard deviation of a cell's log-share at given energy of its layer, "
        "on either side; median of the cells.",
    ),
    "cell_spread_worst": (
        "Spread of single cells, worst",
        "%",
        "The same difference, exceeded by one cell in twenty.",
    ),
    "cell_mean": (
        "Mean of single cells",
        "%",
        "Difference of the mean log-share to Geant4's, in percent of its standard deviation; root mean "
        "square over the cells.",
    ),
    "cell_shape": (
        "Distribution of single cells",
        "%",
        "Separation power of a cell's log-share (no hit, and eighths of Geant4's hits), mean of the cells "
        "(arXiv 2410.21611).",
    ),
    "cell_hits": (
        "Hits of single cells",
        "%",
        "Difference of the share of showers that hit a cell to Geant4's; root mean square over all cells.",
    ),
    "neighbours_side": (
        "Correlation of cells side by side",
        "",
        "Difference to Geant4's correlation of the log-shares of two cells that share a side, at given "
        "energy of the layer; root mean square over the pairs.",
    ),
    "neighbours_diagonal": (
        "Correlation of cells across a corner",
        "",
        "The same of two cells that touch at a corner.",
    ),
}

_METHOD = (
    "Single cells: log10 of a cell's share of its layer's energy, where that is more than 1e-5 (a hit); "
    "{cells} of {all} cells that Geant4 hits in more than 20 % of the showers are followed, in {showers} "
    "showers of each sample. Spreads are about a parabola in the logarithm of the layer's energy, which is "
    "fitted to each cell of each sample: what is left is how a cell fluctuates at given energy of its layer. "
    "The separation power is that of the log-shares themselves, in the eighths of Geant4's hits and "
    "without a hit. Correlations of neighbours are those of the residuals in showers that hit both. Floors "
    "are random cuts of Geant4 in halves; what is beyond chance is decided by exchanges of showers with the "
    "reference, corrected for the number of figures (max-T). A layer's cells vary too little, or too much, "
    "if the geometric mean of their ratios to Geant4 is off by more than 3 %, and by so many times what "
    "exchanges do that chance names any of the report's faults in 1 of 400 reports; they have wrong "
    "distributions if the separation power is that clear, and off by more than 0.05 %."
)
