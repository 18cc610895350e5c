"""Plates as matplotlib figures, for print."""

from __future__ import annotations

__all__ = ["figure_of", "save_pdf"]

import io
from collections.abc import Sequence
from pathlib import Path as File
from typing import Literal

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.text import Text as Label
from matplotlib.transforms import Affine2D, Transform

from caloforge.validation.figures.glyphs import strange_letters
from caloforge.validation.figures.plate import CORNERS, Marks, Plate, Stroke, Text
from caloforge.validation.figures.style import LIGHT, font_style
from caloforge.writing import replace_bytes

_POINTS = 72.0
_CIRCLE = Path.circle()


def figure_of(plates: Sequence[Plate], columns: int = 3) -> Figure:
    """Set plates side by side, in rows, on one figure in light colours.

    Args:
        plates: All of one size.
        columns: Most plates in a row.
    """
    columns = min(columns, len(plates))
    rows = -(-len(plates) // columns)
    wide, high = plates[0].width, plates[0].height
    figure = Figure(figsize=(columns * wide / _POINTS, rows * high / _POINTS), dpi=_POINTS)
    for i, plate in enumerate(plates):
        place = Affine2D().translate(i % columns * wide, (rows - 1 - i // columns) * high)
        for item in plate.items:
            _add(figure, item, place)
    return figure


def save_pdf(plates: Sequence[Plate], path: File, columns: int = 3) -> None:
    """Write plates as one PDF.

    Args:
        plates: All of one size.
        path: File to write.
        columns: Most plates in a row.
    """
    with mpl.rc_context({**font_style(), "pdf.fonttype": 3}), strange_letters():
        figure = figure_of(plates, columns)
        canvas = FigureCanvasPdf(figure)
        drawn = io.BytesIO()
        canvas.print_pdf(drawn, metadata={"CreationDate": None})  # type: ignore[no-untyped-call]
    replace_bytes(path, drawn.getvalue())


def _add(figure: Figure, item: Stroke | Marks | Text, place: Affine2D) -> None:
    # points become pixels by the figure's own scale, which a PDF sets to 72 dots per inch
    onto: Transform = place + Affine2D().scale(1 / _POINTS) + figure.dpi_scale_trans
    if isinstance(item, Text):
        figure.add_artist(_label(item, onto))
        return
    patch = _stroke(item) if isinstance(item, Stroke) else _marks(item)
    patch.set_transform(onto)
    figure.add_artist(patch)
    if item.clip is not None:
        box = item.clip
        patch.set_clip_path(
            Rectangle((box.left, box.bottom), box.right - box.left, box.top - box.bottom, transform=onto)
        )


def _label(item: Text, onto: Transform) -> Label:
    sides: dict[str, Literal["left", "center", "right"]] = {
        "left": "left",
        "middle": "center",
        "right": "right",
    }
    return Label(
        *(item.x, item.y, item.text),
        fontsize=item.size,
        color=_colour(item.colour),
        rotation=90 if item.upwards else 0,
        rotation_mode="anchor",
        horizontalalignment=sides[item.align],
        verticalalignment="baseline",
        transform=onto,
    )


def _stroke(item: Stroke) -> PathPatch:
    colour = _colour(item.colour)
    if item.width == 0:
        edge = colour if item.colour.startswith("#") else "none"  # no seams between cells
        path = _joined(item.parts, True)
        return PathPatch(path, facecolor=colour, edgecolor=edge, linewidth=0.3, alpha=item.opacity)
    return PathPatch(
        _joined(item.parts, False),
        fill=False,
        edgecolor=colour,
        linewidth=item.width,
        alpha=item.opacity,
        linestyle=(0, (3, 2)) if item.dashed else "solid",
    )


def _marks(item: Marks) -> PathPatch:
    colour = _colour(item.colour)
    if item.shape == "circle":
        dots = [Path(np.asarray(_CIRCLE.vertices) * item.radius + at, _CIRCLE.codes) for at in item.at]
        return PathPatch(Path.make_compound_path(*dots), facecolor=colour, edgecolor="none")
    shape = item.radius * CORNERS[item.shape]
    return PathPatch(_joined([shape + at for at in item.at], True), facecolor=colour, edgecolor="none")


def _joined(parts: Sequence[np.ndarray], closed: bool) -> Path:
    return Path.make_compound_path(
        *(Path(np.concatenate([p, p[:1]]) if closed else p, closed=closed) for p in parts)
    )


def _colour(name: str) -> str:
    return LIGHT.get(name, name)
