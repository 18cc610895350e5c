"""What a training reads: real showers in shuffled batches, and those on which epochs are compared."""

from __future__ import annotations

__all__ = ["TrainingData", "selection_showers", "unseen_showers"]

import hashlib
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from caloforge.errors import RecipeError
from caloforge.models.fitted.response import ResponseFit, fit_response
from caloforge.showers import Showers, StreamingReader
from caloforge.showers.reader import Fractions
from caloforge.showers.sparse import Sparse
from caloforge.training.facts import Facts
from caloforge.training.feeds import Batch, Feed, Kept, Streamed, to_device
from caloforge.training.requests import Requests
from caloforge.training.symmetry import Mirrors, mirrors_of

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.training.recipe import DataSettings, Recipe

_OF_GPU = 4  # a GPU keeps as much as this part of its free memory
_SELECT = 2000  # showers that compare epochs; more would not change the choice
_JUDGE = 20_000  # showers that judge generators
_SELECT_CELLS = 1 << 25  # cells of these at most, empty ones counted
_RESPONSE = 4096  # showers whose response is measured
_STRANGE = 0.1  # of the showers that select may have energies that none of those that train has
_WHOLE = ((0.0, 1.0),)
_MIRRORS = 3  # tells these random numbers apart from those of the order

# Keys of `simulate`'s provenance that hold the range which a column was drawn from.
_DRAWN_FROM = {
    "energy": "energy_mev",
    "theta": "theta_rad",
    "phi": "phi_rad",
    "x": "impact_x_mm",
    "y": "impact_y_mm",
}
_UNITS = {"energy": "MeV", "theta": "rad", "phi": "rad", "x": "mm", "y": "mm"}


class TrainingData:
    """The showers of a training, in memory that does not grow with the number and size of the files.

    Small sets live on the device as one tensor. Large ones are read ahead by another process. Either way the
    batch of an epoch and a step is the same: it depends on seed, files and size of a batch alone.

    Args:
        paths: Shower files of one detector.
        recipe: Says which parts of the files are used, and how.
        detector: The detector of the recipe, which the files must agree with.
        conditions: Incident columns that the generator knows.
        device: Where batches are wanted.
        rank: Number of this process, of several that share each batch.
        size: How many processes share each batch: this one gets the slice of `batch / size` showers from
            `rank * batch / size` on.

    Attributes:
        steps: Batches per epoch.
        selection: Showers on which epochs are compared, or None; the same in each process.
        waited: Seconds that were spent waiting for batches so far, unpacking and copying included.

    Raises:
        RecipeError: The parts overlap or are empty, the showers are of several particles or have no mirror
            images, or the processes cannot share a batch.
        ShowersError: A file cannot be read, is of another detector, or holds less than a batch.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        recipe: Recipe,
        detector: Detector,
        conditions: Sequence[str],
        device: torch.device,
        rank: int = 0,
        size: int = 1,
    ) -> None:
        data, schedule = recipe.data, recipe.schedule
        if schedule.batch % size:
            raise RecipeError(
                "the processes cannot share a batch equally",
                where="schedule.batch",
                got=f"{schedule.batch} showers for {size} processes",
                expected=f"a multiple of {size}",
            )
        self.paths, self._conditions, self._device = list(paths), conditions, device
        self._batch, self._seed, self._part = schedule.batch, schedule.seed, (rank, size)
        self._memory = schedule.memory_mb * 2**20
        train, select = _split(self.paths, data)
        self._reader = StreamingReader(
            train[0], self._batch, seed=self._seed, select=train[1], detector=detector, part=self._part
        )
        self.steps = self._reader.steps
        self._facts = Facts(self._reader.incidents())
        _known(self._facts.particles, getattr(recipe.model, "particles", ()))
        if "pdg" not in conditions:
            _one_particle(self._facts.particles)
        selects = data.select or data.folds > 1
        self.selection = _dense(*select, self._reader.detector, _SELECT) if selects else None
        if data.split == "file" and self.selection is not None:
            _alike(self._facts, self.selection)
        self._mirrors = self._find_mirrors() if data.mirror else None
        self._feed: Feed | None = None
        self.waited = 0.0

    def __len__(self) -> int:
        """Showers that train."""
        return len(self._reader)

    def epoch(self, epoch: int, step: int = 0) -> Iterator[Batch]:
        """Cells (MeV), conditions of an epoch's batches from a step on, in the order of seed and epoch."""
        begin = time.perf_counter()
        for number, batch in enumerate(self._batches(epoch, step), start=step):
            mirrored = self._mirrored(batch, epoch, number)
            self.waited += time.perf_counter() - begin
            yield mirrored
            begin = time.perf_counter()

    @property
    def images(self) -> torch.Tensor | None:
        """Cell that each cell gets its energy from, `(mirrors, n_cells)`; None if showers stay as is."""
        return None if self._mirrors is None else self._mirrors.cells

    def requests(self) -> Requests:
        """What a generator is asked for: uniform between the lowest and highest of each condition."""
        low, high = (
            torch.tensor([ends[name] for name in self._conditions], device=self._device)
            for ends in (self._facts.low, self._facts.high)
        )
        particles = None
        if "pdg" in self._conditions:
            particles = tuple(self._facts.particles), self._conditions.index("pdg")
        return Requests(low, high, particles)

    def facts(self) -> dict[str, Any]:
        """What a run remembers of its data: files, numbers, particles and ranges, and a fingerprint."""
        mirrors = {} if self._mirrors is None else {"mirrors": self._mirrors.names}
        return {
            "files": [str(path) for path in self.paths],
            "showers": len(self),
            "selection": 0 if self.selection is None else len(self.selection),
            "units": _UNITS,
            "particles": self._facts.particles,
            **self._ranges(),
            "values": {name: found for name, found in self._facts.values.items() if name in _UNITS},
            **mirrors,
            "fingerprint": self._fingerprint(),
        }

    def _ranges(self) -> dict[str, list[float]]:
        """Lowest and highest values, or the ranges drawn from where a file says so: extremes lie inside."""
        ends = {name: [self._facts.low[name], self._facts.high[name]] for name in _UNITS}
        for provenance in self._reader.provenances():
            for name, key in _DRAWN_FROM.items():
                ends[name] += provenance.get(key, [])
        return {name: [min(values), max(values)] for name, values in ends.items()}

    def response(self) -> tuple[float, ResponseFit]:
        """Mean and fit of the energy in all cells over the incident energy, of 4096 showers that train."""
        visible, energy = self._first
        return float(np.mean(visible / energy)), fit_response(energy, visible)

    @cached_property
    def _first(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Energies in all cells, and incident energies, MeV."""
        rows = Sparse.concat(list(self._reader.in_order(_RESPONSE)))
        return _sums(rows), rows.incident.energy

    def _fingerprint(self) -> str:
        """Of all incident particles, and of the energies in the cells of the first showers."""
        return hashlib.sha256(self._facts.fingerprint.encode() + self._first[0].tobytes()).hexdigest()

    def close(self) -> None:
        """Close the files, and end the process that reads ahead."""
        if self._feed is not None:
            self._feed.close()
        self._reader.close()

    def _batches(self, epoch: int, step: int) -> Iterator[Batch]:
        size, order = self._batch // self._part[1], self._reader.order
        first, skip = divmod(step, order.round_steps)
        for number in range(first, order.rounds):
            take = self._source().round(epoch, number)
            steps = min(order.round_steps, order.steps - number * order.round_steps)
            for place in range(skip, steps):
                yield take(slice(place * size, (place + 1) * size))
            skip = 0

    def _source(self) -> Feed:
        """Where batches come from; made when the first is wanted."""
        if self._feed is None:
            few = len(self) * self._reader.detector.n_cells * 4 <= _room(self._device, self._memory)
            self._feed = (Kept if few else Streamed)(self._reader, self._conditions, self._device)
        return self._feed

    def _mirrored(self, batch: Batch, epoch: int, step: int) -> Batch:
        if self._mirrors is None:
            return batch
        rank, size = self._part
        random = np.random.default_rng((self._seed, _MIRRORS, epoch, step))
        slices = self._mirrors.draw(self._batch, random).reshape(size, -1)
        return self._mirrors(*batch, to_device(slices[rank], self._device))

    def _find_mirrors(self) -> Mirrors:
        detector, facts = self._reader.detector, self._facts
        mirrors = mirrors_of(detector, facts)
        return Mirrors(mirrors, detector, self._conditions, facts.low["phi"], self._device)


def selection_showers(paths: Sequence[Path], data: DataSettings, detector: Detector) -> Showers:
    """Return the showers on which the epochs of a training are compared.

    Args:
        paths: Its shower files.
        data: Says which part of them selects.
        detector: Of the training.

    Raises:
        RecipeError: No part selects.
        ShowersError: A file cannot be read, or is of another detector.
    """
    if not data.select and data.folds == 1:
        raise RecipeError("no showers select", where="data.select", got=0, cure="--set data.select=0.15")
    return _dense(*_split(paths, data)[1], detector, _SELECT)


def unseen_showers(paths: Sequence[Path], data: DataSettings | None, detector: Detector) -> Showers:
    """Return the first showers that no training sees, as many as memory allows.

    Args:
        paths: Shower files.
        data: Says which part of them trains or selects; None: none of them does.
        detector: Of the training.

    Raises:
        RecipeError: All train or select.
        ShowersError: A file cannot be read, or is of another detector.
    """
    used = 0.0 if data is None else data.train + data.select
    if data is not None and data.split == "file":
        paths, used = paths[round(used * len(paths)) :], 0.0
    if not paths or used >= 1:
        raise RecipeError(
            "all showers train or select, so that none is left to judge",
            where="data",
            cure="smaller data.train and data.select, or showers that judge in a file of their own",
        )
    return _dense(paths, ((used, 1.0),), detector, _JUDGE)


def _dense(paths: Sequence[Path], part: tuple[Fractions, ...], detector: Detector, showers: int) -> Showers:
    """The first showers of a part of the files."""
    with StreamingReader(paths, 1, select=part, shuffle=False, detector=detector) as reader:
        most = min(showers, max(1, _SELECT_CELLS // detector.n_cells))
        rows = Sparse.concat(list(reader.in_order(most)))
    return Showers(detector, rows.incident, rows.dense(), rows.overflow)


_Part: TypeAlias = "tuple[Sequence[Path], tuple[Fractions, ...]]"


def _split(paths: Sequence[Path], data: DataSettings) -> tuple[_Part, _Part]:
    """Files, and what parts of each, that train and that select."""
    ends = data.train, data.train + data.select
    if ends[1] > 1:
        raise RecipeError(
            "the parts that train and select overlap",
            where="data",
            got=f"{data.train} + {data.select}",
            cure=f"--set data.select={max(0.0, round(1 - data.train, 3)):g}",
        )
    if data.folds > 1:
        return _fold(paths, data, ends[1])
    if data.split == "shower":
        return (paths, ((0.0, ends[0]),)), (paths, (ends,))
    train, select = (round(end * len(paths)) for end in ends)
    if train < 1 or (data.select and select == train):
        raise RecipeError(
            "there are too few files to divide",
            where="data.split: file",
            got=f"{len(paths)} files, of which {train} train and {select - train} select",
            expected="at least one that trains and one that selects",
            cure="give more files, or divide the showers of each: data.split=shower",
        )
    return (paths[:train], _WHOLE), (paths[train:select], _WHOLE)


def _fold(paths: Sequence[Path], data: DataSettings, end: float) -> tuple[_Part, _Part]:
    """The same for one fold of what is left of `end`."""
    if data.fold >= data.folds:
        raise RecipeError(
            "there is no such fold",
            where="data.fold",
            got=data.fold,
            expected=f"0 to {data.folds - 1}, as data.folds is {data.folds}",
        )
    if data.split == "shower":
        low, high = (end * number / data.folds for number in (data.fold, data.fold + 1))
        train = tuple(part for part in ((0.0, low), (high, end)) if part[1] > part[0])
        return (paths, train), (paths, ((low, high),))
    used = paths[: round(end * len(paths))]
    if len(used) < data.folds:
        raise RecipeError(
            "there are too few files to divide",
            where="data.split: file",
            got=f"{len(used)} files",
            expected=f"at least {data.folds}, one for each fold",
            cure="give more files, ask for fewer folds, or divide the showers of each: data.split=shower",
        )
    first, last = (round(len(used) * number / data.folds) for number in (data.fold, data.fold + 1))
    return ([*used[:first], *used[last:]], _WHOLE), (used[first:last], _WHOLE)


def _room(device: torch.device, memory: int) -> int:
    """Bytes of cells that may be kept."""
    if device.type != "cuda":
        return memory
    return max(memory, torch.cuda.mem_get_info(device)[0] // _OF_GPU)


def _known(particles: Sequence[int], wanted: Sequence[int]) -> None:
    """See that the showers are of the particles that the model is to learn, and of all of them."""
    if wanted and set(particles) != set(wanted):
        raise RecipeError(
            "the showers are of other particles than the recipe says",
            where="model.particles",
            got="showers of PDG ids " + ", ".join(map(str, particles)),
            expected="showers of PDG ids " + ", ".join(map(str, sorted(wanted))),
            cure=f"--set 'model.particles={sorted(particles)}', or train on other files",
        )


def _one_particle(particles: Sequence[int]) -> None:
    if len(particles) > 1:
        raise RecipeError(
            "this model learns one kind of particle at a time",
            got="PDG ids " + ", ".join(map(str, particles)),
            cure="make one file and one run for each particle",
        )


def _alike(facts: Facts, selection: Showers) -> None:
    """See that whole files were not divided by what they hold."""
    energy = selection.incident.energy
    strange = float(np.mean((energy < facts.low["energy"]) | (energy > facts.high["energy"])))
    if strange > _STRANGE:
        raise RecipeError(
            "the files that select hold other energies than those that train",
            where="data.split: file",
            got=f"{strange:.0%} of them outside",
            expected=f"{facts.low['energy']:g} to {facts.high['energy']:g} MeV",
            cure="give the files in another order, or divide the showers of each: data.split=shower",
        )


def _sums(rows: Sparse) -> NDArray[np.float32]:
    """Energy in all cells of each shower, MeV."""
    shower = np.repeat(np.arange(len(rows)), np.diff(rows.offset))
    return np.bincount(shower, rows.energy, len(rows)).astype(np.float32)
