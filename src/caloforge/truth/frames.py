"""From Geant4's axes to those of the readout: the detector's, or each particle's own."""

from __future__ import annotations

__all__ = ["readout_points"]

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from caloforge.truth.geometry import CM, turned, world_columns
from caloforge.truth.gun import directions

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.showers import Incident
    from caloforge.truth.steps import Steps


def readout_points(
    detector: Detector, incident: Incident, steps: Steps
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return start and end of each step as x, y and depth in the frame of the readout.

    * Planar, frame `detector`: the detector's axes.
    * Barrel, frame `detector`: the barrel unrolled; x is the arc at the inner radius, y runs along the
      barrel's axis, the depth is radial. A step stays a straight line there, which displaces the middle of
      a step of length L by L^2 / 8R at most (0.02 mm for 1 cm at 800 mm).
    * Frame `particle`: the origin where the particle enters, the depth along its direction. x and y are
      the detector's, turned with the z axis by the shortest way.

    Args:
        detector: What is hit.
        incident: The particles of the batch.
        steps: Deposits; `steps.shower` counts rows of `incident`.

    Returns:
        Two arrays of shape `(n, 3)`, cm, as Geant4's deposits are.
    """
    if detector.shape == "barrel" and not detector.alike_around:
        back = -incident.x.astype(np.float64)[steps.shower]
        start, end = (turned(detector, back, points) for points in (steps.start, steps.end))
        steps = replace(steps, start=start, end=end)
    if detector.readout.frame == "particle":
        # One shower's numbers are the same for all its steps, and most batches have one shower.
        shower = steps.shower if len(incident) > 1 else 0
        turn, entry = _rotations(incident)[:, :, shower], _entries(detector, incident)[:, shower]
        return _into(detector, steps.start, turn, entry), _into(detector, steps.end, turn, entry)
    if detector.shape == "planar":
        return steps.start, steps.end
    return _unrolled(detector, incident, steps)


def _into(
    detector: Detector,
    points: NDArray[np.float64],
    turn: NDArray[np.float64],
    entry: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Points in the particle's frame; `turn` has shape `(3, 3, n or none)`, `entry` `(3, n or none)`."""
    x, y, z = (points[:, column] - entry[i] for i, column in enumerate(world_columns(detector)))
    # Written out: a matrix product may round differently for one shower than for many.
    return np.column_stack([x * turn[0, i] + y * turn[1, i] + z * turn[2, i] for i in range(3)])


def _rotations(incident: Incident) -> NDArray[np.float64]:
    """Matrices whose columns are the readout's axes in the detector's, shape `(3, 3, n)`."""
    sx, sy, c = directions(incident).T
    xx, xy, yy = 1 - sx * sx / (1 + c), -sx * sy / (1 + c), 1 - sy * sy / (1 + c)
    return np.array([[xx, xy, sx], [xy, yy, sy], [-sx, -sy, c]])


def _entries(detector: Detector, incident: Incident) -> NDArray[np.float64]:
    """Where the particles enter, shape `(3, n)`; a barrel's depth begins at its axis here."""
    x, y = incident.x.astype(np.float64) / CM, incident.y.astype(np.float64) / CM
    if detector.shape == "planar":
        return np.stack([x, y, np.zeros(len(x))])
    return np.stack([np.zeros(len(x)), y, np.full(len(x), (detector.inner_radius or 0.0) / CM)])


def _unrolled(
    detector: Detector, incident: Incident, steps: Steps
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    radius = (detector.inner_radius or 0.0) / CM
    azimuth = np.arctan2(steps.start[:, 1], steps.start[:, 0])
    # The shortest way from start to end, also where it passes the back of the barrel.
    sweep = _wrapped(np.arctan2(steps.end[:, 1], steps.end[:, 0]) - azimuth)
    first = _wrapped(azimuth + incident.x.astype(np.float64)[steps.shower] / (CM * radius))
    points = []
    for place, angle in ((steps.start, first), (steps.end, first + sweep)):
        depth = np.hypot(place[:, 0], place[:, 1]) - radius
        points.append(np.column_stack([radius * angle, place[:, 2], depth]))
    return points[0], points[1]


def _wrapped(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.mod(angle + math.pi, 2 * math.pi) - math.pi
