"""A picture of a shower file: the average image of every layer, one shower, and their profile in depth.

A single layer has no depth: its profile is across."""

from __future__ import annotations

__all__ = ["draw", "picture"]

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caloforge.detector.grids import Grid, PolarGrid
from caloforge.detector.nearest import NearestGrid
from caloforge.errors import ShowersError
from caloforge.particles import particle_name
from caloforge.showers.container import Showers
from caloforge.showers.faces import draw_faces, draw_mosaic
from caloforge.showers.formats import open_showers
from caloforge.showers.source import ShowerSource
from caloforge.showers.survey import Survey, survey
from caloforge.writing import replace_bytes

if TYPE_CHECKING:
    from caloforge.detector import Detector, Layer

_MAX_PANELS = 60
_FORMATS = ".png", ".svg", ".pdf"
_DECADES = 5  # of energy below the greatest that the colours resolve
_INK, _MEAN, _ONE, _SPREAD = "#222222", "#51127c", "#e8743b", "#dcd3e6"


def picture(
    path: str | Path, out: str | Path, detector: Detector | None = None, shower: int | None = None
) -> Path:
    """Draw a shower file of any format.

    Args:
        path: The file.
        out: The picture: .png, .svg or .pdf.
        detector: What was hit, where the file cannot say.
        shower: Number of the single shower; by default one drawn by lot, always the same.

    Raises:
        ShowersError: A damaged file, one without showers, or no such shower.
    """
    with open_showers(path, detector) as source:
        return draw(source, survey(source), Path(out), shower)


def draw(source: ShowerSource, sums: Survey, out: Path, shower: int | None = None) -> Path:
    """Draw a file that was surveyed already; see `picture`."""
    if out.suffix not in _FORMATS:  # matplotlib would write another file, with an ending of its own
        raise ShowersError("no such kind of picture", where=out, got=out.suffix, expected=", ".join(_FORMATS))
    one, number = _single(source, shower)
    layers = _shown(source.detector)
    figure, mean_area, one_area, profile_area, shape = _areas(len(layers))
    figure.suptitle(
        f"{source.path.name}: {len(source):,} showers in {sums.detector.name}", fontsize=13, color=_INK
    )
    some = "" if len(layers) == sums.detector.n_layers else f", every {_step(sums.detector)}th layer"
    average = sums.image / max(sums.showers, 1)
    _draw_faces(mean_area, layers, average, shape, f"Average of {sums.showers:,} showers{some}")
    _draw_faces(one_area, layers, one.cells[0], shape, _caption(one, number))
    draw_below = _draw_profile if sums.detector.n_layers > 1 else _draw_across
    draw_below(profile_area.subplots(), sums, one)
    drawn = io.BytesIO()
    try:
        figure.savefig(drawn, format=out.suffix[1:].lower(), dpi=130)
    except ValueError as error:
        expected = "a name that ends in .png, .svg or .pdf"
        raise ShowersError("cannot write the picture", where=out, got=error, expected=expected) from error
    replace_bytes(out, drawn.getvalue())
    return out


def _areas(n: int) -> tuple[Any, Any, Any, Any, tuple[int, int]]:
    """The figure, its three areas, and rows and columns of the layers' panels."""
    from matplotlib.figure import Figure

    rows, columns = _arrangement(n)
    # Square blocks go side by side, wide ones below each other.
    beside = n == 1 or (rows > 1 and columns <= rows + 1)
    side = 3.1 if n == 1 else 1.35 if beside else min(3.1, max(1.05, 9.0 / columns))
    width = (columns * side + 1.0) * (2 if beside else 1)
    block = rows * (side + 0.05) + 0.35 if rows > 1 else 0.86 * side + 0.85
    height = (1 if beside else 2) * block
    figure: Any = Figure(figsize=(max(7.5, width), height + 2.6), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, hspace=0.02, wspace=0.02)
    faces, profile = figure.subfigures(2, 1, height_ratios=(height, 2.2))
    mean, one = faces.subfigures(1, 2) if beside else faces.subfigures(2, 1)
    return figure, mean, one, profile, (rows, columns)


def _arrangement(n: int) -> tuple[int, int]:
    """Rows and columns of panels, wider than high, with the fewest empty places."""
    if n <= 5:
        return 1, n
    candidates = range(math.ceil(math.sqrt(n)), math.ceil(math.sqrt(2.2 * n)) + 1)
    columns = min(candidates, key=lambda c: (-n % c, -c))
    return math.ceil(n / columns), columns


def _single(source: ShowerSource, shower: int | None) -> tuple[Showers, int]:
    n = len(source)
    number = int(np.random.default_rng(0).integers(n)) if shower is None else shower
    if not 0 <= number < n:
        raise ShowersError("no such shower", where=source.path, got=number, expected=f"0 to {n - 1}")
    return source.raw(number, number + 1), number


def _step(detector: Detector) -> int:
    return math.ceil(detector.n_layers / _MAX_PANELS)


def _shown(detector: Detector) -> Sequence[Layer]:
    return detector.layers[:: _step(detector)]


def _caption(one: Showers, number: int) -> str:
    name, energy = particle_name(int(one.incident.pdg[0])), float(one.incident.energy[0])
    text = (
        f"One shower (number {number}): {'' if name == 'unknown' else name + ' of '}{energy / 1000:.4g} GeV"
    )
    theta = math.degrees(float(one.incident.theta[0]))
    return f"{text}, theta {theta:.1f}°" if theta else text


def _draw_faces(
    area: Any, layers: Sequence[Layer], cells: NDArray[Any], shape: tuple[int, int], title: str
) -> None:
    area.suptitle(title, fontsize=11, color=_INK, x=0.01, ha="left")
    rows, columns = shape
    if rows == 1:
        axes = list(area.subplots(1, columns, squeeze=False)[0])
        drawn = draw_faces(axes, layers, cells, _norm(cells))
    else:
        axes = [area.subplots()]
        drawn = draw_mosaic(axes[0], layers, cells, _norm(cells), columns)
    bar = area.colorbar(drawn, ax=axes, shrink=0.9, aspect=30, pad=0.01, extend="min")
    bar.set_label("energy per cell [MeV]", fontsize=9)
    bar.ax.tick_params(labelsize=8)


def _norm(cells: NDArray[Any]) -> Any:
    from matplotlib.colors import LogNorm

    filled = cells[np.isfinite(cells) & (cells > 0)]
    top, least = (float(filled.max()), float(filled.min())) if len(filled) else (1.0, 0.1)
    return LogNorm(min(max(least, top / 10**_DECADES), top / 2), top)


def _draw_profile(ax: Any, sums: Survey, one: Showers) -> None:
    n = max(sums.showers, 1)
    mean = 100 * sums.share[0] / n
    spread = np.sqrt(np.maximum(1e4 * sums.share[1] / n - mean**2, 0))
    energies = np.array([layer.sum(dtype=np.float64) for layer in one.layers()])
    incident = float(one.incident.energy[0])
    single = 100 * energies / (incident if incident > 0 else np.nan)
    edges = np.arange(len(mean) + 1) - 0.5
    low, high = np.maximum(mean - spread, 0), mean + spread
    ax.stairs(high, edges, baseline=low, fill=True, color=_SPREAD, label="standard deviation between showers")
    _draw_both(ax, mean, single, float(np.nanmax(high, initial=0)))
    ax.set_ylabel("share of the incident\nenergy [%]", fontsize=9)
    if len(mean) <= 10:
        names = [layer.name.replace("_", " ") for layer in sums.detector.layers]
        ax.set_xticks(range(len(mean)), names)
    else:
        ax.set_xlabel("layer", fontsize=9)


def _draw_across(ax: Any, sums: Survey, one: Showers) -> None:
    """Draw how the energy of the only layer is shared by its columns in x, or by its rings."""
    layer = sums.detector.layers[0]
    across = [_columns(layer.grid, np.asarray(cells, np.float64)) for cells in (sums.image, one.cells[0])]
    mean, single = (100 * energy / (energy.sum() or np.nan) for energy in across)
    _draw_both(ax, mean, single, 0.0)
    ax.set_ylabel("share of the layer's\nenergy [%]", fontsize=9)
    ax.set_xlabel("ring" if isinstance(layer.grid, PolarGrid) else "column of cells along x", fontsize=9)


def _columns(grid: Grid, cells: NDArray[np.float64]) -> NDArray[np.float64]:
    if isinstance(grid, NearestGrid):
        return np.bincount(grid.bins(0)[1], cells).astype(np.float64)
    return np.asarray(cells.reshape(grid.shape).sum(axis=0 if isinstance(grid, PolarGrid) else 1))


def _draw_both(ax: Any, mean: NDArray[np.float64], single: NDArray[np.float64], top: float) -> None:
    """Draw the average and the one shower as steps; the axis reaches at least to `top`."""
    edges = np.arange(len(mean) + 1) - 0.5
    ax.stairs(mean, edges, color=_MEAN, linewidth=1.6, label="average")
    ax.stairs(single, edges, color=_ONE, linewidth=1.2, label="the one shower")
    most = np.nanmax([top, np.nanmax(mean, initial=0), np.nanmax(single, initial=0), 1e-12])
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(0, 1.08 * float(most) if np.isfinite(most) else None)
    ax.tick_params(labelsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=8)
