"""Where ticks go on an axis and what they are called."""

from __future__ import annotations

__all__ = ["Ticks", "named_ticks", "ratio_ticks", "ticks"]

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Ticks:
    """Ticks of an axis.

    Attributes:
        major: Positions.
        labels: What stands at them, empty for none.
        minor: Positions of small ticks.
        factor: Power of ten that the labels are to be multiplied with, as a label, or empty.
    """

    major: Array
    labels: tuple[str, ...]
    minor: Array
    factor: str = ""


def ticks(low: float, high: float, log: bool, most: int = 7) -> Ticks:
    """Choose ticks.

    Args:
        low: Where the axis begins.
        high: Where it ends.
        log: Whether it is logarithmic.
        most: How many numbers there is room for.
    """
    return _logarithmic(low, high, most) if log else _linear(low, high, most)


def ratio_ticks(step: float, ends: tuple[float, float]) -> Ticks:
    """Return ticks at one, and at one step above and below it.

    Args:
        step: How far apart they are.
        ends: Of the axis.
    """
    major = 1 + step * np.array([-1.0, 0.0, 1.0])
    minor = 1 + step / 5 * np.arange(-20.0, 21.0)
    return Ticks(major, _written(major, step), minor[(minor > ends[0]) & (minor < ends[1])])


def named_ticks(names: Sequence[str]) -> Ticks:
    """Return ticks at 0, 1, ... with names instead of numbers."""
    return Ticks(np.arange(len(names), dtype=np.float64), tuple(names), np.empty(0))


def _linear(low: float, high: float, most: int) -> Ticks:
    found = np.asarray(MaxNLocator(nbins=most, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high), np.float64)
    step = found[1] - found[0]
    slack = 1e-6 * (high - low)
    major = found[(found >= low - slack) & (found <= high + slack)]
    minor: Array = np.asarray(found[0] + step / 5 * np.arange(5 * len(found)), np.float64)
    minor = np.asarray(minor[(minor > low) & (minor < high)])
    largest = max(abs(low), abs(high))
    power = int(np.floor(np.log10(largest) + 1e-9)) if largest > 0 else 0
    power = power if power >= 5 or power <= -4 else 0
    labels = _written(major / 10.0**power, step / 10.0**power)
    return Ticks(major, labels, minor, rf"$\times 10^{{{power}}}$" if power else "")


def _written(values: Array, step: float) -> tuple[str, ...]:
    digits = max(0, int(np.ceil(-np.log10(step) - 1e-9)))
    digits += round(step * 10**digits, 6) % 1 > 0  # steps of a quarter
    return tuple(f"{v + 0.0:.{digits}f}".replace("-", "−") for v in np.round(values, digits))


def _logarithmic(low: float, high: float, most: int) -> Ticks:
    first, last = int(np.floor(np.log10(low))), int(np.ceil(np.log10(high)))
    decades: Array = np.asarray(10.0 ** np.arange(first, last + 1), np.float64)
    fine: Array = np.outer(decades, np.arange(2, 10)).astype(np.float64).ravel()
    minor = fine[(fine > low) & (fine < high)]
    inside = decades[(decades >= low * (1 - 1e-9)) & (decades <= high * (1 + 1e-9))]
    if len(inside) < 2:
        return _narrow(low, high, decades, minor)
    every = max(1, -(-len(inside) // most))
    powers = np.round(np.log10(inside)).astype(int)
    plain = powers.min() >= -1 and powers.max() <= 3
    names = [f"{10.0**p:g}" if plain else f"$10^{{{p}}}$" for p in powers]
    labels = tuple(name if i % every == 0 else "" for i, name in enumerate(names))
    return Ticks(inside, labels, minor)


def _narrow(low: float, high: float, decades: Array, minor: Array) -> Ticks:
    """Less than two whole decades: also name 2 and 5, or take linear steps if that is too few."""
    named = np.sort(np.concatenate([decades, 2 * decades, 5 * decades]))
    named = named[(named >= low * (1 - 1e-9)) & (named <= high * (1 + 1e-9))]
    if len(named) < 3:
        linear = _linear(low, high, 5)
        if not linear.factor:
            return linear
        named = np.array([low, high])
    return Ticks(named, tuple(_scientific(v) for v in named), minor)


def _scientific(value: float) -> str:
    if 1e-3 <= value < 1e5:
        return f"{value:g}"
    power = int(np.floor(np.log10(value)))
    return rf"${value / 10.0**power:.2g}\times 10^{{{power}}}$"
