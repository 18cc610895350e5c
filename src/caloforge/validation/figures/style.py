"""How figures look: the field's style (mplhep), colours that follow the page's light or dark theme, SVG."""

from __future__ import annotations

__all__ = ["CANDIDATE", "FLOOR", "GEANT4", "INK", "RULE", "axis_label", "canvas", "minor_ticks", "unit_scale"]

import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import matplotlib as mpl
import mplhep
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.markers import TICKDOWN, TICKLEFT, TICKRIGHT, TICKUP
from matplotlib.transforms import Transform
from numpy.typing import NDArray

Array = NDArray[np.float64]

INK, GEANT4, CANDIDATE, FLOOR, RULE = "#010101", "#010102", "#010103", "#010104", "#010105"
"""Placeholders that `_themed` turns into the page's CSS variables, so one figure serves light and dark."""

_VARIABLES = {
    INK: "currentColor",
    GEANT4: "var(--geant4)",
    CANDIDATE: "var(--candidate)",
    FLOOR: "var(--floor)",
    RULE: "var(--rule)",
}

_STYLE = {
    **{
        key: value
        for key, value in mplhep.style.ROOT.items()
        if key.startswith(("font", "mathtext", "xtick", "ytick", "axes", "legend", "xaxis", "yaxis"))
    },
    "svg.fonttype": "path",
    "font.size": 10,
    "axes.labelsize": 11.5,
    "axes.titlesize": 10.5,
    "axes.unicode_minus": True,
    "legend.fontsize": 10,
    "legend.handlelength": 1.4,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "axes.linewidth": 0.9,
    "xtick.minor.visible": False,  # `minor_ticks` draws them, several times faster
    "ytick.minor.visible": False,
    "xtick.major.size": 6,
    "ytick.major.size": 6,
    "xtick.major.width": 0.8,
    "ytick.major.width": 0.8,
    "xtick.major.pad": 4,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.formatter.limits": (-3, 5),
    "figure.dpi": 100,
}


class Drawing:
    """A figure being drawn; `svg` is set when the block of `canvas` ends.

    Attributes:
        figure: Where to draw.
        svg: The finished figure as an SVG element.
    """

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.svg = ""


@contextmanager
def canvas(name: str, width: float, height: float) -> Iterator[Drawing]:
    """Give an empty figure in our style, and turn it into SVG at the end of the block.

    Args:
        name: Unique in a page; keeps the identifiers of inlined figures apart.
        width: In inches; 1 inch becomes 100 CSS pixels at full size.
        height: In inches.
    """
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name, "svg.id": name}):
        drawing = Drawing(Figure(figsize=(width, height)))
        yield drawing
        buffer = BytesIO()
        FigureCanvasSVG(drawing.figure).print_svg(  # type: ignore[no-untyped-call]
            buffer, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
        drawing.svg = _themed(buffer.getvalue().decode(), width, height)


def _themed(svg: str, width: float, height: float) -> str:
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", body, flags=re.DOTALL)
    # names of matplotlib's objects, equal in every figure; what is referred to has a salted name
    body = re.sub(r' id="[A-Za-z.0-9]+_\d+"', "", body)
    head = (
        f'<svg class="plot" viewBox="0 0 {width * 72:g} {height * 72:g}" style="max-width: {width * 100:g}px"'
    )
    body = re.sub(
        r"<svg .*?(?=>)",
        head + ' role="img" xmlns:xlink="http://www.w3.org/1999/xlink"',
        body,
        count=1,
        flags=re.DOTALL,
    )
    for placeholder, variable in _VARIABLES.items():
        body = body.replace(placeholder, variable)
    # coordinates in points need no more than two decimals; a third of the file is digits otherwise
    return re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\d+\.\d{2})\d+", r"\1", path.group()), body)


def minor_ticks(axes: Axes, x: bool = True, y: bool = True) -> None:
    """Draw minor ticks on all four sides, after limits and scales are final.

    Args:
        axes: Where.
        x: Whether on the horizontal axis.
        y: Whether on the vertical axis.
    """
    if x:
        at = _minor(axes.get_xscale(), axes.get_xticks(), axes.get_xlim())
        for edge, marker in ((0.0, TICKUP), (1.0, TICKDOWN)):
            _marks(axes, at, np.full(len(at), edge), marker, axes.get_xaxis_transform())
    if y:
        at = _minor(axes.get_yscale(), axes.get_yticks(), axes.get_ylim())
        for edge, marker in ((0.0, TICKRIGHT), (1.0, TICKLEFT)):
            _marks(axes, np.full(len(at), edge), at, marker, axes.get_yaxis_transform())


def _minor(scale: str, major: Array, limits: tuple[float, float]) -> Array:
    """Return where minor ticks go: tenths of a decade, or fifths of a step."""
    low, high = limits
    if scale == "log":
        decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
        at = np.outer(decades, np.arange(2, 10)).ravel()
    elif len(major) > 1:
        step = (major[1] - major[0]) / 5
        at = major[0] + step * np.arange(-5, 5 * len(major) + 5)
    else:
        at = np.empty(0)
    return at[(at > low) & (at < high)]


def _marks(axes: Axes, x: Array, y: Array, marker: int, transform: Transform) -> None:
    axes.plot(
        *(x, y),
        linestyle="none",
        marker=marker,
        markersize=3,
        markeredgewidth=0.6,
        color=INK,
        transform=transform,
        scalex=False,
        scaley=False,
    )


def unit_scale(unit: str, largest: float) -> tuple[str, float]:
    """Return the unit that suits numbers up to `largest`, and what to divide by: MeV become GeV.

    Example:
        >>> unit_scale("MeV", 2e5)
        ('GeV', 1000.0)
    """
    return ("GeV", 1000.0) if unit == "MeV" and largest >= 5000 else (unit, 1.0)


def axis_label(label: str, unit: str) -> str:
    """Return `label [unit]`, or the label alone for a ratio."""
    return f"{label} [{unit}]" if unit else label
