"""Reinforcement learning after arXiv:1611.01578: a policy proposes recipes and learns from their figures."""

from __future__ import annotations

__all__ = ["ControllerSampler", "Policy", "log_gradient"]

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caloforge.search.samplers.ranking import Standing, standing
from caloforge.search.samplers.replay import Replay
from caloforge.search.samplers.units import at_unit, sizes, unit_of
from caloforge.search.samplers.whole import WholeSampler

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    from caloforge.search.space import Space

Weights = NDArray[np.float64]

BINS = 4
RATE = 1.0
FORGETTING = 0.9
RECENT = 50


@dataclass(frozen=True)
class Policy:
    """What is learned.

    Attributes:
        weights: Shape (1 + actions in all, actions in all). The logits of a parameter's actions are the first
            row, and the rows of the actions taken for the parameters before it.
        baseline: Moving average of the rewards.
        recent: Standings of the last trials, which rewards compare with.
    """

    weights: Weights
    baseline: float = 0.5
    recent: tuple[Standing, ...] = ()


class ControllerSampler(WholeSampler):
    """A controller whose actions are values of the parameters, learning by REINFORCE with a baseline.

    Each parameter has up to 4 actions: its choices, or equal parts of its range, within which the value is
    uniform. They are taken one after another, each seeing those before it. After each trial the weights
    follow (reward - baseline) times the gradient of the logarithm of the probability of its actions. The
    reward is the share of the last 50 trials that the trial is better than.

    What differs from the paper:

    * A linear policy on the actions before, not a recurrent network: hundreds of trials and not 12,800
      teach it, and its gradient is one line.
    * Steps of plain gradient ascent, one for each trial as it finishes; the paper shares batches of gradients
      between parameter servers. There as here a trial may have been proposed by an older policy.
    * The reward is a share, not an accuracy to the third power: figures have any scale, and may be infinite.
      Trials that break constraints are worse than those that keep them.
    * No skip connections and no number of layers that grows: the actions are those of the space.
    * Points that were tried are drawn again (`WholeSampler`).
    """

    def __init__(self, seed: int, space: Space) -> None:
        super().__init__(seed, space)
        counts = [min(sizes(kind) or BINS, BINS) for kind in self.distributions.values()]
        edges = np.cumsum([0, *counts])
        self._parts = [slice(int(a), int(b)) for a, b in pairwise(edges)]
        start = Policy(np.zeros((1 + int(edges[-1]), int(edges[-1]))))
        self._replay = Replay(start, lambda policy, trial: self._learned(policy, trial))

    def draw(self, study: Study, trial: FrozenTrial, seed: int) -> dict[str, Any]:  # noqa: ARG002
        """Take the actions one after another."""
        policy, dice = self._replay.after(self.history), np.random.default_rng(seed)
        drawn, rows = {}, [0]
        for (name, kind), part in zip(self.distributions.items(), self._parts, strict=True):
            chances = softmax(policy.weights[rows, part].sum(0))
            action = int(dice.choice(len(chances), p=chances))
            rows.append(1 + part.start + action)
            drawn[name] = at_unit(kind, (action + dice.random()) / len(chances))
        return drawn

    def _learned(self, policy: Policy, trial: FrozenTrial) -> Policy:
        recent = (*policy.recent[1 - RECENT :], standing(trial))
        reward = better_than(recent[-1], recent[:-1])
        gradient = log_gradient(policy.weights, self._parts, self._actions(trial.params))
        return replace(
            policy,
            weights=policy.weights + RATE * (reward - policy.baseline) * gradient,
            baseline=FORGETTING * policy.baseline + (1 - FORGETTING) * reward,
            recent=recent,
        )

    def _actions(self, params: dict[str, Any]) -> list[int]:
        """The actions that gave these values; the first one where a trial lacks a parameter."""
        counts = [part.stop - part.start for part in self._parts]
        units = [unit_of(kind, params[n]) if n in params else 0.0 for n, kind in self.distributions.items()]
        return [min(int(unit * count), count - 1) for unit, count in zip(units, counts, strict=True)]


def log_gradient(weights: Weights, parts: Sequence[slice], actions: Sequence[int]) -> Weights:
    """Return the gradient of the logarithm of the probability of actions, shape of the weights."""
    gradient, rows = np.zeros_like(weights), [0]
    for part, action in zip(parts, actions, strict=True):
        taken = np.arange(part.stop - part.start) == action
        gradient[rows, part] = taken - softmax(weights[rows, part].sum(0))
        rows.append(1 + part.start + action)
    return gradient


def softmax(logits: Weights) -> Weights:
    """Return probabilities from logits."""
    raised = np.exp(logits - logits.max())
    chances: Weights = raised / raised.sum()
    return chances


def better_than(one: Standing, others: Sequence[Standing]) -> float:
    """Share of others that one is better than; equals count half."""
    if not others:
        return 0.5
    return sum((one < other) + 0.5 * (one == other) for other in others) / len(others)
