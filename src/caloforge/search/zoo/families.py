"""Families of generators: what the points of a zoo have in common."""

from __future__ import annotations

__all__ = ["FAMILIES", "Family", "family_of"]

from collections.abc import Mapping
from typing import Any, Literal

Family = Literal["fit", "tuned", "flow", "matching", "evolved", "GAN", "other"]

FAMILIES: dict[Family, str] = {
    "fit": "the fit alone",
    "tuned": "the fit, corrected by a network against a critic",
    "flow": "normalising flows",
    "matching": "flow matching",
    "evolved": "weights or stages that evolved",
    "GAN": "a published GAN",
    "other": "something else",
}
"""What each is, the simplest first."""

_OF_MODELS: dict[str, Family] = {
    "fitted": "fit",
    "tuned": "tuned",
    "flow": "flow",
    "matching": "matching",
    "grown": "other",
}
_EVOLVED = "evolution", "coevolution"


def family_of(recipe: Mapping[str, Any]) -> Family:
    """Return the family of what a recipe trains, a key of `FAMILIES`.

    Args:
        recipe: With every default written out; empty if nobody knows it.

    Example:
        >>> family_of({"model": {"kind": "tuned"}, "objective": {"kind": "adversarial"}})
        'tuned'
    """
    model = recipe.get("model", {}).get("kind")
    objective = recipe.get("objective", {}).get("kind")
    if objective in _EVOLVED:
        return "evolved"
    if objective == "fit":
        return "fit"
    return "other" if model is None else _OF_MODELS.get(model, "GAN")
