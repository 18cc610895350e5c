"""Generators and their critics: one family per file. Importing this does not import torch."""

from __future__ import annotations

__all__ = ["build_critic", "build_generator"]

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.models.base import Critic, Generator
    from caloforge.models.settings import ModelSettings

# Where each kind of model has its generator and its critic; imported when built, as torch is slow to load.
_GENERATORS = {
    "calogan": "published.calogan.CaloganGenerator",
    "lagan": "published.lagan.LaganGenerator",
    "gan3d": "published.gan3d.Gan3dGenerator",
    "gan3d-angle": "published.gan3d_angle.Gan3dAngleGenerator",
    "conv2d": "published.conv2d.Conv2dGenerator",
    "fitted": "fitted.generator.FittedGenerator",
    "tuned": "tuned.generator.TunedGenerator",
    "flow": "transport.generator.TransportGenerator",
    "matching": "transport.generator.TransportGenerator",
    "grown": "grown.generator.GrownGenerator",
}
_CRITICS = {
    "calogan": "published.calogan_critic.CaloganCritic",
    "lagan": "published.lagan.LaganCritic",
    "gan3d": "published.gan3d.Gan3dCritic",
    "gan3d-angle": "published.gan3d_angle.Gan3dAngleCritic",
    "conv2d": "published.conv2d.Conv2dCritic",
    "tuned": "tuned.critic.TunedCritic",
    "grown": "grown.critic.GrownCritic",
}


def build_generator(settings: ModelSettings, detector: Detector) -> Generator:
    """Return an untrained generator of a detector's showers.

    Args:
        settings: The `model` part of a recipe.
        detector: What the showers are read out with.

    Raises:
        DetectorError: The model cannot make showers of this detector.
    """
    generator: Generator = _load(_GENERATORS[settings.kind])(detector, settings)
    return generator


def build_critic(settings: ModelSettings, detector: Detector) -> Critic:
    """Return the untrained critic that belongs to the model.

    Raises:
        DetectorError: The model cannot judge showers of this detector.
    """
    critic: Critic = _load(_CRITICS[settings.kind])(detector, settings)
    return critic


def _load(place: str) -> Any:
    module, name = place.rsplit(".", 1)
    return getattr(import_module(f"caloforge.models.{module}"), name)
