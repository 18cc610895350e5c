"""How a classifier is trained: the quick way of every report, and the two that published AUCs come from."""

from __future__ import annotations

__all__ = ["CALOCHALLENGE", "CALOFLOW", "QUICK", "RECIPES", "Recipe", "Schedule"]

import math
from dataclasses import dataclass
from typing import Literal

Preprocessing = Literal["quick", "caloflow", "calochallenge"]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a network learns, with Adam.

    Attributes:
        learning_rate: Step size.
        batch: Showers per step.
        epochs: Most passes over the training showers.
        steps: Most steps, rounded up to whole epochs; None: as many as the epochs have.
        patience: Stop after so many epochs without a better one; None: train all epochs.
        best: What the epoch that is kept is best in, on showers that are not trained on.
        cosine: Whether the learning rate falls to zero along half a cosine, from a third of the epochs on.
    """

    learning_rate: float
    batch: int
    epochs: int
    steps: int | None = None
    patience: int | None = None
    best: Literal["loss", "accuracy"] = "accuracy"
    cosine: bool = False

    def passes(self, showers: int) -> int:
        """Return the epochs for so many showers to train on."""
        if self.steps is None:
            return self.epochs
        return max(1, min(self.epochs, math.ceil(self.steps * self.batch / showers)))


@dataclass(frozen=True)
class Recipe:
    """A classifier that can be quoted.

    Attributes:
        name: `quick`, `caloflow` or `calochallenge`.
        source: Where it is from, for the method page.
        width: Nodes of a hidden layer.
        hidden: Hidden layers.
        schedule: How it is trained.
        preprocessing: How showers become inputs.
        channels: Channels of each stage of the convolutional network.
        blocks: Residual blocks of each stage.
        convolution: How the convolutional network is trained.
    """

    name: str
    source: str
    width: int
    hidden: int
    schedule: Schedule
    preprocessing: Preprocessing
    channels: tuple[int, ...]
    blocks: int
    convolution: Schedule

    @property
    def method(self) -> str:
        """What a method page says of it."""
        plan = self.schedule
        stop = "" if plan.patience is None else f", stopped after {plan.patience} without a better one"
        return (
            f"Recipe {self.name} ({self.source}): {self.hidden} hidden layers of {self.width} LeakyReLU, "
            "Adam "
            f"at {plan.learning_rate:g}{' falling to 0' if plan.cosine else ''}, batches of {plan.batch}, "
            f"{plan.epochs} epochs{stop}; 60 % of the showers train, the epoch with the best {plan.best} on "
            "another 20 % is calibrated on these (isotonic regression) and tested on the last 20 %."
        )


QUICK = Recipe(
    name="quick",
    source="caloforge's own",
    width=128,
    hidden=3,
    schedule=Schedule(2e-3, 256, 24, steps=400, patience=4, best="loss", cosine=True),
    preprocessing="quick",
    channels=(8, 16, 32),
    blocks=1,
    convolution=Schedule(2e-3, 64, 24, steps=600, patience=6, best="loss", cosine=True),
)
"""Seconds on a laptop: narrow, and trained no longer than thousands of showers allow."""

CALOFLOW = Recipe(
    name="caloflow",
    source="arXiv 2106.05285, App. B",
    width=512,
    hidden=3,
    schedule=Schedule(1e-3, 1000, 150),
    preprocessing="caloflow",
    channels=(32, 64, 64),
    blocks=1,
    convolution=Schedule(1e-3, 1000, 50),
)
"""What the AUCs of CaloFlow's tables come from."""

CALOCHALLENGE = Recipe(
    name="calochallenge",
    source="arXiv 2410.21611",
    width=2048,
    hidden=3,
    schedule=Schedule(2e-4, 1000, 50),
    preprocessing="calochallenge",
    channels=(32, 64, 64, 128),
    blocks=2,
    convolution=Schedule(2e-4, 1000, 50),
)
"""What the AUCs of the Fast Calorimeter Challenge 2022 come from."""

RECIPES = {recipe.name: recipe for recipe in (QUICK, CALOFLOW, CALOCHALLENGE)}
