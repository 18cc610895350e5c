"""One pass over a shower file: counts, ranges, response, layer energies, sparsity and a checksum."""

from __future__ import annotations

__all__ = ["Survey", "inspect", "survey"]

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import ShowersError
from caloforge.particles import particle_name
from caloforge.showers.checks import BadEnergies
from caloforge.showers.container import Showers
from caloforge.showers.formats import open_showers
from caloforge.showers.incident import COLUMNS
from caloforge.showers.repeats import Repeats
from caloforge.showers.source import ShowerSource
from caloforge.showers.sparse import Sparse
from caloforge.showers.times import TimeSpectra

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.progress import Progress

_STEPS = np.array([1.0, 2.0, 5.0])
_EDGES = np.unique(np.outer(10.0 ** np.arange(-3, 9), _STEPS))  # MeV, from 1 eV to 500 TeV


@dataclass
class Survey:
    """Sums over the showers of one file; filled piece by piece.

    Attributes:
        detector: What was hit.
        showers: How many showers are summed.
        image: Energy of each cell summed over the showers, MeV, shape `(n_cells,)`.
        hits: In how many showers each cell has energy, shape `(n_cells,)`.
        layer: Sum and sum of squares of each layer's energy, shape `(2, n_layers)`.
        share: The same of its energy over the incident energy.
        response: For each interval of incident energy: showers, sum and sum of squares of the response
            (energy in cells over incident energy), shape `(3, intervals)`.
        overflow: Energy beside the grids, MeV.
        particles: Showers by PDG id.
        low: Least value of each incident column; `high` the greatest.
        cell: Least cell energy above zero and greatest, MeV.
        bad: Impossible values; such showers are not in the sums.
        repeats: Showers that are there more than once.
        times: Times of cells, if they have any.
    """

    detector: Detector
    showers: int = 0
    image: NDArray[np.float64] = field(init=False)
    hits: NDArray[np.int64] = field(init=False)
    layer: NDArray[np.float64] = field(init=False)
    share: NDArray[np.float64] = field(init=False)
    response: NDArray[np.float64] = field(init=False)
    overflow: float = 0.0
    particles: Counter[int] = field(default_factory=Counter)
    low: dict[str, float] = field(default_factory=dict)
    high: dict[str, float] = field(default_factory=dict)
    cell: tuple[float, float] = (np.inf, 0.0)
    bad: BadEnergies = field(default_factory=BadEnergies)
    repeats: Repeats = field(default_factory=Repeats)
    times: TimeSpectra = field(init=False)

    def __post_init__(self) -> None:
        self.image = np.zeros(self.detector.n_cells)
        self.hits = np.zeros(self.detector.n_cells, np.int64)
        self.layer = np.zeros((2, self.detector.n_layers))
        self.share = np.zeros((2, self.detector.n_layers))
        self.response = np.zeros((3, len(_EDGES) + 1))
        self.times = TimeSpectra(self.detector)
        self._hash = {name: hashlib.sha256() for name in (*COLUMNS, "hits", "index", "cells", "overflow")}

    def add(self, part: Showers) -> None:
        """Take in the next showers."""
        self._digest(part)
        good = self.bad.good(part.incident, part.cells, part.overflow)
        part = part if good.all() else part[good]
        if len(part):
            self.showers += len(part)
            self._add_incident(part)
            self._add_energies(part)
            self.times.add(part)

    @property
    def checksum(self) -> str:
        """SHA-256 of detector and showers, hexadecimal: the same for the same showers in any format."""
        parts = [self.detector.digest, *(digest.hexdigest() for digest in self._hash.values())]
        return hashlib.sha256("".join(parts).encode()).hexdigest()

    def _digest(self, part: Showers) -> None:
        rows = Sparse.of(part.incident, part.cells, part.overflow, part.time)
        self.repeats.add(rows)
        values: dict[str, NDArray[Any]] = dict(rows.incident.items())
        values["hits"] = np.diff(rows.offset)
        values["index"] = rows.index.astype("<u4")
        values["cells"] = rows.energy
        if rows.overflow is not None:
            values["overflow"] = rows.overflow
        if rows.time is not None:
            # Only where there are any: files without times keep the checksum that they had.
            self._hash.setdefault("time", hashlib.sha256())
            values["time"] = rows.time
        for name, column in values.items():
            self._hash[name].update(np.ascontiguousarray(column).data)

    def _add_incident(self, part: Showers) -> None:
        for name, column in part.incident.items():
            self.low[name] = min(self.low.get(name, np.inf), float(column.min()))
            self.high[name] = max(self.high.get(name, -np.inf), float(column.max()))
        ids, counts = np.unique(part.incident.pdg, return_counts=True)
        self.particles.update(dict(zip(ids.tolist(), counts.tolist(), strict=True)))

    def _add_energies(self, part: Showers) -> None:
        self.image += part.cells.sum(axis=0, dtype=np.float64)
        self.hits += np.count_nonzero(part.cells, axis=0)
        energies = np.stack([layer.sum(axis=(1, 2), dtype=np.float64) for layer in part.layers()], axis=1)
        shares = energies / part.incident.energy[:, None].astype(np.float64)
        self.layer += energies.sum(axis=0), (energies**2).sum(axis=0)
        self.share += shares.sum(axis=0), (shares**2).sum(axis=0)
        response = shares.sum(axis=1)
        interval = np.searchsorted(_EDGES, part.incident.energy, side="right")
        for row, values in enumerate((np.ones_like(response), response, response**2)):
            self.response[row] += np.bincount(interval, values, len(_EDGES) + 1)
        if part.overflow is not None:
            self.overflow += float(part.overflow.sum(dtype=np.float64))
        hit = part.cells[part.cells > 0]
        if len(hit):
            self.cell = min(self.cell[0], float(hit.min())), max(self.cell[1], float(hit.max()))


def survey(source: ShowerSource, progress: Progress | None = None) -> Survey:
    """Read a whole file once, in constant memory.

    Raises:
        ShowersError: A damaged file, or one without showers.
    """
    if not len(source):
        raise ShowersError("the file holds no showers", where=source.path)
    sums = Survey(source.detector)
    for start, stop in source.spans():
        sums.add(source.raw(start, stop))
        if progress:
            progress(stop, len(source), "")
    return sums


def inspect(
    path: str | Path, detector: Detector | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """What is in a shower file of any format, as plain values.

    Args:
        path: The file; `F.h5.part` of a production that is not finished will do.
        detector: What was hit, where the file cannot say.
        progress: Called after every piece.

    Returns:
        Counts, detector, particles, ranges of the incident columns, response by energy, energy, occupancy and
        times of cells by layer (mean and quantiles are those of the energy), impossible values, repeated
        showers (how many were there before, and the numbers of the first two alike), provenance, and a
        checksum of the content. Energies in MeV, angles in rad, lengths in mm, times in ns;
        `spread` is the standard deviation over the mean.

    Raises:
        ShowersError: A damaged or unknown file, or one without showers.
    """
    with open_showers(path, detector) as source:
        return summary(source, survey(source, progress))


def summary(source: ShowerSource, sums: Survey) -> dict[str, Any]:
    """The survey of a file as plain values; see `inspect`."""
    detector = source.detector
    hits = int(sums.hits.sum())
    repeated, pair = sums.repeats.found()
    return {
        "file": str(source.path),
        "bytes": source.path.stat().st_size,
        "format": source.format,
        "finished": source.path.suffix != ".part",
        "showers": len(source),
        "detector": {
            "name": detector.name,
            "about": detector.about,
            "layers": detector.n_layers,
            "cells": detector.n_cells,
            "digest": detector.digest,
        },
        "particles": {particle_name(pdg): count for pdg, count in sums.particles.most_common()},
        "incident": {name: [sums.low[name], sums.high[name]] for name in sums.low if name != "pdg"},
        "response": _responses(sums),
        "layers": _layers(sums),
        "hits_per_shower": _ratio(hits, sums.showers),
        "occupancy": _ratio(hits, sums.showers * detector.n_cells),
        "cell_energy": list(sums.cell) if hits else None,
        "overflow_fraction": _ratio(sums.overflow, sums.overflow + float(sums.image.sum())),
        "bad": {**sums.bad.__dict__, "text": str(sums.bad)},
        "repeated": {"showers": repeated, "first": pair and list(pair)},
        "notes": list(source.notes),
        "provenance": source.provenance,
        "checksum": sums.checksum,
    }


def _responses(sums: Survey) -> list[dict[str, Any]]:
    """All energies together first, then each interval that has showers."""
    edges = [0.0, *_EDGES.tolist(), np.inf]
    rows = [(sums.low.get("energy", 0.0), sums.high.get("energy", 0.0), sums.response.sum(axis=1))]
    rows += [(edges[i], edges[i + 1], sums.response[:, i]) for i in np.flatnonzero(sums.response[0])]
    return [
        {"energy": [low, high], "showers": int(n), **_mean_spread(int(n), total, squares)}
        for low, high, (n, total, squares) in rows
        if n
    ]


def _layers(sums: Survey) -> list[dict[str, Any]]:
    total = float(sums.layer[0].sum())
    return [
        {
            "name": layer.name,
            "fraction": _ratio(float(sums.layer[0, i]), total),
            **_mean_spread(sums.showers, *sums.layer[:, i].tolist()),
            "occupancy": _ratio(int(sums.hits[layer.cells].sum()), sums.showers * layer.n_cells),
            "time": sums.times.of_layer(i),
        }
        for i, layer in enumerate(sums.detector.layers)
    ]


def _mean_spread(n: int, total: float, squares: float) -> dict[str, float | None]:
    mean = total / max(n, 1)
    variance = max(0.0, squares / max(n, 1) - mean**2)
    return {"mean": mean, "spread": variance**0.5 / mean if mean > 0 and n > 1 else None}


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
