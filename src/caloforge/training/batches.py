"""What a training reads: real showers in shuffled batches, and those on which epochs are compared."""

from __future__ import annotations

__all__ = ["TrainingData"]

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from caloforge.errors import RecipeError
from caloforge.showers import Incident, Showers, StreamingReader, open_showers
from caloforge.training.requests import Requests, ResponseFit, fit_response

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.training.recipe import Recipe

_IN_MEMORY = 512 * 2**20  # bytes of cells up to which the training part is kept on the device
_SELECT = 2000  # showers that compare epochs; more would not change the choice

# Keys of `simulate`'s provenance that hold the range which a column was drawn from.
_DRAWN_FROM = {
    "energy": "energy_mev",
    "theta": "theta_rad",
    "phi": "phi_rad",
    "x": "impact_x_mm",
    "y": "impact_y_mm",
}


class TrainingData:
    """The showers of a training; small sets live on the device as one tensor, large ones are streamed.

    Args:
        paths: Shower files of one detector.
        recipe: Says which parts of the files are used, and how.
        detector: The detector of the recipe, which the files must agree with.
        conditions: Incident columns that the generator knows.
        device: Where batches are wanted.

    Attributes:
        steps: Batches per epoch.
        incident: Incident columns of the training part.
        selection: Showers on which epochs are compared, or None.

    Raises:
        RecipeError: The parts overlap, or the showers are of several particles.
        ShowersError: A file cannot be read, is of another detector, or holds less than a batch.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        recipe: Recipe,
        detector: Detector,
        conditions: Sequence[str],
        device: torch.device,
    ) -> None:
        data, schedule = recipe.data, recipe.schedule
        if data.train + data.select > 1:
            raise RecipeError(
                "the parts that train and select overlap", where="data", got=f"{data.train} + {data.select}"
            )
        self.paths, self._conditions, self._device = list(paths), conditions, device
        self._batch, self._seed, self._share = schedule.batch, schedule.seed, data.train
        self._reader = StreamingReader(
            self.paths, self._batch, seed=self._seed, select=(0.0, data.train), detector=detector
        )
        self.steps = self._reader.steps
        self.incident = self._reader.incident()
        if "pdg" not in conditions:
            _one_particle(self.incident)
        self.selection = self._selection((data.train, data.train + data.select)) if data.select else None
        self._cells: Tensor | None = None
        if len(self._reader) * detector.n_cells * 4 <= _IN_MEMORY:
            self._load()

    def epoch(self, epoch: int, step: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Cells (MeV), conditions of an epoch's batches from a step on, in the order of seed and epoch."""
        if self._cells is None:
            for showers in self._reader.epoch(epoch, step):
                yield self._tensor(showers.cells), self._given(showers.incident)
            return
        order = np.random.default_rng((self._seed, epoch)).permutation(len(self._cells))
        rows = torch.from_numpy(order).to(self._device)
        for number in range(step, self.steps):
            chosen = rows[number * self._batch : (number + 1) * self._batch]
            yield self._cells[chosen], self._kept[chosen]

    def requests(self) -> Requests:
        """What a generator is asked for: uniform between the lowest and highest of each condition."""
        given = self._given(self.incident)
        particles = None
        if "pdg" in self._conditions:
            codes = tuple(int(code) for code in np.unique(self.incident.pdg))
            particles = codes, self._conditions.index("pdg")
        return Requests(given.amin(0), given.amax(0), particles)

    def facts(self) -> dict[str, Any]:
        """What a run remembers of its data: files, numbers, particles and ranges, and a fingerprint."""
        columns = {"energy": "MeV", "theta": "rad", "phi": "rad", "x": "mm", "y": "mm"}
        ranges = {name: self._range(name) for name in columns}
        return {
            "files": [str(path) for path in self.paths],
            "showers": len(self.incident),
            "selection": 0 if self.selection is None else len(self.selection),
            "units": columns,
            "particles": sorted({int(code) for code in np.unique(self.incident.pdg)}),
            **ranges,
            "fingerprint": _fingerprint(self.incident),
        }

    def _range(self, column: str) -> list[float]:
        """Lowest and highest value, or the range drawn from where a file says so: extremes lie inside it."""
        values = getattr(self.incident, column)
        ends = [float(values.min()), float(values.max())]
        for path in self.paths:
            with open_showers(path, self._reader.detector) as file:
                ends += file.provenance.get(_DRAWN_FROM[column], [])
        return [min(ends), max(ends)]

    def response(self) -> tuple[float, ResponseFit]:
        """Mean and fit of the energy in all cells over the incident energy, of 4096 showers that train."""
        with self._ordered((0.0, self._share), 4096) as reader:
            showers = next(iter(reader.epoch()))
        visible, energy = showers.cells.sum(axis=1), showers.incident.energy
        return float(np.mean(visible / energy)), fit_response(energy, visible)

    def close(self) -> None:
        """Close the files."""
        self._reader.close()

    def _load(self) -> None:
        with self._ordered((0.0, self._share), 4096) as reader:
            cells = np.concatenate([showers.cells for showers in reader.epoch()])
        self._cells, self._kept = self._tensor(cells), self._given(self.incident)

    def _selection(self, part: tuple[float, float]) -> Showers:
        with self._ordered(part, _SELECT) as reader:
            return next(iter(reader.epoch()))

    def _ordered(self, part: tuple[float, float], batch: int) -> StreamingReader:
        detector = self._reader.detector
        return StreamingReader(self.paths, batch, select=part, shuffle=False, detector=detector)

    def _given(self, incident: Incident) -> Tensor:
        return self._tensor(incident.matrix(self._conditions))

    def _tensor(self, array: np.ndarray[Any, np.dtype[np.float32]]) -> Tensor:
        return torch.from_numpy(array).to(self._device)


def _one_particle(incident: Incident) -> None:
    particles = np.unique(incident.pdg)
    if len(particles) > 1:
        raise RecipeError(
            "this model learns one kind of particle at a time",
            got="PDG ids " + ", ".join(map(str, particles)),
            cure="make one file and one run for each particle",
        )


def _fingerprint(incident: Incident) -> str:
    """Tell whether two trainings see the same showers, without reading all cells again."""
    digest = hashlib.sha256()
    for name, values in incident.items():
        digest.update(name.encode() + np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
