"""The losses of the published GANs, functions of what the critic reads; a recipe gives their weights."""

from __future__ import annotations

__all__ = ["critic_loss", "generator_loss"]

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from caloforge.models.base import GEV

if TYPE_CHECKING:
    from caloforge.training.recipe import AdversarialSettings
    from caloforge.training.requests import Requests

_AUXILIARY_UNIT = 100e3  # MeV


def critic_loss(
    readings: Mapping[str, Tensor],
    incident: Tensor,
    settings: AdversarialSettings,
    requests: Requests,
    real: bool,
) -> dict[str, Tensor]:
    """Return the weighted terms of the critic's loss on showers that are all real or all generated.

    Energy, angle and counts are measured, not learned: in the critic's loss they would change nothing.
    """
    label = settings.real_label if real else 0.0
    terms = {"logit": settings.weight * _told(readings["logit"], label, settings.flips)}
    if settings.auxiliary_weight:
        terms["auxiliary"] = settings.auxiliary_weight * _auxiliary(readings, incident)
    if "classes" in readings:
        flips = 0.0 if real else settings.class_flips
        terms["classes"] = settings.class_weight * _classes(readings["classes"], incident, requests, flips)
    return terms


def generator_loss(
    readings: Mapping[str, Tensor],
    incident: Tensor,
    visible: Tensor,
    wanted: Tensor,
    settings: AdversarialSettings,
    requests: Requests,
) -> dict[str, Tensor]:
    """Return the weighted terms of the generator's loss.

    Args:
        readings: What the critic says of generated showers.
        incident: What was asked for, `(n, k)`.
        visible: Energy in their cells, MeV.
        wanted: Energy that these should hold, MeV.
        settings: The weights.
        requests: Knows the particles.
    """
    flips = settings.generator_flips
    terms = {"logit": settings.weight * _told(readings["logit"], settings.real_label, flips)}
    if settings.energy_weight:
        terms["energy"] = settings.energy_weight * _energy(visible, wanted, settings.energy_error)
    if settings.auxiliary_weight:
        terms["auxiliary"] = settings.auxiliary_weight * _auxiliary(readings, incident)
    if settings.angle_weight:
        terms["angle"] = settings.angle_weight * readings["angle"].abs().mean()
    if "classes" in readings:
        flips = settings.generator_class_flips
        terms["classes"] = settings.class_weight * _classes(readings["classes"], incident, requests, flips)
    return terms


def _told(logit: Tensor, label: float, flips: float) -> Tensor:
    """Cross entropy of telling real from generated; a flipped label is 0 if it was not, and 1 if it was."""
    labels = torch.full_like(logit, label)
    if flips:
        flipped = torch.rand_like(labels) < flips
        labels = torch.where(flipped, torch.full_like(logit, float(not label)), labels)
    return F.binary_cross_entropy_with_logits(logit, labels)


def _energy(visible: Tensor, wanted: Tensor, error: str) -> Tensor:
    if error == "mape":
        return _mape(visible, wanted)
    return (visible - wanted).abs().mean() / GEV


def _auxiliary(readings: Mapping[str, Tensor], incident: Tensor) -> Tensor:
    return _mape(readings["auxiliary"], incident[:, 0] / _AUXILIARY_UNIT)


def _mape(got: Tensor, wanted: Tensor) -> Tensor:
    """Keras' mean absolute error in percent of what was wanted."""
    return 100 * ((wanted - got).abs() / wanted.abs().clamp_min(1e-7)).mean()


def _classes(scores: Tensor, incident: Tensor, requests: Requests, flips: float) -> Tensor:
    """Cross entropy of telling the particles apart; flipped ones are given as any of the others."""
    assert requests.particles is not None
    codes, column = requests.particles
    known = torch.tensor(codes, dtype=incident.dtype, device=incident.device)
    labels = (incident[:, column : column + 1] == known).int().argmax(1)
    if flips:
        others = labels + torch.randint(1, len(codes), labels.shape, device=labels.device)
        flipped = torch.rand(labels.shape, device=labels.device) < flips
        labels = torch.where(flipped, others % len(codes), labels)
    return F.cross_entropy(scores, labels)
