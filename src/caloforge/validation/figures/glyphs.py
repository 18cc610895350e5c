"""Text as outlines, word by word: a page draws each word once and refers to it from all its figures."""

from __future__ import annotations

__all__ = ["SIZE", "Word", "line_of_words", "outline", "strange_letters", "width"]

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

import matplotlib as mpl
import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import TextPath, text_to_path

from caloforge.validation.figures.style import font_style

SIZE = 100.0
"""Font size in which words are stored."""

_LETTERS = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C", Path.CLOSEPOLY: "Z"}


@dataclass(frozen=True)
class Word:
    """A word of a label.

    Attributes:
        text: Letters, or mathematics between dollars.
        key: Identifier of its outline in a page.
        left: Where it begins, from the beginning of the label, at font size `SIZE`.
        width: How far it reaches, at font size `SIZE`.
    """

    text: str
    key: str
    left: float
    width: float


@lru_cache(maxsize=4096)
def line_of_words(text: str) -> tuple[Word, ...]:
    """Lay out a label.

    Args:
        text: Mathematics between dollars; words between blanks.
    """
    words, left = [], 0.0
    for piece in re.findall(r"\$[^$]*\$|[^\s$]+|\s+", _plain_unless_mathematics(text)):
        if piece.isspace():
            left += _blank()
            continue
        reach = _reach(piece)
        words.append(Word(piece, _key(piece), left, reach))
        left += reach
    return tuple(words)


@lru_cache(maxsize=4096)
def _plain_unless_mathematics(text: str) -> str:
    """Return a label without its dollars if what is between them is no mathematics, as in a file's name."""
    pieces = re.findall(r"\$[^$]*\$", text)
    try:
        for piece in pieces:
            _reach(piece)
        sound = text.count("$") == 2 * len(pieces) and "\\" not in re.sub(r"\$[^$]*\$", "", text)
    except ValueError:
        sound = False
    return text if sound else re.sub(r"[$\\]", "", text)


def width(text: str) -> float:
    """Return the width of a label at font size `SIZE`."""
    words = line_of_words(text)
    return words[-1].left + words[-1].width if words else 0.0


@lru_cache(maxsize=4096)
def outline(text: str) -> str:
    """Return the outline of a word at font size `SIZE` as data of an SVG path, y downwards."""
    with mpl.rc_context(font_style()), strange_letters():
        path = TextPath((0, 0), text, size=SIZE, prop=_font())
    codes = np.asarray([] if path.codes is None else path.codes)
    parts: list[str] = []
    vertices = np.round(np.asarray(path.vertices) * (1, -1), 1) + 0.0
    i = 0
    while i < len(codes):
        letter = _LETTERS[codes[i]]
        points = {"Q": 2, "C": 3, "Z": 0}.get(letter, 1)
        parts.append(letter + " ".join(f"{v:g}" for v in vertices[i : i + points].ravel()))
        i += max(points, 1)
    return "".join(parts)


@lru_cache(maxsize=4096)
def _reach(piece: str) -> float:
    with mpl.rc_context(font_style()), strange_letters():
        found = text_to_path.get_text_width_height_descent(piece, _font(), ismath=piece.startswith("$"))
    return float(found[0])


@contextmanager
def strange_letters() -> Iterator[None]:
    """Draw letters that the font does not have as boxes, without a warning for each."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


@lru_cache(maxsize=1)
def _blank() -> float:
    return _reach("n n") - _reach("nn")


def _font() -> FontProperties:
    return FontProperties(size=SIZE)


def _key(piece: str) -> str:
    return "w" + blake2b(piece.encode(), digest_size=5).hexdigest()
