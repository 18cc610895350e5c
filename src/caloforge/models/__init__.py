"""Generators and their critics: one family per file. Importing this does not import torch."""

from __future__ import annotations

__all__ = ["build_critic", "build_generator"]

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from caloforge.detector import Detector
    from caloforge.models.base import Generator
    from caloforge.models.settings import ModelSettings


def build_generator(settings: ModelSettings, detector: Detector) -> Generator:
    """Return an untrained generator of a detector's showers.

    Args:
        settings: The `model` part of a recipe.
        detector: What the showers are read out with.

    Raises:
        DetectorError: The model cannot make showers of this detector.
    """
    from caloforge.models.calogan import CaloganGenerator

    return CaloganGenerator(detector, settings)


def build_critic(settings: ModelSettings, detector: Detector) -> nn.Module:
    """Return the untrained critic that belongs to the model; see `CaloganCritic.forward`."""
    from caloforge.models.calogan_critic import CaloganCritic

    return CaloganCritic(detector, settings)
