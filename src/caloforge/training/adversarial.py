"""The objective of CaloGAN: a critic that learns real from generated, and a generator that learns to pass."""

from __future__ import annotations

__all__ = ["AdversarialObjective"]

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from caloforge.models.calogan import GEV

if TYPE_CHECKING:
    from caloforge.models.base import Generator
    from caloforge.training.hardware import Hardware
    from caloforge.training.recipe import AdversarialSettings


class AdversarialObjective:
    r"""Updates critic and generator from one batch.

    The critic takes a step on the real showers and another on generated ones, never mixed, as its features
    compare the showers of a batch. Then the generator takes its steps, each with fresh noise and energies,
    on

    .. math:: -\log D(G(z, E), E) + \lambda \, |\sum_c G_c(z, E) - E|

    The energies asked for are uniform over the range of the data.

    Args:
        generator: Whose showers are to become like Geant4's.
        critic: `(cells, incident) -> (logit, visible energy in GeV)`.
        settings: The `objective` part of a recipe.
        low: Lowest of each condition, shape `(k,)`.
        high: Highest of each condition.
        hardware: Where and how precisely it is computed.

    Attributes:
        modules: What has weights, by name.
        optimisers: What updates them, by the same names.
        result: The generator that is wanted in the end: the one that learns, or its running average.
    """

    def __init__(
        self,
        generator: Generator,
        critic: nn.Module,
        settings: AdversarialSettings,
        low: Tensor,
        high: Tensor,
        hardware: Hardware,
    ) -> None:
        self.generator, self.critic = generator.to(hardware.device), critic.to(hardware.device)
        self.modules: dict[str, nn.Module] = {"generator": self.generator, "critic": self.critic}
        rates = {"generator": settings.generator_rate, "critic": settings.critic_rate}
        # Keras' epsilon; `fused` goes through the weights once instead of seven times.
        self.optimisers = {
            name: Adam(
                module.parameters(), lr=rates[name], betas=(settings.beta1, 0.999), eps=1e-7, fused=True
            )
            for name, module in self.modules.items()
        }
        self.result = self.generator
        if settings.average:
            self.result = self.modules["average"] = deepcopy(self.generator).requires_grad_(False)
        self.settings, self.hardware = settings, hardware
        self.low, self.high = low.to(hardware.device), high.to(hardware.device)

    def step(self, cells: Tensor, incident: Tensor) -> dict[str, Tensor]:
        """Learn from one batch of real showers.

        Args:
            cells: `(n, n_cells)` MeV, on the device.
            incident: `(n, k)` MeV, rad, mm.

        Returns:
            Numbers that stay on the device: cross entropies `critic_real`, `critic_fake` and `generator`; of
            the last generated batch `energy` (mean distance from the incident energy, GeV), `response`
            (all energy in the cells over all incident energy) and `spread` (of the energy in the cells, GeV).
        """
        n = len(cells)
        report = {"critic_real": self._critic_step(cells, incident, real=True)}
        report["critic_fake"] = self._critic_step(*self._unlearned(n), real=False)
        for _ in range(self.settings.generator_steps):
            report |= self._generator_step(n)
        return report

    def _critic_step(self, cells: Tensor, incident: Tensor, real: bool) -> Tensor:
        with self.hardware.autocast():
            logit, _ = self.critic(cells, incident)
        # The published loss also has the energy term here; nothing the critic learns can change it.
        loss = F.binary_cross_entropy_with_logits(logit, torch.full_like(logit, float(real)))
        self._update("critic", loss)
        return loss.detach()

    def _unlearned(self, n: int) -> tuple[Tensor, Tensor]:
        """Generated showers without gradients."""
        incident = self._incident(n)
        self.generator.train(not self.settings.running_norms)
        with torch.no_grad(), self.hardware.autocast():
            cells = self.generator(self._noise(n), incident)
        self.generator.train()
        return cells, incident

    def _generator_step(self, n: int) -> dict[str, Tensor]:
        incident = self._incident(n)
        with _frozen(self.critic), self.hardware.autocast():
            cells = self.generator(self._noise(n), incident)
            logit, visible = self.critic(cells, incident)
            fooled = F.binary_cross_entropy_with_logits(logit, torch.ones_like(logit))
            wanted = incident[:, 0] / GEV
            energy = (visible - wanted).abs().mean()
            self._update("generator", fooled + self.settings.energy_weight * energy)
        self._average()
        return {
            "generator": fooled.detach(),
            "energy": energy.detach(),
            "response": (visible.sum() / wanted.sum()).detach(),
            "spread": visible.std().detach(),
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

    def _update(self, name: str, loss: Tensor) -> None:
        self.optimisers[name].zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimisers[name].step()

    def _noise(self, n: int) -> Tensor:
        return self.generator.sample_noise(n, device=self.hardware.device)

    def _incident(self, n: int) -> Tensor:
        uniform = torch.rand((n, len(self.low)), device=self.hardware.device)
        return self.low + (self.high - self.low) * uniform


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """Let gradients pass through a module without computing those of its weights."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)
