"""Showers in space as still pictures; the page turns them."""

from __future__ import annotations

__all__ = ["cloud_plates"]

from itertools import pairwise

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_hex
from numpy.typing import NDArray

from caloforge.validation.charts import Cloud
from caloforge.validation.figures.plate import Plate
from caloforge.validation.figures.style import Look, short

Array = NDArray[np.float64]
WIDTH, HEIGHT = 259.0, 223.0
_TURN, _TILT = np.radians(-52.0), np.radians(20.0)
_MOST, _LEVELS = 2500, 24
_COLOURS = LinearSegmentedColormap.from_list("energy", ["#c4cede", "#6f8fd0", "#8a3fa0", "#d4430f"])


def cloud_plates(chart: Cloud, look: Look) -> list[Plate]:
    """Draw each shower on its own plate, all in one perspective and with one scale of energy."""
    energies = [hits[:, 3][hits[:, 3] > 0] for _, _, hits in chart.showers]
    known = np.concatenate([*energies, np.empty(0)])
    top = float(known.max()) if len(known) else 1.0
    ends = (max(float(known.min()), top * 1e-4) if len(known) else 0.1 * top, top)
    seen, plates = 0, []
    for name, role, hits in chart.showers:
        colour = f"candidate-{look.place(name, seen)}" if role == "candidate" else role
        seen += role == "candidate"
        plates.append(_plate(name, colour, hits, chart.size, ends))
    return plates


def _plate(
    name: str, colour: str, hits: Array, size: tuple[float, float, float], ends: tuple[float, float]
) -> Plate:
    plate = Plate(WIDTH, HEIGHT)
    plate.marks(np.array([[10.0, 212.5]]), "circle", 3.5, colour)
    plate.text(18.0, 209.0, short(name, 30), 10.5)
    scale = 190.0 / float(np.hypot(np.hypot(*size[:2]), size[2]))
    _box(plate, size, scale)
    _hits(plate, hits, size, scale, ends)
    return plate


def _seen(points: Array, size: tuple[float, float, float], scale: float) -> tuple[Array, Array]:
    """Return positions on the plate `(k, 2)` and distances towards the eye `(k,)`."""
    x, y, z = points[:, 0], points[:, 1], points[:, 2] - size[2] / 2
    right = np.cos(_TURN) * x - np.sin(_TURN) * z
    away = np.sin(_TURN) * x + np.cos(_TURN) * z
    up = np.cos(_TILT) * y + np.sin(_TILT) * away
    near = -np.cos(_TILT) * away + np.sin(_TILT) * y
    return np.column_stack([WIDTH / 2 + scale * right, 102.0 + scale * up]), near


def _box(plate: Plate, size: tuple[float, float, float], scale: float) -> None:
    x, y, z = size
    ends = [(a, b, c) for a in (-x / 2, x / 2) for b in (-y / 2, y / 2) for c in (0.0, z)]
    pairs = [
        (p, q) for p in ends for q in ends if sum(a != b for a, b in zip(p, q, strict=True)) == 1 and p < q
    ]
    plate.stroke([_seen(np.array(pair), size, scale)[0] for pair in pairs], "floor", 0.6)
    arrow, _ = _seen(np.array([(0.0, 0.0, -0.16 * z), (0.0, 0.0, 0.0)]), size, scale)
    plate.stroke([arrow], "ink", 1.2)
    along = arrow[1] - arrow[0]
    along, across = along / np.hypot(*along) * 5, np.array([-along[1], along[0]]) / np.hypot(*along) * 2.2
    plate.fill([np.array([arrow[1], arrow[1] - along + across, arrow[1] - along - across])], "ink")


def _hits(
    plate: Plate, hits: Array, size: tuple[float, float, float], scale: float, ends: tuple[float, float]
) -> None:
    hits = hits[hits[:, 3] > 0]
    hits = hits[np.argsort(-hits[:, 3])[:_MOST]]
    if len(hits) == 0:
        return
    at, near = _seen(hits[:, :3], size, scale)
    share = np.clip(np.log(hits[:, 3] / ends[0]) / max(np.log(ends[1] / ends[0]), 1e-9), 0, 1)
    level = np.round(share * (_LEVELS - 1)).astype(int)
    order = np.argsort(near)
    # neighbours of one level become one path; the far ones are drawn first
    starts = [0, *(np.flatnonzero(np.diff(level[order])) + 1).tolist(), len(order)]
    for first, last in pairwise(starts):
        rows = order[first:last]
        shade = level[rows[0]] / (_LEVELS - 1)
        plate.marks(at[rows], "square", 0.9 + 2.2 * shade, str(to_hex(_COLOURS(shade))))
