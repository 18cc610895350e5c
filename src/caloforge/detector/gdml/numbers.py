"""Numbers of a GDML file: formulas with its own constants and with units."""

from __future__ import annotations

__all__ = ["Numbers"]

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any
from xml.etree.ElementTree import Element

from caloforge.errors import DetectorError

_LENGTHS = {"nm": 1e-6, "um": 1e-3, "mm": 1.0, "cm": 10.0, "m": 1000.0, "km": 1e6, "angstrom": 1e-7}
_LENGTHS |= {"nanometer": 1e-6, "micrometer": 1e-3, "millimeter": 1.0, "centimeter": 10.0, "meter": 1000.0}
_ANGLES = {"rad": 1.0, "mrad": 1e-3, "deg": math.pi / 180, "degree": math.pi / 180, "radian": 1.0}
_ANGLES |= {"milliradian": 1e-3}
_CONSTANTS = {"pi": math.pi, "twopi": 2 * math.pi, "halfpi": math.pi / 2, "TWOPI": 2 * math.pi}
_CONSTANTS |= {"HALFPI": math.pi / 2, "PI": math.pi} | _LENGTHS | _ANGLES
_UNITS = _LENGTHS | _ANGLES
_FUNCTIONS: dict[str, Callable[..., float]] = {
    **{name: getattr(math, name) for name in ("sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sqrt")},
    **{name: getattr(math, name) for name in ("exp", "log", "pow")},
    "abs": abs,
    "min": min,
    "max": max,
}
_OPERATORS: dict[type, Callable[[float, float], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: math.pow,
}


class Numbers:
    """Reads numbers; what `<define>` says is known by name.

    Args:
        root: The file's `<gdml>`.
        where: Its name, for errors.

    Raises:
        DetectorError: A definition is no number.
    """

    def __init__(self, root: Element, where: str) -> None:
        self._where, self._known = where, dict(_CONSTANTS)
        self.vectors: dict[str, Element] = {}
        for element in root.iterfind("define/*"):
            name = element.get("name", "")
            if element.tag in ("constant", "variable", "quantity"):
                unit = element.get("unit")
                # Densities and the like stay as they are.
                self._known[name] = self.value(element, "value", unit=unit if unit in _UNITS else None)
            elif element.tag in ("position", "rotation", "scale"):
                self.vectors[name] = element

    def value(self, element: Element, key: str, default: str | None = None, unit: str | None = None) -> float:
        """Return an attribute as a number, in mm or rad if a unit is given.

        Raises:
            DetectorError: It is not there, or no number, or the unit is unknown.
        """
        if unit is not None and unit not in _UNITS:
            raise DetectorError(
                "this is no unit of a length or an angle",
                where=f"{self._where}, <{element.tag} name={element.get('name', '')!r}>",
                got=unit,
                expected="one of " + ", ".join(_UNITS),
            )
        text = element.get(key, default)
        try:
            if text is None:
                raise ValueError
            number = _evaluate(ast.parse(text.strip().replace("^", "**"), mode="eval").body, self._known)
            if not math.isfinite(number):
                raise ValueError
        except (ValueError, TypeError, ArithmeticError, SyntaxError, KeyError, RecursionError, MemoryError):
            raise DetectorError(
                "this is not a number",
                where=f"{self._where}, <{element.tag} name={element.get('name', '')!r}>, {key}",
                got=str(text),
                expected="a formula with the constants of <define> and units",
            ) from None
        return number * (1.0 if unit is None else _UNITS[unit])

    def vector(self, element: Element | None, default: str = "0") -> tuple[float, float, float]:
        """Return x, y and z of a position or rotation in mm or rad, or of a scale; zeros for nothing."""
        if element is None:
            return 0.0, 0.0, 0.0
        if "ref" in element.attrib:
            element = self.vectors.get(element.get("ref", ""), element)
        unit = element.get("unit", "rad" if element.tag.startswith("rotation") else "mm")
        x, y, z = (self.value(element, axis, default, unit) for axis in "xyz")
        return x, y, z


def _evaluate(node: ast.expr, known: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name():
            return known[node.id]
        case ast.UnaryOp(op=ast.USub()):
            return -_evaluate(node.operand, known)
        case ast.UnaryOp(op=ast.UAdd()):
            return _evaluate(node.operand, known)
        case ast.BinOp() if type(node.op) in _OPERATORS:
            parts = _evaluate(node.left, known), _evaluate(node.right, known)
            return float(_OPERATORS[type(node.op)](*parts))
        case ast.Call(func=ast.Name(id=name), keywords=[]):
            return float(_FUNCTIONS[name](*(_evaluate(part, known) for part in node.args)))
    raise ValueError
