"""The losses of the published GANs, functions of what the critic reads; a recipe gives their weights."""

from __future__ import annotations

__all__ = ["critic_loss", "generator_loss", "gradient_penalty", "real_penalty", "wasserstein_loss"]

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from caloforge.errors import RecipeError
from caloforge.models.base import GEV
from caloforge.models.blocks.processes import own_rand, own_rand_like

if TYPE_CHECKING:
    from caloforge.models.base import Critic
    from caloforge.training.objectives.settings import AdversarialSettings
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
    terms = {"logit": settings.weight * _told(readings["logit"], settings, real, settings.flips)}
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
    counts: Tensor | None = None,
) -> dict[str, Tensor]:
    """Return the weighted terms of the generator's loss.

    Args:
        readings: What the critic says of generated showers.
        incident: What was asked for, `(n, k)`.
        visible: Energy in their cells, MeV.
        wanted: Energy that these should hold, MeV.
        settings: The weights.
        requests: Knows the particles.
        counts: Cells in bins of energy of real showers of the same particles, where these are compared.

    Raises:
        RecipeError: The model has no reading for a weight that is not 0.
    """
    flips = settings.generator_flips
    terms = {"logit": settings.weight * _told(readings["logit"], settings, True, flips)}
    if settings.energy_weight:
        terms["energy"] = settings.energy_weight * _energy(visible, wanted, settings.energy_error)
    if settings.auxiliary_weight:
        terms["auxiliary"] = settings.auxiliary_weight * _auxiliary(readings, incident)
    if settings.angle_weight:
        terms["angle"] = settings.angle_weight * _reading(readings, "angle").abs().mean()
    if counts is not None:
        terms["counts"] = settings.counts_weight * _mape(_reading(readings, "counts"), counts)
    if "classes" in readings:
        flips = settings.generator_class_flips
        terms["classes"] = settings.class_weight * _classes(readings["classes"], incident, requests, flips)
    return terms


def wasserstein_loss(
    critic: Critic,
    real: Tensor,
    made: Tensor,
    incident: Tensor,
    settings: AdversarialSettings,
    requests: Requests,
) -> dict[str, Tensor]:
    """Return the weighted terms of the critic's loss where its readings estimate a Wasserstein distance.

    Real and generated showers must have the same incident particles: the distance is then that between the
    showers of each particle, and what the critic thinks of the particles alone drops out.

    Args:
        critic: Judges each shower alone (`models.wasserstein.judge_alone`).
        real: Cells of real showers, `(n, n_cells)` MeV.
        made: Cells of generated showers of the same particles.
        incident: The particles, `(n, k)`.
        settings: The weights.
        requests: Knows the particles.

    Returns:
        `critic_real` and `critic_fake`, whose sum is less than zero by the distance; `critic_penalty`; and
        the other terms.
    """
    terms: dict[str, Tensor] = {}
    for name, cells in (("critic_real", real), ("critic_fake", made)):
        found = critic_loss(critic(cells, incident), incident, settings, requests, cells is real)
        terms |= {name if key == "logit" else f"{name}_{key}": value for key, value in found.items()}
    penalty = gradient_penalty(critic, real, made, incident)
    return terms | {"critic_penalty": settings.weight * settings.gradient_penalty * penalty}


def gradient_penalty(critic: Critic, real: Tensor, made: Tensor, incident: Tensor) -> Tensor:
    """Mean of (slope - 1) squared at random mixtures of real and generated showers (arXiv:1704.00028).

    The slope is that of the critic's reading along the vector of cell energies in the critic's `unit`, the
    one that its networks see. In MeV a slope of 1 would be far too steep, or far too flat, for any of them.
    """
    share = own_rand((len(real), 1), real.device)
    mixed = torch.lerp(made, real, share).requires_grad_()
    reading = critic(mixed, incident)["logit"]
    (gradient,) = torch.autograd.grad(reading.sum(), mixed, create_graph=True)
    # Within the root, as the root of zero has no derivative.
    slope = ((gradient * critic.unit).square().sum(1) + 1e-12).sqrt()
    return (slope - 1).square().mean()


def real_penalty(critic: Critic, cells: Tensor, incident: Tensor) -> Tensor:
    """Mean squared slope of the critic at real showers (arXiv:1801.04406), along all that its networks see.

    An eighth of the batch is asked, which is enough and costs little.
    """
    some = slice(0, max(1, len(cells) // 8))
    with torch.no_grad():
        views = critic.views(cells[some], incident[some])
    asked = [view.requires_grad_() for view in views]
    slopes = torch.autograd.grad(
        critic.read(*asked)["logit"].sum(), asked, create_graph=True, allow_unused=True
    )
    used = [slope.square().sum(1).mean() for slope in slopes if slope is not None]
    return torch.stack(used).sum()


def _told(logit: Tensor, settings: AdversarialSettings, real: bool, flips: float) -> Tensor:
    """Distance from reading what is or should be real as high, and what is generated as low.

    By cross entropy, where a flipped label is 0 if it was not, and 1 if it was; or by the readings
    themselves.
    """
    if settings.loss == "wasserstein":
        return -logit.mean() if real else logit.mean()
    label = settings.real_label if real else 0.0
    labels = torch.full_like(logit, label)
    if flips:
        flipped = own_rand_like(labels) < flips
        labels = torch.where(flipped, torch.full_like(logit, float(not label)), labels)
    return F.binary_cross_entropy_with_logits(logit, labels)


def _energy(visible: Tensor, wanted: Tensor, error: str) -> Tensor:
    if error == "mape":
        return _mape(visible, wanted)
    return (visible - wanted).abs().mean() / GEV


def _auxiliary(readings: Mapping[str, Tensor], incident: Tensor) -> Tensor:
    return _mape(_reading(readings, "auxiliary"), incident[:, 0] / _AUXILIARY_UNIT)


def _reading(readings: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in readings:
        raise RecipeError(
            f"objective.{name}_weight is not 0, and this model's critic has no such reading",
            got="readings " + ", ".join(readings),
            cure=f"leave objective.{name}_weight out",
        )
    return readings[name]


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
        others = labels + 1 + (own_rand(labels.shape, labels.device) * (len(codes) - 1)).long()
        flipped = own_rand(labels.shape, labels.device) < flips
        labels = torch.where(flipped, others % len(codes), labels)
    return F.cross_entropy(scores, labels)
