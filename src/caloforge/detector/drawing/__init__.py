"""Drawings of a detector to scale: from the side, one period of its stack, and the cells of its layers."""

from __future__ import annotations

__all__ = ["draw"]

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from caloforge.detector.detector import Detector
from caloforge.detector.drawing.face import draw_face, mark_legend
from caloforge.detector.drawing.palette import GREY, INK
from caloforge.detector.drawing.side import draw_barrel, draw_legend, draw_readout_only, draw_side
from caloforge.detector.drawing.zoom import MAX_RUNS, draw_zoom
from caloforge.detector.readout import Layer
from caloforge.detector.summary import layer_groups, readout_rule, stack_runs
from caloforge.errors import DetectorError, nearest
from caloforge.writing import replace_bytes

_MAX_FACES = 8
_FORMATS = (".pdf", ".png", ".svg")


def draw(detector: Detector, out: str | Path, layers: Sequence[str] | None = None) -> list[str]:
    """Draw a detector into a PNG, SVG or PDF file.

    Args:
        detector: What to draw.
        out: The picture; its folder must exist.
        layers: Names of the layers whose cells to draw; one of each kind if None.

    Returns:
        Names of the layers whose cells were drawn.

    Raises:
        DetectorError: if a layer does not exist, or the file's name has another ending.
        OutputError: if the file cannot be written.
    """
    faces = _faces(detector, layers)
    path = Path(out)
    if path.suffix.lower() not in _FORMATS:
        raise DetectorError(
            "the picture cannot be written there",
            where="--out",
            got=str(out),
            expected=f"a file name ending in {', '.join(_FORMATS)}",
        )
    picture = io.BytesIO()
    _figure(detector, faces).savefig(picture, format=path.suffix[1:].lower(), dpi=160, facecolor="white")
    replace_bytes(path, picture.getvalue())
    return [layer.name for layer in faces]


def _faces(detector: Detector, names: Sequence[str] | None) -> list[Layer]:
    if not names:
        one_of_each = {group[0].grid: group[0] for group in reversed(layer_groups(detector))}
        return sorted(one_of_each.values(), key=lambda layer: layer.index)[:_MAX_FACES]
    known = {layer.name: layer for layer in detector.layers}
    for name in names:
        if name not in known:
            raise DetectorError(
                f"the detector {detector.name!r} has no layer {name!r}",
                where="--layer",
                expected=f"one of {', '.join(list(known)[:10])}{' ...' if len(known) > 10 else ''}",
                near=nearest(name, known),
            )
    return [known[name] for name in dict.fromkeys(names)]


def _figure(detector: Detector, faces: Sequence[Layer]) -> Any:
    from matplotlib.figure import Figure

    columns = 1 if len(faces) <= 3 else 2
    rows = -(-len(faces) // columns)
    left, right = 7.4, max(3.4 * columns, 4.6 if len(faces) == 1 else 0)
    size = left + right, max(7.6, 2.9 * rows)
    figure: Any = Figure(figsize=size, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.08, wspace=0.03, hspace=0.03)
    _write_head(figure, detector, size[1])
    sides, cells = figure.subfigures(1, 2, width_ratios=(left, right))
    _draw_left(detector, sides)
    if detector.shape == "barrel":
        cells, below = cells.subfigures(2, 1, height_ratios=(1.6, 1))
        draw_barrel(below.subplots(), detector)
    axes = cells.subplots(rows, columns, squeeze=False).ravel()
    for ax, layer in zip(axes, faces, strict=False):
        draw_face(ax, layer)
    for ax in axes[len(faces) :]:
        ax.set_axis_off()
    mark_legend(cells)
    return figure


def _write_head(figure: Any, detector: Detector, height: float) -> None:
    figure.suptitle(f"{detector.name}\n", x=0.012, ha="left", fontsize=17, fontweight="bold", color=INK)
    figure.text(0.012, 1 - 0.57 / height, detector.about, fontsize=10.5, color=GREY, ha="left", va="bottom")
    figure.supxlabel(readout_rule(detector), fontsize=9, color=GREY, x=0.012, ha="left")


def _draw_left(detector: Detector, area: Any) -> None:
    if not detector.slabs:
        draw_readout_only(area.subplots(), detector)
        return
    runs = stack_runs(detector)
    side, zoom = area.subplots(2, 1, height_ratios=(3.4, 0.3 + 0.3 * min(len(runs), MAX_RUNS)))
    draw_side(side, detector)
    draw_zoom(zoom, detector, runs)
    draw_legend(side, detector)
