"""What proposes the next trial of a study, by name."""

from __future__ import annotations

__all__ = ["SAMPLERS", "make_sampler", "wants_flat"]

from typing import TYPE_CHECKING

from caloforge.errors import SearchError, nearest

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from caloforge.search.space import Space

SAMPLERS = {
    "random": "every point as likely, whatever was found",
    "tpe": "tree-structured Parzen estimators: where good trials are dense and bad ones are not",
    "gp": "a Gaussian process and its expected improvement; for few and dear trials",
    "cmaes": "a normal distribution that moves and stretches; for numbers, one objective",
    "nsga2": "a genetic algorithm for several objectives",
    "genetic": "the genetic algorithm of NNLO; one objective",
    "controller": "reinforcement learning: a policy gradient over the parameters; one objective",
}
"""Samplers by name, and what they do."""

_SINGLE = ("cmaes", "genetic", "controller")


def make_sampler(name: str, seed: int, objectives: int, space: Space) -> BaseSampler:
    """Return a sampler for one study.

    What it proposes follows from the seed, the number of the trial and the trials in the storage: several
    processes with one seed propose different points, and a resumed study goes on as it would have.

    Args:
        name: One of `SAMPLERS`.
        seed: Of the study.
        objectives: How many figures are made small.
        space: What is searched; draw with `space.suggest(trial, flat=wants_flat(name, space))`.

    Raises:
        SearchError: There is no such sampler, or it cannot do several objectives.
    """
    if name not in SAMPLERS:
        raise SearchError(
            "there is no such sampler",
            got=name,
            expected=", ".join(SAMPLERS),
            near=nearest(name, SAMPLERS),
        )
    if objectives > 1 and name in _SINGLE:
        raise SearchError(
            f"the sampler {name} makes one figure small, not several",
            got=f"{objectives} objectives",
            expected="one objective, or " + ", ".join(known for known in SAMPLERS if known not in _SINGLE),
            cure="--sampler nsga2, or tpe where trials are dear",
        )
    from caloforge.search.samplers.making import make

    return make(name, seed, objectives, space)


def wants_flat(name: str, space: Space) -> bool:
    """Whether all parameters are to be drawn, also those that do not count.

    Otherwise Optuna's samplers learn only of those parameters that every trial has, and draw the others at
    random; and children of the genetic algorithm inherit nothing where one parent has no value.
    """
    return space.conditional and name != "random"
