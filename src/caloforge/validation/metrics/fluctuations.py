"""What single cells and pairs of neighbours do at given energy of their layer, from sums over blocks."""

from __future__ import annotations

__all__ = ["CellSums", "Followed", "Pairs", "cell_sums", "neighbours", "separations"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from caloforge.detector import Detector
from caloforge.validation.metrics.shares import layer_sums, log_shares

Array = NDArray[np.float64]
Index = NDArray[np.int64]

_DEGREE = 2
"""Log-shares follow the logarithm of the layer's energy as a parabola does."""

_PARTS = 8
_STEADY = 1e-9
_STILL = 1e-4
"""Decades: a cell that spreads less has one and the same share, as the only cell of a layer has, but for
rounding."""
_AT_ONCE = 256
"""Pairs that are multiplied at once: 20 MB per thousand showers."""


@dataclass(frozen=True)
class Pairs:
    """Neighbours in one layer.

    Attributes:
        first: Cell of each pair, shape `(pairs,)`.
        second: Its neighbour.
        diagonal: Whether they touch only at a corner.
    """

    first: Index
    second: Index
    diagonal: NDArray[np.bool_]

    def within(self, cells: Index) -> Pairs:
        """Return the pairs among neighbouring places `cells`, counted from the first of these."""
        mine = (self.first >= cells[0]) & (self.first <= cells[-1])
        return Pairs(self.first[mine] - cells[0], self.second[mine] - cells[0], self.diagonal[mine])


def neighbours(detector: Detector, followed: NDArray[np.bool_]) -> Pairs:
    """Return all pairs of followed cells that share a side or a corner inside a layer.

    Args:
        detector: What was hit.
        followed: Which cells count, shape `(n_cells,)`.
    """
    found = [
        (one[both], other[both], np.full(int(both.sum()), diagonal))
        for layer in detector.layers
        for diagonal, pairs in ((False, layer.grid.sides()), (True, layer.grid.corners()))
        for one, other in [(pairs + layer.cells.start).T]
        for both in [followed[one] & followed[other]]
    ]
    first, second, diagonal = (np.concatenate(part) for part in zip(*found, strict=True))
    return Pairs(first, second, diagonal)


@dataclass(frozen=True)
class Followed:
    """The cells whose distributions are compared: those that Geant4 hits often.

    Attributes:
        cells: Their indices, increasing, shape `(k,)`.
        layer: Layer of each.
        pairs: Neighbours among them, as places in `cells`.
        edges: Log-shares that cut the hits of each in eight equal parts, shape `(k, 7)`.
    """

    cells: Index
    layer: Index
    pairs: Pairs
    edges: NDArray[np.float32]

    @classmethod
    def of(cls, detector: Detector, heights: csr_array, least: float) -> Followed:
        """Follow the cells that are hit often.

        Args:
            detector: What was hit.
            heights: Log-shares of Geant4's showers, see `log_shares`.
            least: Share of the showers that must hit a cell.
        """
        hits = np.bincount(heights.indices, minlength=detector.n_cells)
        often = np.asarray(hits > least * heights.shape[0])
        cells, pairs = np.flatnonzero(often), neighbours(detector, often)
        place = np.cumsum(often) - 1
        return cls(
            cells,
            detector.layer_of_cell[cells],
            Pairs(place[pairs.first], place[pairs.second], pairs.diagonal),
            _eighths(csc_array(heights[:, cells])),
        )


def _eighths(heights: csc_array) -> NDArray[np.float32]:
    shares = np.linspace(0, 1, _PARTS + 1)[1:-1]
    parts = np.split(heights.data, heights.indptr[1:-1])
    return np.array([np.quantile(part, shares) for part in parts if len(part)], np.float32)


@dataclass(frozen=True)
class CellSums:
    """Sums over the showers of each block; a hit is a share above the floor.

    Attributes:
        showers: Shape `(blocks, 1)`.
        hits: Showers with a hit, for every cell of the detector, `(blocks, n_cells)`.
        counts: The same of the followed cells, `(blocks, k)`.
        logs: Log10 of the shares of the hits, in decades above the floor, `(blocks, k)`.
        squares: Squared residuals of the hits, about the trend, `(blocks, k)`.
        above: Showers above each of the seven edges of a cell, the edges side by side, `(blocks, 7 k)`.
        products: Of two neighbours' residuals, where both are hit, `(blocks, pairs)`.
        first: Squared residuals of the first neighbour there.
        second: The same of the second.
    """

    showers: Array
    hits: Array
    counts: Array
    logs: Array
    squares: Array
    above: Array
    products: Array
    first: Array
    second: Array

    @property
    def hit_share(self) -> Array:
        """Share of the showers that hit each cell of the detector, `(blocks, n_cells)`."""
        return self.hits / np.maximum(self.showers, 1)

    def mean(self, fewest: int) -> Array:
        """Return mean log10 of the shares of each cell's hits, above the floor, `(blocks, k)`.

        Args:
            fewest: Hits below which it is NaN.
        """
        return self.logs / np.where(self.counts >= fewest, self.counts, np.nan)

    def spread(self, fewest: int) -> Array:
        """Return the standard deviation of log10 of the shares about their trend, `(blocks, k)`.

        Args:
            fewest: Hits below which it is NaN; so it is where nothing varies.
        """
        squares = np.where(
            (self.counts >= fewest) & (self.squares > _STILL**2 * self.counts), self.squares, np.nan
        )
        return np.asarray(np.sqrt(squares / np.maximum(self.counts, 1)))

    @property
    def correlation(self) -> Array:
        """Correlation of two neighbours' residuals where both are hit, `(blocks, pairs)`."""
        scale = np.sqrt(self.first * self.second)
        return self.products / np.where(scale > 0, scale, np.nan)

    @property
    def histograms(self) -> Array:
        """Share of the showers without a hit and in each eighth of Geant4's hits, `(blocks, k, 9)`."""
        shape = (*self.counts.shape, _PARTS - 1)
        every = np.broadcast_to(self.showers[:, :, None], (*self.counts.shape, 1))
        above = [every, self.counts[:, :, None], self.above.reshape(shape), np.zeros_like(every)]
        return -np.diff(np.concatenate(above, axis=2), axis=2) / np.maximum(every, 1)

    @property
    def whole(self) -> CellSums:
        """The sums over all blocks, as one."""
        return CellSums(*(part.sum(axis=0, keepdims=True) for part in vars(self).values()))


def separations(one: CellSums, two: CellSums) -> Array:
    """Return the separation power of each cell's log-shares (arXiv 2410.21611), shape `(blocks, k)`.

    Args:
        one: Sums of Geant4.
        two: Sums of what is compared, with as many blocks.
    """
    p, q = one.histograms, two.histograms
    total = p + q
    return np.asarray(0.5 * np.sum((p - q) ** 2 / np.where(total > 0, total, 1), axis=2))


def cell_sums(
    detector: Detector, cells: csr_array, block: Index, blocks: int, followed: Followed
) -> CellSums:
    """Add up what is needed to know means, spreads and correlations of cells in any choice of blocks.

    Args:
        detector: What was hit.
        cells: Showers, shape `(n, n_cells)`, MeV.
        block: Block of each shower, shape `(n,)`.
        blocks: How many there are.
        followed: Cells to compare.
    """
    member = csr_array((np.ones(len(block)), (block, np.arange(len(block)))), shape=(blocks, len(block)))
    heights = log_shares(detector, cells)
    by_cell, by_pair = [], []
    columns = csc_array(heights[:, followed.cells])
    for layer, energy in enumerate(layer_sums(detector, cells).T):
        mine = np.flatnonzero(followed.layer == layer)
        if not len(mine):
            continue
        values = columns[:, mine].toarray()
        residual = _residuals(values, energy)
        above = [member @ (values > edge) for edge in followed.edges[mine].T]
        by_cell.append(
            [
                *(member @ part for part in (values > 0, values, residual**2)),
                np.stack(above, axis=2).reshape(blocks, -1),
            ]
        )
        by_pair.append(_pair_sums(member, residual, values > 0, followed.pairs.within(mine)))
    return CellSums(
        np.asarray(member.sum(axis=1))[:, None],
        (member @ heights.sign()).toarray(),
        *(np.concatenate(part, axis=1) for part in zip(*by_cell, strict=True)),
        *(np.concatenate(part, axis=1) for part in zip(*by_pair, strict=True)),
    )


def _residuals(values: NDArray[np.float32], energy: Array) -> NDArray[np.float32]:
    """Subtract from the hits of each cell a parabola in the logarithm of the layer's energy; 0 elsewhere."""
    hit = (values > 0).astype(np.float32)
    powers = _powers(energy)
    squares = (powers[:, :, None] * powers[:, None, :]).reshape(len(powers), -1)
    normal = (squares.T @ hit).T.reshape(-1, _DEGREE + 1, _DEGREE + 1).astype(np.float64)
    # few hits, or one energy only, leave some powers free: these stay near 0
    normal += _STEADY * len(values) * np.eye(_DEGREE + 1)
    trend = np.linalg.solve(normal, (powers.T @ values).T[:, :, None].astype(np.float64))[:, :, 0]
    return hit * (values - powers @ trend.T.astype(np.float32))


def _powers(energy: Array) -> NDArray[np.float32]:
    """Return powers 0, 1, 2 of the logarithm of the energies, centred and scaled, shape `(n, 3)`."""
    some = energy > 0
    logarithm = np.log10(energy, out=np.zeros_like(energy), where=some)
    if some.any():
        spread = max(float(logarithm[some].std()), _STEADY)
        logarithm[some] = (logarithm[some] - logarithm[some].mean()) / spread
    return np.asarray(logarithm[:, None] ** np.arange(_DEGREE + 1), np.float32)


def _pair_sums(
    member: csr_array, residual: NDArray[np.float32], hit: NDArray[np.bool_], pairs: Pairs
) -> list[Array]:
    """Return sums of products and squares of neighbours' residuals where both are hit, `(blocks, pairs)`."""
    parts: list[list[Array]] = [[np.zeros((member.shape[0], 0))] for _ in range(3)]
    for start in range(0, len(pairs.first), _AT_ONCE):
        one, other = pairs.first[start : start + _AT_ONCE], pairs.second[start : start + _AT_ONCE]
        a, b = residual[:, one] * hit[:, other], residual[:, other] * hit[:, one]
        for part, product in zip(parts, (a * b, a * a, b * b), strict=True):
            part.append(member @ product)
    return [np.concatenate(part, axis=1) for part in parts]
