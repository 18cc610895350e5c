"""The contract: an objective turns batches of real showers into steps of a generator."""

from __future__ import annotations

__all__ = ["Objective", "Task"]

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer
    from typing_extensions import Self

    from caloforge.cluster import Cluster
    from caloforge.detector import Detector
    from caloforge.models.base import Generator, Network
    from caloforge.training.batches import TrainingData
    from caloforge.training.hardware import Hardware
    from caloforge.training.recipe import Recipe
    from caloforge.training.watch import Fault


@dataclass(frozen=True)
class Task:
    """What an objective is built for.

    Attributes:
        recipe: Settings of the model, of the objective and of the schedule.
        detector: What the showers are read out with.
        data: The showers that train.
        hardware: Where and how precisely it is computed.
        cluster: Processes that may compute too, for objectives that can use them.
    """

    recipe: Recipe
    detector: Detector
    data: TrainingData
    hardware: Hardware
    cluster: Cluster | None = None


class Objective(ABC):
    """What a generator learns by.

    The training builds it with `of`, shows real showers to its `networks`, lets them begin with given
    weights, calls `begin`, and then `step` with each batch. What is in `modules` and `optimisers` goes into
    each checkpoint, so an objective keeps nothing else from one step to the next.

    Args:
        generator: Whose showers are to become like Geant4's.
        hardware: Where and how precisely it is computed.

    Attributes:
        networks: The generator and what learns beside it, by name: these look at real showers before the
            first step, may begin with given weights, and are what is compiled.
        modules: From `begin` on: what has weights or other tensors that a training goes on with, by name.
        optimisers: From `begin` on: what updates them, by the same names.
        rates: Learning rates of these before a schedule changes them; the setting is `{name}_rate`.
        result: From `begin` on: the generator that is wanted in the end.
        batches_per_step: Batches of real showers that a step takes.
        warm: Whether the networks begin with weights that were given; set before `begin`.
        elsewhere: Seconds of processors that other processes have computed for it.
    """

    learns: ClassVar[bool] = True
    """False: there is nothing to step through. What the generator measured of real showers is the result; it
    begins with no weights and leaves no checkpoint."""
    shown: ClassVar[Mapping[str, str]] = {"generator": "generator"}
    """Losses that the curves draw, and what they are called there."""

    batches_per_step: int = 1
    warm: bool = False
    elsewhere: float = 0.0

    def __init__(self, generator: Generator, hardware: Hardware) -> None:
        self.generator, self.hardware = generator, hardware
        self.networks: dict[str, Network] = {"generator": generator}
        self.modules: dict[str, nn.Module] = {}
        self.optimisers: dict[str, Optimizer] = {}
        self.rates: dict[str, float] = {}
        self.result = generator

    @classmethod
    @abstractmethod
    def of(cls, generator: Generator, task: Task) -> Self:
        """Build one, with the networks that learn beside the generator.

        Raises:
            RecipeError: These showers cannot be learned from so.
            DetectorError: One of the networks cannot be made for this detector.
        """

    def begin(self) -> None:
        """Make what depends on the weights that it begins with, on the device."""
        self.modules = {name: network.to(self.hardware.device) for name, network in self.networks.items()}

    def begin_epoch(self, epoch: int) -> None:
        """Take note that the epoch of this number begins, from 0."""
        self.generator.begin_epoch(epoch)
        self.result.begin_epoch(epoch)

    @abstractmethod
    def step(self, cells: Tensor, incident: Tensor) -> dict[str, Tensor]:
        """Learn from one batch of real showers.

        Args:
            cells: `(batches_per_step * n, n_cells)` MeV, on the device: the part of this process.
            incident: `(batches_per_step * n, k)` MeV, rad, mm.

        Returns:
            Losses, numbers that stay on the device. An objective that makes showers also gives `energy`,
            `response` and `spread` (`gradients.energies`): they tell when a generator is dead.
        """

    def note(self, losses: Mapping[str, float]) -> str:
        """Return what a user is told of the last steps."""
        return ", ".join(f"{words} {losses[name]:.3g}" for name, words in self.shown.items())

    def faults(self) -> tuple[Fault, ...]:
        """Return what makes it pointless to go on, besides what does so in every training."""
        return ()

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Let go of what it holds besides memory."""

    def scale_rates(self, factor: float) -> None:
        """Set the learning rates to this many times those of the recipe."""
        for name, optimiser in self.optimisers.items():
            for group in optimiser.param_groups:
                group["lr"] = factor * self.rates[name]

    def compile(self) -> None:
        """Let torch compile the networks, in place: names of weights stay as they are."""
        for network in self.networks.values():
            network.compile()
