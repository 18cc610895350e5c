"""The objective of the GANs: a critic learns real from generated, and a generator learns to pass."""

from __future__ import annotations

__all__ = ["AdversarialObjective"]

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from caloforge.errors import RecipeError
from caloforge.models import build_critic
from caloforge.models.blocks.processes import own_part, world
from caloforge.models.blocks.wasserstein import judge_alone
from caloforge.models.published.measured import count_cells
from caloforge.training.objectives.adversarial.losses import (
    critic_loss,
    generator_loss,
    real_penalty,
    wasserstein_loss,
)
from caloforge.training.objectives.adversarial.matching import matching_loss
from caloforge.training.objectives.adversarial.saturation import saturation
from caloforge.training.objectives.average import follow, start_average
from caloforge.training.objectives.base import Objective
from caloforge.training.objectives.gradients import descend, energies, in_parts, make_optimiser, own_noise

if TYPE_CHECKING:
    from typing_extensions import Self

    from caloforge.models.base import Critic, Generator
    from caloforge.models.fitted.response import ResponseFit
    from caloforge.training.hardware import Hardware
    from caloforge.training.objectives.base import Task
    from caloforge.training.objectives.settings import AdversarialSettings
    from caloforge.training.requests import Requests
    from caloforge.training.watch import Fault


class AdversarialObjective(Objective):
    """Updates critic and generator from one batch; the losses are in `losses.py`.

    The critic takes a step on the real showers and another on generated ones, never mixed, as its features
    compare the showers of a batch (the Wasserstein loss needs both in one step). Then the generator takes
    its steps, each with fresh noise and incident particles.

    Args:
        generator: Whose showers are to become like Geant4's.
        critic: What judges them.
        settings: The `objective` part of a recipe.
        requests: What is asked of the generator.
        response: How much energy the cells should hold, where the recipe wants a fit.
        hardware: Where and how precisely it is computed.
        accumulate: Parts of a batch that are computed one after another before a step.
    """

    shown = {  # noqa: RUF012 - a class variable of the contract
        "critic_real": "critic, Geant4",
        "critic_fake": "critic, generated",
        "generator": "generator",
    }

    def __init__(
        self,
        generator: Generator,
        critic: Critic,
        settings: AdversarialSettings,
        requests: Requests,
        response: ResponseFit,
        hardware: Hardware,
        accumulate: int = 1,
    ) -> None:
        super().__init__(generator, hardware)
        if settings.loss == "wasserstein":
            judge_alone(critic)
        self.critic, self.settings = critic, settings
        self.networks["critic"] = critic
        self.batches_per_step = settings.critic_steps
        self.requests, self.response = requests, response
        self.accumulate = accumulate
        self._middle = False

    @classmethod
    def of(cls, generator: Generator, task: Task) -> Self:
        settings = cast("AdversarialSettings", task.recipe.objective)
        critic = build_critic(task.recipe.model, task.detector)
        mean, response = task.data.response()
        if settings.energy_weight and settings.energy_target == "incident":
            _contained(mean)
        requests, accumulate = task.data.requests(), task.recipe.schedule.accumulate
        return cls(generator, critic, settings, requests, response, task.hardware, accumulate)

    def begin(self) -> None:
        super().begin()
        self.rates = {"generator": self.settings.generator_rate, "critic": self.settings.critic_rate}
        self.optimisers = {
            name: make_optimiser(self.modules[name], rate, self.settings) for name, rate in self.rates.items()
        }
        if self.settings.average:
            self.modules["average"] = self.result = start_average(self.generator)

    def begin_epoch(self, epoch: int) -> None:
        super().begin_epoch(epoch)
        self._middle = epoch < self.settings.middle_epochs

    def step(self, cells: Tensor, incident: Tensor) -> dict[str, Tensor]:
        """Learn from one batch of real showers.

        Args:
            cells: `(critic_steps * n, n_cells)` MeV, on the device: the part of this process.
            incident: `(critic_steps * n, k)` MeV, rad, mm.

        Returns:
            Numbers that stay on the device: losses `critic_real`, `critic_fake` and `generator` of telling
            real from generated; `energies` of the last generated batch; and the other terms of the losses by
            name.
        """
        batches = zip(*(x.chunk(self.settings.critic_steps) for x in (cells, incident)), strict=True)
        for cells, incident in batches:
            report = self._told_apart(cells, incident)
        for _ in range(self.settings.generator_steps):
            report |= self._generator_step(cells, incident)
        return report

    def note(self, losses: Mapping[str, float]) -> str:
        return (
            f"critic {losses['critic_real']:.2f} {losses['critic_fake']:.2f}, "
            f"generator {losses['generator']:.2f}, "
            f"response {losses['response']:.2f}, off by {losses['energy']:.1f} GeV"
        )

    def faults(self) -> tuple[Fault, ...]:
        # Wasserstein's losses have no floor: they go on teaching.
        return (saturation(),) if self.settings.loss == "cross-entropy" else ()

    def _told_apart(self, cells: Tensor, incident: Tensor) -> dict[str, Tensor]:
        """Let the critic learn from one batch of real showers and one of generated ones."""
        if self.settings.loss == "wasserstein":
            return self._wasserstein_step(cells, incident)
        if self.settings.together:
            return self._joint_step(cells, incident)
        report = self._critic_step(cells, incident, real=True)
        asked = self._incident(incident)
        return report | self._critic_step(self._unlearned(asked), asked, real=False)

    def _critic_step(self, cells: Tensor, incident: Tensor, real: bool) -> dict[str, Tensor]:
        parts = in_parts(self.accumulate, cells, incident)
        return self._update("critic", (self._judged(c, i, real) for c, i in parts))

    def _joint_step(self, cells: Tensor, incident: Tensor) -> dict[str, Tensor]:
        asked = self._incident(incident)
        parts = in_parts(self.accumulate, cells, incident, self._unlearned(asked), asked)
        both = (self._judged(c, i, True) | self._judged(m, a, False) for c, i, m, a in parts)
        return self._update("critic", both)

    def _judged(self, cells: Tensor, incident: Tensor, real: bool) -> dict[str, Tensor]:
        """Terms of the critic's loss."""
        with self.hardware.autocast():
            readings = self.critic(cells, incident)
            terms = critic_loss(readings, incident, self.settings, self.requests, real)
            if real and self.settings.real_penalty:
                penalty = real_penalty(self.critic, cells, incident)
                terms["penalty"] = self.settings.real_penalty * penalty
        return _named("critic_real" if real else "critic_fake", terms)

    def _wasserstein_step(self, cells: Tensor, incident: Tensor) -> dict[str, Tensor]:
        made = self._unlearned(incident)

        def losses() -> Iterator[dict[str, Tensor]]:
            for real, fake, given in in_parts(self.accumulate, cells, made, incident):
                with self.hardware.autocast():
                    yield wasserstein_loss(self.critic, real, fake, given, self.settings, self.requests)

        return self._update("critic", losses())

    def _unlearned(self, incident: Tensor) -> Tensor:
        """Generated showers without gradients."""
        noise = self._noise(len(incident))
        self.generator.train(not self.settings.running_norms)
        with torch.no_grad(), self.hardware.autocast():
            cells = torch.cat([self.generator(*part) for part in in_parts(self.accumulate, noise, incident)])
        self.generator.train()
        return cells

    def _generator_step(self, real: Tensor, like: Tensor) -> dict[str, Tensor]:
        incident = self._incident(like)
        noise = self._noise(len(like))
        sums: list[Tensor] = []

        def losses() -> Iterator[dict[str, Tensor]]:
            for seed, given, shown in in_parts(self.accumulate, noise, incident, real):
                with _frozen(self.critic), self.hardware.autocast():
                    cells = self.generator(seed, given)
                    readings, matched = self._seen(cells, shown, given)
                visible, wanted = cells.sum(1), self._wanted(given, shown)
                sums.append(torch.stack([visible.detach(), wanted]))
                counts = count_cells(shown) if self.settings.counts_weight else None
                terms = generator_loss(readings, given, visible, wanted, self.settings, self.requests, counts)
                yield terms | matched

        terms = self._update("generator", losses())
        if self.settings.average:
            follow(self.result, self.generator, self.optimisers["generator"], self.settings.average)
        return _named("generator", terms) | energies(*torch.cat(sums, dim=1))

    def _seen(
        self, made: Tensor, real: Tensor, incident: Tensor
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """What the critic reads of generated showers, and how far its views of them are from the real."""
        if not self.settings.matching_weight:
            return self.critic(made, incident), {}
        views, truth = (self.critic.views(cells, incident) for cells in (made, real))
        with torch.autocast(made.device.type, enabled=False):
            distance = self.settings.matching_weight * matching_loss(views, truth)
        return self.critic.read(*views), {"matching": distance}

    def _update(self, name: str, losses: Iterator[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        return descend(self.modules[name], self.optimisers[name], losses, self.accumulate)

    def _noise(self, n: int) -> Tensor:
        return own_noise(self.generator, n, self.hardware.device)

    def _incident(self, like: Tensor) -> Tensor:
        if self.settings.requested == "batch":
            return like
        # Drawn for the whole batch by each process, so that all go through the same random numbers.
        return own_part(self.requests.draw(len(like) * world(), self._middle))

    def _wanted(self, incident: Tensor, real: Tensor) -> Tensor:
        """Energy that the cells of generated showers should hold, MeV."""
        if self.settings.energy_target == "incident":
            return incident[:, 0]
        if self.settings.requested == "batch":
            return real.sum(1)
        return self.response.visible(incident[:, 0])


def _named(name: str, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name if key == "logit" else f"{name}_{key}": value for key, value in terms.items()}


def _contained(response: float) -> None:
    """The cells are asked to hold the incident energy: they must do so in Geant4."""
    if not 0.5 < response < 1.5:
        raise RecipeError(
            "the cells of these showers do not add up to the incident energy, as this model demands",
            got=f"a mean response of {response:.3g}",
            expected="0.5 to 1.5",
            cure=f"write the detector's readout with sampling_fraction: {response:.3g}",
        )


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """Let gradients pass through a module without computing those of its weights."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)
