"""One quantity in all layers of a detector with many: means above, separation power below."""

from __future__ import annotations

__all__ = ["layers_figure"]

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from caloforge.validation.distances import Distance
from caloforge.validation.figures.style import (
    CANDIDATE,
    GEANT4,
    axis_label,
    canvas,
    minor_ticks,
    unit_scale,
)


def layers_figure(distances: Sequence[Distance], label: str) -> str:
    """Draw means and separation power of one quantity against the layer; returns SVG.

    Args:
        distances: The quantity in each layer that has it.
        label: What the quantity is, without the layer.
    """
    layer = np.array([d.layer for d in distances])
    mean, other, sigma = (
        np.array([getattr(d, key) for d in distances]) for key in ("mean", "candidate_mean", "sigma")
    )
    unit, scale = unit_scale(distances[0].unit, float(np.nanmax(mean + sigma)))
    with canvas(f"layers-{distances[0].quantity}", 4.4, 3.9) as drawing:
        top = drawing.figure.add_axes((0.155, 0.45, 0.815, 0.495))
        bottom = drawing.figure.add_axes((0.155, 0.135, 0.815, 0.275))
        top.fill_between(
            layer, (mean - sigma) / scale, (mean + sigma) / scale, color=GEANT4, alpha=0.22, linewidth=0
        )
        top.plot(layer, mean / scale, color=GEANT4, linewidth=1.2, label="Geant4, mean and spread")
        top.plot(layer, other / scale, "o", color=CANDIDATE, markersize=3, label="candidate")
        _draw_separation(bottom, layer, distances)
        for axes in (top, bottom):
            axes.set_xlim(layer.min() - 0.7, layer.max() + 0.7)
        low, high = top.get_ylim()
        top.set_ylim(low, high + 0.3 * (high - low))
        top.legend(loc="upper right", ncols=2, borderaxespad=0.2, columnspacing=1.2)
        top.tick_params(labelbottom=False)
        top.set_ylabel(axis_label(label, unit))
        bottom.set_ylabel("separation", loc="center")
        bottom.set_xlabel("Layer")
        for axes in (top, bottom):
            minor_ticks(axes)
    return drawing.svg


def _draw_separation(axes: Axes, layer: NDArray[np.int64], distances: Sequence[Distance]) -> None:
    measures = [d.measures["separation"] for d in distances]
    floor, scatter, value = (
        np.array([getattr(m, key) for m in measures]) for key in ("floor", "floor_error", "value")
    )
    axes.fill_between(layer, floor - 2 * scatter, floor + 2 * scatter, color=GEANT4, alpha=0.28, linewidth=0)
    axes.plot(layer, floor, color=GEANT4, linewidth=1.0)
    axes.plot(layer, np.maximum(value, 1e-4), "o", color=CANDIDATE, markersize=3)
    axes.set_yscale("log")
    axes.set_ylim(max(float(np.nanmin([floor, value])) / 2, 1e-4), 1.2)
