"""A reconstruction network: particle, energy and angle from the cells, and its errors on other showers."""

from __future__ import annotations

__all__ = ["Residuals", "Task", "answers", "apply", "task_of", "train"]

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from caloforge.detector import Detector
from caloforge.validation.classifiers.inputs import Table
from caloforge.validation.classifiers.learning import Learner, predict
from caloforge.validation.classifiers.recipes import Schedule
from caloforge.validation.inputs.sample import Sample

if TYPE_CHECKING:
    from torch import Tensor, nn

Array = NDArray[np.float64]

SCHEDULE = Schedule(1e-3, 128, 40, steps=1600, best="loss", cosine=True)
WIDTH = 256
HIDDEN = 3
"""TriForce's best has 4 hidden layers of 512 for 25 to 40 times the inputs and 100 times the showers."""

_KEV = 1e-3
_RARE = 50
_SELECT = 5
_AT_ONCE = 2000
_VARIES = 1e-3


@dataclass(frozen=True)
class Task:
    """What the network is asked, and how its inputs are scaled: decided by Geant4 alone, the same for all.

    Attributes:
        detector: What was hit.
        particles: PDG ids to tell apart; fewer than two: none.
        angle: Whether it measures theta.
        faint: Energy where the logarithm of a cell sets in, MeV.
        loss: Mean and standard deviation of `log(E_inc / E_tot)`.
        theta: Mean and standard deviation of theta, rad.
        sums: Mean and standard deviation of log total and layer energies, shape `(2, 1 + layers)`.
    """

    detector: Detector
    particles: tuple[int, ...]
    angle: bool
    faint: float
    loss: tuple[float, float]
    theta: tuple[float, float]
    sums: Array

    @property
    def outputs(self) -> int:
        """Numbers that the network says of a shower."""
        return 1 + int(self.angle) + (len(self.particles) if len(self.particles) > 1 else 0)

    def inputs(self, sample: Sample) -> Table:
        """Return logarithms of cells, layers and total of a sample's showers, shape `(c, ...)`."""
        columns = np.log(_sums(self.detector, sample.cells))
        sums = (columns - self.sums[0]) / self.sums[1]
        step = range(0, sample.cells.shape[0], _AT_ONCE)
        cells = [np.log1p(sample.cells[i : i + _AT_ONCE].toarray() / self.faint) for i in step]
        # about as much weight for all cells together as for a few sums
        scaled = np.concatenate(cells).astype(np.float32) / np.float32(math.sqrt(self.detector.n_cells) / 3)
        return Table(np.concatenate([scaled, sums], axis=1, dtype=np.float32))

    def targets(self, sample: Sample) -> NDArray[np.float32]:
        """Return what it should say, shape `(c, 2 or 3)`: energy and angle, scaled, and the particle."""
        rows = sample.chosen[: sample.cells.shape[0]]
        ratio = np.log(sample.incident.energy[rows] / _sums(self.detector, sample.cells)[:, 0])
        columns = [(ratio - self.loss[0]) / self.loss[1]]
        if self.angle:
            theta = sample.incident.theta[rows].astype(np.float64)
            columns.append((theta - self.theta[0]) / self.theta[1])
        columns.append(_number(sample.incident.pdg[rows], self.particles).astype(np.float64))
        return np.stack(columns, axis=1).astype(np.float32)


@dataclass(frozen=True)
class Residuals:
    """What a network says of showers, beside the truth.

    Attributes:
        energy: Incident energies, shape `(c,)`, MeV.
        relative: `100 (E - prediction) / E`, shape `(c,)`, %.
        angle: `prediction - theta`, shape `(c,)`, mrad; None if it is not measured.
        particle: Number of the particle, -1 if not one of the task's, shape `(c,)`.
        classes: Probability of each particle, shape `(c, particles)`; None if there is one particle.
    """

    energy: Array
    relative: Array
    angle: Array | None
    particle: NDArray[np.int64]
    classes: Array | None


def task_of(sample: Sample) -> Task:
    """Return what can be asked of Geant4: particles with 50 showers or more, an angle that varies.

    Args:
        sample: Geant4; with at least one shower with energy.
    """
    rows = sample.chosen[: sample.cells.shape[0]]
    pdg, counts = np.unique(sample.incident.pdg[rows], return_counts=True)
    sums = _sums(sample.detector, sample.cells)
    ratio = np.log(sample.incident.energy[rows] / sums[:, 0])
    theta = sample.incident.theta[rows].astype(np.float64)
    logs = np.log(sums)
    return Task(
        detector=sample.detector,
        particles=tuple(int(p) for p, count in zip(pdg, counts, strict=True) if count >= _RARE and p != 0),
        angle=bool(theta.std() > _VARIES),
        faint=float(np.quantile(sample.cells.data, 0.25)),
        loss=(float(np.median(ratio)), float(max(ratio.std(), 1e-4))),
        theta=(float(theta.mean()), float(max(theta.std(), 1e-6))),
        sums=np.stack([logs.mean(axis=0), np.maximum(logs.std(axis=0), 1e-3)]),
    )


def train(task: Task, sample: Sample, seed: int, tell: Callable[[float], None]) -> nn.Module:
    """Train the network on a sample; a fifth of it chooses the epoch.

    Args:
        task: What it learns.
        sample: Showers to learn from.
        seed: Seed of weights, batches and of what chooses.
        tell: Called with the share that is done.
    """
    from caloforge.validation.classifiers.networks import dense

    inputs, targets = task.inputs(sample), task.targets(sample)
    loss = _loss(task)
    learner = Learner(
        lambda: dense(inputs.width, WIDTH, HIDDEN, task.outputs),
        loss,
        lambda said, wanted: -float(loss(said, wanted)),
        SCHEDULE,
        seed,
    )
    order = np.random.default_rng([seed, 8]).permutation(len(inputs))
    fifth = len(order) // _SELECT
    network, _ = learner.fit(inputs, targets, order[fifth:], order[:fifth], tell)
    return network


def apply(task: Task, network: nn.Module, sample: Sample) -> Residuals:
    """Ask the network about a sample.

    Args:
        task: What it has learned.
        network: From `train`.
        sample: Showers that it has not seen.
    """
    rows = sample.chosen[: sample.cells.shape[0]]
    said = predict(network, task.inputs(sample), np.arange(len(rows))).double().numpy()
    energy = sample.incident.energy[rows].astype(np.float64)
    # no more than a factor of e^10 from what is deposited, so that nonsense stays finite
    factor = np.exp(np.clip(said[:, 0] * task.loss[1] + task.loss[0], -10, 10))
    predicted = _sums(task.detector, sample.cells)[:, 0] * factor
    angle = None
    if task.angle:
        angle = 1e3 * (said[:, 1] * task.theta[1] + task.theta[0] - sample.incident.theta[rows])
    particle = _number(sample.incident.pdg[rows], task.particles)
    return Residuals(energy, 100 * (energy - predicted) / energy, angle, particle, answers(task, said))


def answers(task: Task, said: Array) -> Array | None:
    """Return the probability of each particle, shape `(c, particles)`; None if there is one particle.

    Args:
        task: What it has learned.
        said: The network's outputs, shape `(c, task.outputs)`.
    """
    if len(task.particles) < 2:
        return None
    scores = said[:, -len(task.particles) :]
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def _sums(detector: Detector, cells: csr_array) -> Array:
    """Total and layer energies, 1 keV added, shape `(c, 1 + layers)`, MeV."""
    member = np.arange(len(detector.layers)) == detector.layer_of_cell[:, None]
    layers = cells.astype(np.float64) @ member.astype(np.float64)
    return np.column_stack([layers.sum(axis=1), layers]) + _KEV


def _number(pdg: NDArray[np.int32], particles: tuple[int, ...]) -> NDArray[np.int64]:
    """Number of each particle among `particles`, -1 for others."""
    if not particles:
        return np.full(len(pdg), -1)
    place = np.clip(np.searchsorted(particles, pdg), 0, len(particles) - 1)
    return np.where(np.asarray(particles)[place] == pdg, place, -1)


def _loss(task: Task) -> Callable[[Tensor, Tensor], Tensor]:
    """Squared errors of energy and angle in their own spreads, and the cross-entropy of the particles."""
    measured = 1 + int(task.angle)
    particles = len(task.particles)

    def loss(said: Tensor, wanted: Tensor) -> Tensor:
        from torch.nn.functional import cross_entropy, huber_loss

        total = huber_loss(said[:, :measured], wanted[:, :measured], delta=3.0) * measured
        if particles > 1:
            known = wanted[:, -1] >= 0
            if bool(known.any()):
                total = total + cross_entropy(said[known][:, -particles:], wanted[known, -1].long())
        return total

    return loss
