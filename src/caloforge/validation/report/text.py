"""How numbers and labels are written in the report."""

from __future__ import annotations

__all__ = ["cell", "chance", "floor", "mean", "number", "rich", "sigmas", "value"]

import math
import re

from markupsafe import Markup, escape

from caloforge.validation.figures.style import unit_scale
from caloforge.validation.inputs.resampling import SPLITS
from caloforge.validation.measure import Number
from caloforge.validation.metrics.distances import Distance


def number(value: float, error: float | None = None, sign: str = "") -> str:
    """Write a number with two digits of its error, or three digits if it has none.

    Args:
        value: The number; NaN becomes a dash.
        error: Its error.
        sign: `+` to write the sign of positive numbers, too.

    Example:
        >>> number(0.012345, 0.00214)
        '0.0123 ± 0.0021'
    """
    if math.isnan(value):
        return "—"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if error is None or not math.isfinite(error) or error <= 0:
        text = (
            f"{value:{sign}.0f}" if float(value).is_integer() and abs(value) < 1e6 else f"{value:{sign}.3g}"
        )
        return text.replace("-", "−")
    if error < 1e-7 * abs(value):  # of no meaning beside so large a value
        return number(value, None, sign)
    size = math.floor(math.log10(max(abs(value), error)))
    if size >= 6 or size <= -4:  # as a power of ten that both share
        scaled = number(value / 10.0**size, error / 10.0**size, sign)
        return f"({scaled})·10{str(size).translate(_RAISED)}"
    digits = 1 - math.floor(math.log10(error))
    value, error, digits = round(value, digits), round(error, digits), max(0, digits)
    return f"{value:{sign}.{digits}f} ± {error:.{digits}f}".replace("-", "−")


def value(found: Number) -> str:
    """Write a figure of merit with its error and unit; differences have a sign."""
    return _with_unit(number(found.measure.value, found.measure.error, _sign(found)), found.unit)


def floor(found: Number) -> str:
    """Write the floor of a figure of merit with its scatter and unit."""
    sign = "" if found.measure.floor == 0 else _sign(found)
    return _with_unit(number(found.measure.floor, found.measure.floor_error, sign), found.unit)


def _sign(found: Number) -> str:
    """Return `+` for a difference: a number whose floor is zero but for chance."""
    measure = found.measure
    errors = [e for e in (measure.error, measure.floor_error) if not math.isnan(e)]
    return "+" if found.better == "floor" and abs(measure.floor) <= 5 * max(errors, default=0.0) else ""


def _with_unit(text: str, unit: str) -> str:
    """Append a unit; one that is a power of ten, as `1e-3`, is written as a factor."""
    power = re.fullmatch(r"1e([+-]?\d+)", unit)
    if power is None:
        return f"{text} {unit}" if unit and text != "—" else text
    body = f"({text})" if " " in text else text
    return text if text == "—" else f"{body}·10{str(int(power[1])).translate(_RAISED)}"


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def mean(distance: Distance, value: float) -> str:
    """Write a mean with the unit that suits it; the cell spectrum's is the geometric one."""
    if math.isnan(value):
        return "—"
    if distance.name == "cell_spectrum":
        return f"{10**value:.3g} MeV"
    unit, scale = unit_scale(distance.unit, abs(distance.mean))
    return f"{number(value / scale)} {unit}".strip()


def rich(label: str) -> Markup:
    """Return a label as HTML: mathematics between dollars gets its indices, powers and symbols.

    Example:
        >>> str(rich(r"Width $\\sigma_x$, layer 1"))
        'Width σ<sub>x</sub>, layer 1'
    """
    parts = label.split("$")
    return Markup("").join(_mathematics(part) if i % 2 else _words(part) for i, part in enumerate(parts))


def _words(text: str) -> Markup:
    return Markup(re.sub(r"\b([A-Zsσ])_([a-z0-9]+)", r"\1<sub>\2</sub>", str(escape(text))))


_SYMBOLS = {
    "sigma": "σ", "mu": "μ", "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "Delta": "Δ", "eta": "η",
    "theta": "θ", "phi": "φ", "chi": "χ", "lambda": "λ", "rho": "ρ", "pi": "π", "langle": "⟨", "rangle": "⟩",
    "sum": "Σ", "times": "×", "pm": "±", "cdot": "·", "leq": "≤", "geq": "≥", "approx": "≈", "infty": "∞",
    "sqrt": "√", "log": "log", "max": "max", "min": "min",
}  # fmt: skip
_FONTS = r"\\(?:mathrm|mathit|rm|text)\b\s*|\\[,;! ]"


def _mathematics(text: str) -> Markup:
    text = re.sub(_FONTS, "", str(escape(text)))
    text = re.sub(r"\\([A-Za-z]+) ?", lambda m: _SYMBOLS.get(m[1], m[1]), text)
    text = re.sub(r"_(?:\{([^{}]*)\}|(\w))", lambda m: f"<sub>{m[1] or m[2]}</sub>", text)
    text = re.sub(r"\^(?:\{([^{}]*)\}|(\w))", lambda m: f"<sup>{m[1] or m[2]}</sup>", text)
    return Markup(text.replace("{", "").replace("}", "").replace("-", "−"))


def sigmas(value: float) -> str:
    """Write an excess."""
    if math.isnan(value):
        return "—"
    text = f"{value:.1f} σ" if abs(value) < 100 else f"{value:,.0f} σ"
    return text.replace("-", "−")


def chance(p_value: float) -> str:
    """Write a p-value; none can be below one over the number of cuts."""
    least = 1 / (1 + SPLITS)
    return f"≤ {least:.1g}" if p_value <= least else f"{p_value:.2g}"


def cell(value: object) -> str:
    """Write the cell of a table: text, a number, or a pair of a number and its error."""
    if isinstance(value, tuple):
        return number(float(value[0]), float(value[1]))
    return number(value) if isinstance(value, float) else "" if value is None else str(value)
