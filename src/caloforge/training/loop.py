"""The training loop: batches in, losses out, and nothing lost when it stops."""

from __future__ import annotations

__all__ = ["Training"]

import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from types import FrameType
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from caloforge.errors import TrainingError
from caloforge.training.checkpoint import load_checkpoint, save_checkpoint, save_generator
from caloforge.training.metrics import Metrics
from caloforge.training.quicklook import QuickLook
from caloforge.training.watch import Watch

if TYPE_CHECKING:
    from caloforge.progress import Progress
    from caloforge.training.adversarial import AdversarialObjective
    from caloforge.training.batches import TrainingData
    from caloforge.training.recipe import Recipe
    from caloforge.training.run import Run

_REPORT_SECONDS = 2.0
_REPORT_STEPS = 50


@dataclass
class Position:
    """Where a training is; goes into each checkpoint."""

    epoch: int = 0
    step: int = 0
    """Steps done in this epoch."""
    steps: int = 0
    """Steps done in all."""
    seconds: float = 0.0
    best: float | None = None
    """Score of the weights that are kept."""


class Training:
    """Runs an objective over the data until the epochs or the time are over.

    Args:
        objective: What is trained.
        data: What it learns from.
        recipe: For how long, and what is kept.
        run: Where everything goes; a checkpoint there is continued.
        budget: Seconds after which to stop.
        tensorboard: Also write TensorBoard's event files.
        progress: Called with (steps done, steps in all, note).
    """

    def __init__(
        self,
        objective: AdversarialObjective,
        data: TrainingData,
        recipe: Recipe,
        run: Run,
        budget: float,
        tensorboard: bool,
        progress: Progress | None,
    ) -> None:
        self.objective, self.data, self.folder = objective, data, run
        self.schedule, self.budget, self.progress = recipe.schedule, budget, progress
        self.at = Position()
        if run.checkpoint.is_file():
            self.at = Position(**load_checkpoint(objective, run.checkpoint))
        self.start = Position(**asdict(self.at))
        self.metrics = Metrics(run.path, self.at.steps, tensorboard)
        self.look = QuickLook(data.selection, self.schedule.seed) if data.selection is not None else None
        self.watch = Watch()
        self.window: list[dict[str, Tensor]] = []

    def run(self) -> None:
        """Train.

        Raises:
            TrainingError: The training diverged; what was saved before is good.
            KeyboardInterrupt: It was interrupted; everything is saved.
        """
        self.begin = self.reported = self.saved = time.monotonic()
        try:
            with _caught_signals() as signals:
                stopped = False
                while self.at.epoch < self.schedule.epochs and not stopped:
                    stopped = self._epoch(signals)
                self._save()
                if not signals:
                    self._finish()
        finally:
            self.metrics.close()
        for number in signals:
            signal.raise_signal(number)

    def _epoch(self, signals: list[int]) -> bool:
        """Do the rest of an epoch; return whether the training was told to stop."""
        self.objective.begin_epoch(self.at.epoch)
        for cells, incident in self.data.epoch(self.at.epoch, self.at.step):
            self.window.append(self.objective.step(cells, incident))
            self.at.step += 1
            self.at.steps += 1
            now = time.monotonic()
            self.at.seconds = self.start.seconds + now - self.begin
            if len(self.window) >= _REPORT_STEPS or now - self.reported >= _REPORT_SECONDS:
                self._report()
            if signals or now - self.begin >= self.budget:
                return True
            if now - self.saved >= self.schedule.checkpoint_seconds:
                self._save()
        self._report()
        self.at.epoch, self.at.step = self.at.epoch + 1, 0
        if self.at.epoch % self.schedule.look_every == 0 or self.at.epoch == self.schedule.epochs:
            self._look()
        return False

    def _report(self) -> None:
        """Bring the losses to the host, write them down, and see whether all is well."""
        if not self.window:
            return
        losses = {name: torch.stack([w[name] for w in self.window]).mean().item() for name in self.window[0]}
        steps, now = len(self.window), time.monotonic()
        speed = steps * self.schedule.batch / (now - self.reported)
        self.window, self.reported = [], now
        entry = {"epoch": self.at.epoch, "seconds": self.at.seconds, "showers_per_second": speed, **losses}
        self.metrics.write("step", self.at.steps, entry)
        if self.progress:
            self.progress(self.at.steps, self._expected(), self._note(losses, speed))
        self.watch.look(losses, steps, self.at.steps)

    def _expected(self) -> int:
        """Steps at the end, which the time may cut short."""
        total = self.schedule.epochs * self.data.steps
        used, done = self.reported - self.begin, self.at.steps - self.start.steps
        if self.budget == float("inf") or not done:
            return total
        return max(self.at.steps, min(total, self.start.steps + round(done * self.budget / used)))

    def _note(self, losses: Mapping[str, float], speed: float) -> str:
        return (
            f"epoch {self.at.epoch + 1}/{self.schedule.epochs}, "
            f"critic {losses['critic_real']:.2f} {losses['critic_fake']:.2f}, "
            f"generator {losses['generator']:.2f}, "
            f"response {losses['response']:.2f}, off by {losses['energy']:.1f} GeV, {speed:.0f} showers/s"
        )

    def _look(self) -> None:
        """Compare with Geant4, and keep the weights if the recipe says so."""
        found = self.look(self.objective.result) if self.look else {}
        score = found.get("score")
        better = score is None or self.at.best is None or score < self.at.best
        if self.look:
            entry = {"epoch": self.at.epoch, "seconds": self.at.seconds, "kept": better, **found}
            self.metrics.write("epoch", self.at.steps, entry)
        if better or self.schedule.keep == "last":
            self._check_finite()
            self.at.best = score
            save_generator(self.objective.result, asdict(self.at), self.folder.path / "weights.safetensors")

    def _finish(self) -> None:
        """See that the run holds weights, also when the time was over before the first look."""
        cut_short = self.at.step > 0 and self.schedule.keep == "last"
        if cut_short or not (self.folder.path / "weights.safetensors").is_file():
            self._look()

    def _save(self) -> None:
        self._report()
        self._check_finite()
        save_checkpoint(self.objective, asdict(self.at), self.folder.checkpoint)
        self.saved = time.monotonic()

    def _check_finite(self) -> None:
        """Losses are seen one step before the weights that they spoil."""
        for name, module in self.objective.modules.items():
            if not all(bool(torch.isfinite(value).all()) for value in module.state_dict().values()):
                raise TrainingError(
                    f"the training diverged: weights of the {name} are no longer numbers",
                    where=f"step {self.at.steps}",
                    cure="start anew with smaller learning rates; the run keeps its last good checkpoint",
                )


@contextmanager
def _caught_signals() -> Iterator[list[int]]:
    """Collect Ctrl-C and SIGTERM instead of dying from them in the middle of a step."""
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught  # only the main thread may handle signals
        return

    def note(number: int, _: FrameType | None) -> None:
        if caught:
            raise KeyboardInterrupt  # asked twice: do not even save
        caught.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
