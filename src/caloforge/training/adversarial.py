"""The objective of the GANs: a critic learns real from generated, and a generator learns to pass."""

from __future__ import annotations

__all__ = ["AdversarialObjective"]

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer, RMSprop

from caloforge.models.base import GEV
from caloforge.training.losses import critic_loss, generator_loss

if TYPE_CHECKING:
    from caloforge.models.base import Critic, Generator
    from caloforge.training.hardware import Hardware
    from caloforge.training.recipe import AdversarialSettings
    from caloforge.training.requests import Requests, ResponseFit


class AdversarialObjective:
    """Updates critic and generator from one batch; the losses are in `caloforge.training.losses`.

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

    Attributes:
        modules: What has weights, by name.
        optimisers: What updates them, by the same names.
        result: The generator that is wanted in the end: the one that learns, or its running average.
    """

    def __init__(
        self,
        generator: Generator,
        critic: Critic,
        settings: AdversarialSettings,
        requests: Requests,
        response: ResponseFit,
        hardware: Hardware,
    ) -> None:
        self.generator, self.critic = generator.to(hardware.device), critic.to(hardware.device)
        self.modules: dict[str, nn.Module] = {"generator": self.generator, "critic": self.critic}
        rates = {"generator": settings.generator_rate, "critic": settings.critic_rate}
        self.optimisers = {
            name: _optimiser(module, rates[name], settings) for name, module in self.modules.items()
        }
        self.result = self.generator
        if settings.average:
            self.result = deepcopy(self.generator).requires_grad_(False)
            self.modules["average"] = self.result
        self.settings, self.hardware = settings, hardware
        self.requests, self.response = requests, response
        self._middle = False

    def begin_epoch(self, epoch: int) -> None:
        """Take note that the epoch of this number begins, from 0."""
        self._middle = epoch < self.settings.middle_epochs
        self.generator.begin_epoch(epoch)
        self.result.begin_epoch(epoch)

    def step(self, cells: Tensor, incident: Tensor) -> dict[str, Tensor]:
        """Learn from one batch of real showers.

        Args:
            cells: `(n, n_cells)` MeV, on the device.
            incident: `(n, k)` MeV, rad, mm.

        Returns:
            Numbers that stay on the device: losses `critic_real`, `critic_fake` and `generator` of telling
            real from generated; of the last generated batch `energy` (mean distance of the energy in the
            cells from what it should be, GeV), `response` (all energy in the cells over all that should be
            there) and `spread` (of the energy in the cells, GeV); and the other terms of the losses by name.
        """
        report = self._critic_step(cells, incident, real=True)
        report |= self._critic_step(*self._unlearned(incident), real=False)
        for _ in range(self.settings.generator_steps):
            report |= self._generator_step(cells, incident)
        return report

    def _critic_step(self, cells: Tensor, incident: Tensor, real: bool) -> dict[str, Tensor]:
        with self.hardware.autocast():
            readings = self.critic(cells, incident)
        terms = critic_loss(readings, incident, self.settings, self.requests, real)
        self._update("critic", terms)
        name = "critic_real" if real else "critic_fake"
        return {name if key == "logit" else f"{name}_{key}": value.detach() for key, value in terms.items()}

    def _unlearned(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Generated showers without gradients."""
        incident = self._incident(like)
        self.generator.train(not self.settings.running_norms)
        with torch.no_grad(), self.hardware.autocast():
            cells = self.generator(self._noise(len(like)), incident)
        self.generator.train()
        return cells, incident

    def _generator_step(self, real: Tensor, like: Tensor) -> dict[str, Tensor]:
        incident = self._incident(like)
        with _frozen(self.critic), self.hardware.autocast():
            cells = self.generator(self._noise(len(like)), incident)
            readings = self.critic(cells, incident)
        visible, wanted = cells.sum(1), self._wanted(incident, real)
        terms = generator_loss(readings, incident, visible, wanted, self.settings, self.requests)
        self._update("generator", terms)
        self._average()
        return {
            "generator" if key == "logit" else f"generator_{key}": v.detach() for key, v in terms.items()
        } | {
            "energy": (visible - wanted).abs().mean().detach() / GEV,
            "response": (visible.sum() / wanted.sum()).detach(),
            "spread": visible.std().detach() / GEV,
        }

    @torch.no_grad()
    def _average(self) -> None:
        """Move the average a little towards the generator, the statistics of its norms too."""
        if self.result is self.generator:
            return
        for mean, value in zip(
            self.result.state_dict().values(), self.generator.state_dict().values(), strict=True
        ):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - self.settings.average)

    def _update(self, name: str, terms: Mapping[str, Tensor]) -> None:
        self.optimisers[name].zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        self.optimisers[name].step()

    def _noise(self, n: int) -> Tensor:
        return self.generator.sample_noise(n, device=self.hardware.device)

    def _incident(self, like: Tensor) -> Tensor:
        if self.settings.requested == "batch":
            return like
        return self.requests.draw(len(like), self._middle)

    def _wanted(self, incident: Tensor, real: Tensor) -> Tensor:
        """Energy that the cells of generated showers should hold, MeV."""
        if self.settings.energy_target == "incident":
            return incident[:, 0]
        if self.settings.requested == "batch":
            return real.sum(1)
        return self.response.visible(incident[:, 0])


def _optimiser(module: nn.Module, rate: float, settings: AdversarialSettings) -> Optimizer:
    """Adam or RMSprop with Keras' epsilon; `fused` goes through the weights once instead of seven times."""
    if settings.optimiser == "rmsprop":
        return RMSprop(module.parameters(), lr=rate, alpha=settings.beta2, eps=1e-7)
    betas = settings.beta1, settings.beta2
    return Adam(module.parameters(), lr=rate, betas=betas, eps=1e-7, fused=True)


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """Let gradients pass through a module without computing those of its weights."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)
