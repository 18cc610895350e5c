"""Average images of layers: Geant4, candidate, and their ratio."""

from __future__ import annotations

__all__ = ["Triptych", "average_images", "layers_to_show"]

from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, LogLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from caloforge.detector import Detector
from caloforge.validation.figures.faces import Face, draw_face, layer_face
from caloforge.validation.figures.style import canvas

Array = NDArray[np.float64]
MOST_LAYERS = 6
ENERGY_COLOURS, RATIO_COLOURS = "viridis", "RdBu_r"
_DECADES = 5
_KNOWN = 0.3


@dataclass(frozen=True)
class Triptych:
    """Three figures of one layer."""

    title: str
    geant4: str
    candidate: str
    ratio: str


def average_images(
    detector: Detector, reference: Array, candidate: Array, reference_error: Array
) -> list[Triptych]:
    """Draw mean energies per cell; all layers, or six of many.

    Args:
        detector: What was hit.
        reference: Mean energy of each cell, shape `(n_cells,)`, MeV.
        candidate: The same of the candidate.
        reference_error: Standard error of the reference; the ratio leaves out what is not known well.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(reference_error < _KNOWN * reference, candidate / reference, np.nan)
    # zero means "empty" to a map, but here it means that the candidate never hits the cell
    ratio[ratio == 0] = 1e-9
    return [
        _triptych(detector, layer, reference, candidate, ratio)
        for layer in layers_to_show(detector, reference)
    ]


def layers_to_show(detector: Detector, mean: Array) -> list[int]:
    """Return all layers, or six that are spread over the depth with the shower maximum among them."""
    if detector.n_layers <= MOST_LAYERS:
        return list(range(detector.n_layers))
    energy = [float(part.sum()) for part in detector.split(mean[None])]
    spread = np.linspace(0, detector.n_layers - 1, MOST_LAYERS - 1).round().astype(int)
    return sorted({*spread.tolist(), int(np.argmax(energy))})


def _triptych(detector: Detector, layer: int, reference: Array, candidate: Array, ratio: Array) -> Triptych:
    norm = energy_norm(reference[detector.layers[layer].cells])
    title, name = detector.layers[layer].name.replace("_", " "), f"image-{layer}"
    colours = mpl.colormaps[ENERGY_COLOURS]
    maps = (layer_face(detector, layer, cells) for cells in (reference, candidate))
    geant4, other = (_figure(f"{name}-{i}", m, norm, colours, "MeV") for i, m in enumerate(maps))
    limits = LogNorm(0.5, 2.0, clip=True)
    face = layer_face(detector, layer, ratio)
    return Triptych(
        title, geant4, other, _figure(f"{name}-ratio", face, limits, mpl.colormaps[RATIO_COLOURS], "ratio")
    )


def energy_norm(cells: Array) -> Normalize:
    """Return a logarithmic colour scale that ends at the largest energy, over at most five decades."""
    filled = cells[cells > 0]
    if len(filled) == 0:
        return Normalize(0, 1)
    largest = float(filled.max())
    smallest = max(float(np.quantile(filled, 0.02)), largest * 10**-_DECADES)
    return LogNorm(min(smallest, largest / 2), largest, clip=True)


def _figure(name: str, face: Face, norm: Normalize, colours: Colormap, unit: str) -> str:
    with canvas(name, 3.6, 3.1) as drawing:
        axes = drawing.figure.add_axes((0.165, 0.165, 0.64, 0.743))
        drawn = draw_face(axes, face, norm, colours)
        axes.set_xlabel(face.labels[0])
        axes.set_ylabel(face.labels[1])
        axes.set_anchor("W")
        colour_bar(drawing.figure, drawn, (0.835, 0.165, 0.035, 0.743), unit)
    return drawing.svg


def colour_bar(
    figure: Figure, drawn: ScalarMappable, place: tuple[float, float, float, float], unit: str
) -> None:
    """Draw the colour scale of a map; a ratio's is labelled from a half to two."""
    bar = figure.colorbar(drawn, cax=figure.add_axes(place))
    bar.outline.set_linewidth(0.6)
    bar.ax.tick_params(which="both", length=2.5, width=0.6, pad=2, labelsize=9)
    bar.ax.yaxis.set_minor_locator(NullLocator())
    if unit == "ratio":
        bar.ax.yaxis.set_major_locator(FixedLocator([0.5, 0.7, 1.0, 1.4, 2.0]))
        bar.ax.yaxis.set_major_formatter(FixedFormatter(["0.5", "0.7", "1", "1.4", "2"]))
    elif isinstance(drawn.norm, LogNorm):
        bar.ax.yaxis.set_major_locator(LogLocator(numticks=7))
        bar.ax.yaxis.set_minor_formatter(NullFormatter())
    if unit != "ratio":
        bar.ax.set_title(unit, fontsize=9, pad=4, loc="left")
