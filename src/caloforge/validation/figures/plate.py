"""A vector drawing of few, large parts.

Charts come by the hundred. matplotlib's axes build every tick and label as an object of its own, which costs
twenty times what drawing costs; a plate holds whole bands, curves and sets of ticks as single paths. It
becomes SVG here, and a matplotlib figure for print in `figures.pdf`.
"""

from __future__ import annotations

__all__ = ["Box", "Marks", "Plate", "Stroke", "Text"]

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from caloforge.validation.figures.glyphs import SIZE, line_of_words, width

Array = NDArray[np.float64]
Align = Literal["left", "middle", "right"]
CORNERS = {
    "square": np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 0.88,
    "diamond": np.array([[0, -1], [1, 0], [0, 1], [-1, 0]]) * 1.25,
    "up": np.array([[-1, -0.8], [1, -0.8], [0, 1]]) * 1.1,
    "down": np.array([[-1, 0.8], [0, -1], [1, 0.8]]) * 1.1,
    "plus": np.array([
        [-1, -3], [1, -3], [1, -1], [3, -1], [3, 1], [1, 1],
        [1, 3], [-1, 3], [-1, 1], [-3, 1], [-3, -1], [-1, -1],
    ]) / 2.4,
}  # fmt: skip
"""Outlines of markers that are no circles, of radius about 1."""


@dataclass(frozen=True)
class Box:
    """A rectangle in points, y upwards."""

    left: float
    bottom: float
    right: float
    top: float


@dataclass(frozen=True)
class Stroke:
    """Lines or areas of one colour.

    Attributes:
        parts: Points of each part, shape `(k, 2)`.
        colour: Name of a colour, or `#rrggbb`.
        width: Of the line in points; 0 fills.
        opacity: 0 to 1.
        dashed: Whether the line is broken.
        clip: What may be drawn on.
        titles: What the page says when the mouse rests on each part, or empty.
    """

    parts: Sequence[Array]
    colour: str
    width: float
    opacity: float
    dashed: bool
    clip: Box | None
    titles: Sequence[str] = ()


@dataclass(frozen=True)
class Marks:
    """Points of one kind.

    Attributes:
        at: Shape `(k, 2)`.
        shape: `circle`, or a key of `CORNERS`.
        radius: In points.
        colour: Name of a colour.
        clip: What may be drawn on.
        titles: What the page says when the mouse rests on each point, or empty.
    """

    at: Array
    shape: str
    radius: float
    colour: str
    clip: Box | None
    titles: Sequence[str] = ()


@dataclass(frozen=True)
class Text:
    """A label.

    Attributes:
        x: Where, in points.
        y: Base line.
        text: Mathematics between dollars.
        size: Font size in points.
        align: Which end lies at `x`.
        upwards: Whether it is turned by a right angle.
        colour: Name of a colour.
    """

    x: float
    y: float
    text: str
    size: float
    align: Align
    upwards: bool
    colour: str


@dataclass
class Plate:
    """A drawing, filled from back to front.

    Attributes:
        width: In points.
        height: In points.
        items: What was drawn.
    """

    width: float
    height: float
    items: list[Stroke | Marks | Text] = field(default_factory=list)
    _clip: Box | None = None

    @contextmanager
    def inside(self, box: Box) -> Iterator[None]:
        """Let what is drawn in this block end at the borders of a box."""
        self._clip = box
        yield
        self._clip = None

    def stroke(
        self,
        parts: Iterable[Array],
        colour: str,
        width: float = 1.0,
        opacity: float = 1.0,
        dashed: bool = False,
        titles: Sequence[str] = (),
    ) -> None:
        """Draw lines through points `(k, 2)`; those with a point that is not finite are left out."""
        parts = list(parts)
        known = [i for i, part in enumerate(parts) if len(part) and np.isfinite(part).all()]
        if known:
            kept, told = [parts[i] for i in known], [titles[i] for i in known] if titles else ()
            self.items.append(Stroke(kept, colour, width, opacity, dashed, self._clip, told))

    def fill(
        self, parts: Iterable[Array], colour: str, opacity: float = 1.0, titles: Sequence[str] = ()
    ) -> None:
        """Fill polygons of points `(k, 2)`."""
        self.stroke(parts, colour, 0.0, opacity, titles=titles)

    def marks(self, at: Array, shape: str, radius: float, colour: str, titles: Sequence[str] = ()) -> None:
        """Draw markers at points `(k, 2)`."""
        known = np.flatnonzero(np.isfinite(at).all(axis=1))
        if len(known):
            told = [titles[i] for i in known.tolist()] if titles else ()
            self.items.append(Marks(at[known], shape, radius, colour, self._clip, told))

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float = 10.0,
        align: Align = "left",
        upwards: bool = False,
        colour: str = "ink",
    ) -> None:
        """Write a label."""
        if text:
            self.items.append(Text(x, y, text, size, align, upwards, colour))

    def words(self) -> dict[str, str]:
        """Return the words of all labels by their keys in a page."""
        labels = (item for item in self.items if isinstance(item, Text))
        return {word.key: word.text for label in labels for word in line_of_words(label.text)}

    def svg(self, title: str) -> str:
        """Return an SVG element; colours are the page's variables and words refer to its outlines.

        Args:
            title: What a screen reader says.
        """
        body = "".join(self._element(item) for item in self.items)
        return (
            f'<svg class="plot" viewBox="0 0 {self.width:g} {self.height:g}" role="img" '
            f'aria-label="{escape(title)}">{body}</svg>'
        )

    def _element(self, item: Stroke | Marks | Text) -> str:
        if isinstance(item, Text):
            return self._label(item)
        drawn = self._lines(item) if isinstance(item, Stroke) else self._points(item)
        if item.clip is None:
            return drawn
        box = item.clip
        x, y, w, h = box.left, self.height - box.top, box.right - box.left, box.top - box.bottom
        place = f'x="{x:.5g}" y="{y:.5g}" width="{w:.5g}" height="{h:.5g}"'
        return f'<svg {place} viewBox="{x:.5g} {y:.5g} {w:.5g} {h:.5g}">{drawn}</svg>'

    def _lines(self, item: Stroke) -> str:
        data = [_data(part, self.height, item.width == 0) for part in item.parts]
        if item.width == 0:
            style = f"fill:{_colour(item.colour)}"
            if item.colour.startswith("#"):  # no seams between cells
                style += f";stroke:{item.colour};stroke-width:.3"
        else:
            style = f"fill:none;stroke:{_colour(item.colour)};stroke-width:{item.width:g}"
        style += f";opacity:{item.opacity:g}" if item.opacity < 1 else ""
        style += ";stroke-dasharray:3 2" if item.dashed else ""
        return _paths(style, data, item.titles)

    def _points(self, item: Marks) -> str:
        colour = _colour(item.colour)
        if item.shape == "circle":  # a line without length and with round ends
            data = [f"M{x:.5g} {self.height - y:.5g}h0" for x, y in item.at.tolist()]
            style = f"fill:none;stroke:{colour};stroke-width:{2 * item.radius:g};stroke-linecap:round"
        else:
            corners = item.at[:, None] + item.radius * CORNERS[item.shape]
            data = [_data(part, self.height, True) for part in corners]
            style = f"fill:{colour}"
        return _paths(style, data, item.titles)

    def _label(self, item: Text) -> str:
        scale = item.size / SIZE
        shift = {"left": 0.0, "middle": 0.5, "right": 1.0}[item.align] * width(item.text)
        turn = " rotate(-90)" if item.upwards else ""
        words = "".join(
            f'<use href="#{word.key}" x="{word.left - shift:.0f}"/>' for word in line_of_words(item.text)
        )
        place = f"translate({item.x:.5g} {self.height - item.y:.5g}){turn} scale({scale:.4g})"
        return f'<g transform="{place}" style="fill:{_colour(item.colour)}">{words}</g>'


def _paths(style: str, data: Sequence[str], titles: Sequence[str]) -> str:
    """Write parts as one path or, where each has a title, as a path each."""
    if not titles:
        return f'<path style="{style}" d="{"".join(data)}"/>'
    told = zip(data, titles, strict=True)
    return (
        f'<g style="{style}">'
        + "".join(f'<path d="{part}"><title>{escape(title)}</title></path>' for part, title in told)
        + "</g>"
    )


def _data(points: Array, height: float, closed: bool) -> str:
    """Write points as path data; steps are written as horizontal and vertical moves."""
    parts: list[str] = []
    last_x = last_y = ""
    for x, y in zip(points[:, 0].tolist(), (height - points[:, 1]).tolist(), strict=True):
        a, b = f"{x:.5g}", f"{y:.5g}"
        if not parts:
            parts.append(f"M{a} {b}")
        elif a == last_x and b == last_y:
            continue
        else:
            parts.append(f"V{b}" if a == last_x else f"H{a}" if b == last_y else f"L{a} {b}")
        last_x, last_y = a, b
    return "".join(parts) + ("z" if closed else "")


def _colour(name: str) -> str:
    return name if name.startswith("#") else f"var(--{name})"
