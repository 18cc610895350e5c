"""Single showers: one of Geant4 beside the candidate's of nearest incident energy."""

from __future__ import annotations

__all__ = ["Pair", "shower_pairs"]

from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from caloforge.detector import Detector
from caloforge.showers import Showers
from caloforge.validation.figures.faces import Face, draw_face, front_face, layer_face, side_face
from caloforge.validation.figures.images import ENERGY_COLOURS, colour_bar, energy_norm
from caloforge.validation.figures.style import canvas

Array = NDArray[np.float64]
_PANELS = 4


@dataclass(frozen=True)
class Pair:
    """Two figures with the incident energies of their showers, MeV."""

    geant4: str
    geant4_energy: float
    candidate: str
    candidate_energy: float


def shower_pairs(reference: Showers, candidate: Showers) -> list[Pair]:
    """Draw showers side by side, with one colour scale per pair.

    Args:
        reference: Some showers of Geant4.
        candidate: As many of the candidate, each with about the same incident energy.
    """
    pairs = []
    for i in range(len(reference)):
        norm = energy_norm(np.asarray(reference.cells[i], np.float64))
        figures = [_figure(f"shower-{i}-{j}", s, i, norm) for j, s in enumerate((reference, candidate))]
        energies = [float(s.incident.energy[i]) for s in (reference, candidate)]
        pairs.append(Pair(figures[0], energies[0], figures[1], energies[1]))
    return pairs


def _figure(name: str, showers: Showers, i: int, norm: Normalize) -> str:
    faces = _views(showers.detector, np.asarray(showers.cells[i], np.float64))
    # One row of panels that stays legible on a telephone
    alone = any(face.labels[1] != faces[0][1].labels[1] for _, face in faces)
    left, right, gap = 0.09, 0.865, 0.1 if alone else 0.025
    width = (right - left + gap) / len(faces) - gap
    with canvas(name, 5.2, 0.68 + 5.2 * width) as drawing:
        bottom, height = 0.40 / (0.68 + 5.2 * width), 5.2 * width / (0.68 + 5.2 * width)
        for k, (title, face) in enumerate(faces):
            axes = drawing.figure.add_axes((left + k * (width + gap), bottom, width, height * 0.96))
            drawn = draw_face(axes, face, norm, mpl.colormaps[ENERGY_COLOURS])
            axes.set_title(title, fontsize=9.5, pad=3)
            axes.tick_params(labelsize=8, labelleft=k == 0 or alone, length=3)
            axes.set_xlabel(face.labels[0], fontsize=9, labelpad=1)
            if k == 0 or alone:
                axes.set_ylabel(face.labels[1], fontsize=9, labelpad=0)
        colour_bar(drawing.figure, drawn, (0.885, bottom, 0.02, height * 0.92), "MeV")
    return drawing.svg


def _views(detector: Detector, cells: Array) -> list[tuple[str, Face]]:
    layers = detector.layers
    if len(layers) > 1 and all(layer.grid == layers[0].grid for layer in layers):
        return [("all layers", front_face(detector, cells)), ("from the side", side_face(detector, cells))]
    return [
        (layer.name.replace("_", " "), layer_face(detector, layer.index, cells)) for layer in layers[:_PANELS]
    ]
