"""The objective of the GANs: a critic learns real from generated, and a generator learns to pass."""

from __future__ import annotations

__all__ = ["AdversarialObjective"]

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer, RMSprop

from caloforge.models.base import GEV
from caloforge.models.blocks.processes import average_gradients, gather, own_part, world
from caloforge.models.blocks.wasserstein import judge_alone
from caloforge.models.published.measured import count_cells
from caloforge.training.losses import critic_loss, generator_loss, real_penalty, wasserstein_loss
from caloforge.training.matching import matching_loss

if TYPE_CHECKING:
    from caloforge.models.base import Critic, Generator
    from caloforge.models.fitted.response import ResponseFit
    from caloforge.training.hardware import Hardware
    from caloforge.training.recipe import AdversarialSettings
    from caloforge.training.requests import Requests


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
        accumulate: Parts of a batch that are computed one after another before a step.

    Attributes:
        modules: What has weights, by name.
        optimisers: What updates them, by the same names.
        rates: Their learning rates, before a schedule changes these.
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
        accumulate: int = 1,
    ) -> None:
        if settings.loss == "wasserstein":
            judge_alone(critic)
        self.generator, self.critic = generator.to(hardware.device), critic.to(hardware.device)
        self.modules: dict[str, nn.Module] = {"generator": self.generator, "critic": self.critic}
        self.rates = {"generator": settings.generator_rate, "critic": settings.critic_rate}
        self.optimisers = {
            name: _optimiser(module, self.rates[name], settings) for name, module in self.modules.items()
        }
        self.result = self.generator
        if settings.average:
            self.result = deepcopy(self.generator).requires_grad_(False)
            self.modules["average"] = self.result
        self.settings, self.hardware = settings, hardware
        self.requests, self.response = requests, response
        self.accumulate = accumulate
        self._middle = False

    def begin_epoch(self, epoch: int) -> None:
        """Take note that the epoch of this number begins, from 0."""
        self._middle = epoch < self.settings.middle_epochs
        self.generator.begin_epoch(epoch)
        self.result.begin_epoch(epoch)

    def compile(self) -> None:
        """Let torch compile both networks, in place: names of weights stay as they are."""
        for module in (self.generator, self.critic):
            module.compile()

    def scale_rates(self, factor: float) -> None:
        """Set the learning rates to this many times those of the recipe."""
        for name, optimiser in self.optimisers.items():
            for group in optimiser.param_groups:
                group["lr"] = factor * self.rates[name]

    def step(self, cells: Tensor, incident: Tensor) -> dict[str, Tensor]:
        """Learn from one batch of real showers.

        Args:
            cells: `(critic_steps * n, n_cells)` MeV, on the device: the part of this process.
            incident: `(critic_steps * n, k)` MeV, rad, mm.

        Returns:
            Numbers that stay on the device: losses `critic_real`, `critic_fake` and `generator` of telling
            real from generated; of the last generated batch `energy` (mean distance of the energy in the
            cells from what it should be, GeV), `response` (all energy in the cells over all that should be
            there) and `spread` (of the energy in the cells, GeV); and the other terms of the losses by name.
        """
        batches = zip(*(x.chunk(self.settings.critic_steps) for x in (cells, incident)), strict=True)
        for cells, incident in batches:
            report = self._told_apart(cells, incident)
        for _ in range(self.settings.generator_steps):
            report |= self._generator_step(cells, incident)
        return report

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
        parts = self._parts(cells, incident)
        return self._update("critic", (self._judged(c, i, real) for c, i in parts))

    def _joint_step(self, cells: Tensor, incident: Tensor) -> dict[str, Tensor]:
        asked = self._incident(incident)
        parts = self._parts(cells, incident, self._unlearned(asked), asked)
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
            for real, fake, given in self._parts(cells, made, incident):
                with self.hardware.autocast():
                    yield wasserstein_loss(self.critic, real, fake, given, self.settings, self.requests)

        return self._update("critic", losses())

    def _unlearned(self, incident: Tensor) -> Tensor:
        """Generated showers without gradients."""
        noise = self._noise(len(incident))
        self.generator.train(not self.settings.running_norms)
        with torch.no_grad(), self.hardware.autocast():
            cells = torch.cat([self.generator(*part) for part in self._parts(noise, incident)])
        self.generator.train()
        return cells

    def _generator_step(self, real: Tensor, like: Tensor) -> dict[str, Tensor]:
        incident = self._incident(like)
        noise = self._noise(len(like))
        energies: list[Tensor] = []

        def losses() -> Iterator[dict[str, Tensor]]:
            for seed, given, shown in self._parts(noise, incident, real):
                with _frozen(self.critic), self.hardware.autocast():
                    cells = self.generator(seed, given)
                    readings, matched = self._seen(cells, shown, given)
                visible, wanted = cells.sum(1), self._wanted(given, shown)
                energies.append(torch.stack([visible.detach(), wanted], dim=1))
                counts = count_cells(shown) if self.settings.counts_weight else None
                terms = generator_loss(readings, given, visible, wanted, self.settings, self.requests, counts)
                yield terms | matched

        terms = self._update("generator", losses())
        self._average()
        visible, wanted = gather(torch.cat(energies)).unbind(1)
        return _named("generator", terms) | {
            "energy": (visible - wanted).abs().mean() / GEV,
            "response": visible.sum() / wanted.sum(),
            "spread": visible.std() / GEV,
        }

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

    def _parts(self, *whole: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """Cut the rows of this process into what is computed at once."""
        return zip(*(x.chunk(self.accumulate) for x in whole), strict=True)

    @torch.no_grad()
    def _average(self) -> None:
        """Move the average a little towards the generator, the statistics of its norms too."""
        if self.result is self.generator:
            return
        # Shorter at first: what the generator was before it learned is no part of what is wanted.
        (state, *_) = self.optimisers["generator"].state.values()
        steps = torch.as_tensor(state["step"], device=self.hardware.device)
        move = 1 - ((1 + steps) / (10 + steps)).clamp(max=self.settings.average)
        for mean, value in zip(
            self.result.state_dict().values(), self.generator.state_dict().values(), strict=True
        ):
            if mean.is_floating_point():
                mean.lerp_(value, move.to(mean.dtype))

    def _update(self, name: str, losses: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Take a step along the gradient of all losses together, and return the mean of each.

        Args:
            name: Of the network.
            losses: Terms of each part of the batch; the next part is computed when this one is done with.
        """
        self.optimisers[name].zero_grad(set_to_none=True)
        seen: list[dict[str, Tensor]] = []
        for terms in losses:
            total = torch.stack(list(terms.values())).sum() / self.accumulate
            total.backward()  # type: ignore[no-untyped-call]
            seen.append({key: value.detach() for key, value in terms.items()})
        average_gradients(self.modules[name])
        self.optimisers[name].step()
        return {key: torch.stack([terms[key] for terms in seen]).mean() for key in seen[0]}

    def _noise(self, n: int) -> Tensor:
        noise = self.generator.sample_noise(n * world(), device=self.hardware.device)
        return own_part(noise)

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
