"""What a rounding does to showers: their energies, their cells, and how many values these take."""

from __future__ import annotations

__all__ = ["Effect", "effect", "showers_of"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Feed = dict[str, NDArray[np.float32]]
Cells = NDArray[np.float32]

# A shift of all energies shows at once. Errors that differ from shower to shower add in quadrature to what
# these scatter by anyway: 0.5 % to a resolution of 2 % makes 2.06 %. Cells are less patient: an AUC went from
# 0.506 to 0.533 where cells might change by 5 % of their scatter (calogan-tuned, 5,000 showers). Most cells
# hold hardly any energy, so that nothing shows them but their hits and their own change: an AUC rose by 0.010
# where no hit changed and half of them moved by 0.7 %, by 0.037 where 2 % of the hits changed. Whether the
# showers are good enough is for the metrics of `validate` to say; these limits choose what is tried.
_BIAS, _SPREAD, _CELLS, _VALUES, _HOTTEST, _HITS, _TYPICAL = 2e-3, 5e-3, 0.02, 0.9, 0.05, 5e-3, 5e-3


@dataclass(frozen=True)
class Effect:
    """How showers differ from those of the same noise in float32.

    Attributes:
        bias: Of the energy of all showers, relative.
        spread: Of the relative change of a shower's energy from shower to shower.
        cells: Root mean square change of a cell, over the root mean square scatter around the cells' means.
        values: Different energies among the cells, over those in float32; a quantised output has few.
        hottest: Relative change of the mean energy of the hottest cell.
        hits: Cells that are hit in one and not in the other, over the hits in float32.
        typical: Median relative change of the cells that are hit in both.
    """

    bias: float
    spread: float
    cells: float
    values: float
    hottest: float
    hits: float
    typical: float

    @property
    def strength(self) -> float:
        """The greatest of all in parts of its limit; below 1 all is well."""
        parts = (
            abs(self.bias) / _BIAS,
            self.spread / _SPREAD,
            self.cells / _CELLS,
            (1 - self.values) / (1 - _VALUES),
            abs(self.hottest) / _HOTTEST,
            self.hits / _HITS,
            self.typical / _TYPICAL,
        )
        return max(parts) if all(map(math.isfinite, parts)) else math.inf

    def __str__(self) -> str:
        return (
            f"energy {self.bias:+.2%} +- {self.spread:.2%} a shower, cells {self.cells:.1%} of their "
            f"scatter, hottest cell {self.hottest:+.1%}, hits {self.hits:.2%} others, "
            f"half of them by {self.typical:.2%} or more, {self.values:.0%} of the values"
        )


def effect(expected: Cells, got: Cells, threshold: float | None = None) -> Effect:
    """Compare showers, `(n, n_cells)` MeV, with those of the same noise in float32.

    Args:
        expected: Those in float32.
        got: The others.
        threshold: What a cell is read out from, MeV; None: whatever has energy.
    """
    exact, rounded = expected.astype(np.float64), got.astype(np.float64)
    energy = exact.sum(axis=1)
    ratio = rounded.sum(axis=1) / np.where(energy > 0, energy, 1)
    scatter = math.sqrt(exact.var(axis=0).mean())
    hottest = exact.max(axis=1).mean()
    hit, still = _hits(exact, threshold), _hits(rounded, threshold)
    return Effect(
        bias=float(rounded.sum() / max(energy.sum(), np.finfo(float).tiny) - 1),
        spread=float(ratio[energy > 0].std()) if (energy > 0).any() else 0.0,
        cells=math.sqrt(((rounded - exact) ** 2).mean()) / scatter if scatter else math.inf,
        values=len(np.unique(got)) / len(np.unique(expected)),
        hottest=float(rounded.max(axis=1).mean() / hottest - 1) if hottest else 0.0,
        hits=float((hit != still).sum() / max(hit.sum(), 1)),
        typical=_typical(exact[hit & still], rounded[hit & still]),
    )


def _typical(exact: NDArray[np.float64], rounded: NDArray[np.float64]) -> float:
    return float(np.median(np.abs(rounded / exact - 1))) if len(exact) else math.inf


def _hits(cells: NDArray[np.float64], threshold: float | None) -> NDArray[np.bool_]:
    return cells >= threshold if threshold else cells > 0


def showers_of(model: Any, examples: Sequence[Feed]) -> Cells:
    """Run a graph on examples, in ONNX Runtime on one thread: cells of all of them, `(n, n_cells)` MeV."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.concatenate([session.run(["cells"], feed)[0] for feed in examples])
