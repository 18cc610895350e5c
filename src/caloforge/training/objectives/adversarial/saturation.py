"""When a critic has won: it is sure of every shower, and nothing is left to learn from it."""

from __future__ import annotations

__all__ = ["saturation"]

from collections.abc import Mapping

from caloforge.training.watch import Fault

_STEPS = 2000
_SURE = 1e-4  # cross entropy of a critic that is 99.99 % sure


def saturation() -> Fault:
    """Return the fault of a critic whose losses are cross entropies."""
    return Fault(_sign, _STEPS, "a smaller --set objective.critic_rate=...")


def _sign(losses: Mapping[str, float]) -> tuple[str, str] | None:
    if losses["critic_real"] < _SURE and losses["critic_fake"] < _SURE:
        problem = "the critic has won: the generator learns nothing from it any more"
        return problem, f"both of its losses below {_SURE:g}"
    return None
