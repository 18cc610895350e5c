"""Limits that a search keeps a figure within: `ms<0.1`."""

from __future__ import annotations

__all__ = ["Constraint"]

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caloforge.errors import SearchError, ValidationError
from caloforge.search.figures.table import known_figure

if TYPE_CHECKING:
    from caloforge.validation.require import Requirement

_EXPECTED = "a figure, one of < <= > >=, and a limit: ms<0.1 or response<2%"


@dataclass(frozen=True)
class Constraint:
    """What must hold of a figure.

    Attributes:
        requirement: Its name, sign and limit.
    """

    requirement: Requirement

    @classmethod
    def parse(cls, text: str, where: str = "--constraint") -> Constraint:
        """Read `ms<0.1`; a limit in percent may say so: `response<2%`.

        Args:
            text: The condition.
            where: Where it was given.

        Raises:
            SearchError: It is none, or no figure has that name or unit.

        Example:
            >>> Constraint.parse("ms<0.1").violation({"ms": 0.15})
            0.5
        """
        from caloforge.validation.require import requirements

        try:
            found = requirements(text)
        except ValidationError:
            found = ()
        if len(found) != 1:
            raise SearchError("this is not a constraint", where=where, got=repr(text), expected=_EXPECTED)
        figure = known_figure(found[0].name, where)
        if found[0].percent and figure.unit != "%":
            unit = f"a limit in {figure.unit}" if figure.unit else "a limit without a unit"
            raise SearchError(
                f"{found[0].name} is not in percent", where=where, got=repr(text), expected=unit
            )
        return cls(found[0])

    @property
    def name(self) -> str:
        """The figure that is limited."""
        return self.requirement.name

    def violation(self, figures: Mapping[str, float]) -> float:
        """Return how far a figure is beyond the limit, in units of the limit; 0 or less: it is kept.

        A figure that could not be measured violates it.
        """
        value, limit = figures.get(self.name, math.nan), self.requirement.limit
        beyond = value - limit if "<" in self.requirement.sign else limit - value
        scaled = beyond / (abs(limit) or 1.0)
        if math.isnan(scaled):
            return math.inf
        # the limit itself is not below the limit
        return scaled if scaled or "=" in self.requirement.sign else math.ulp(0.0)

    def __str__(self) -> str:
        return self.requirement.text
