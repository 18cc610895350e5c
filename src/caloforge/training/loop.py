"""The training loop: batches in, losses out, and nothing lost when it stops."""

from __future__ import annotations

__all__ = ["Ends", "Training"]

import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from types import FrameType
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from caloforge.errors import ProcessLostError, TrainingError
from caloforge.models.blocks.processes import largest, mean, rank, send_weights
from caloforge.training.checkpoint import load_checkpoint, save_checkpoint, save_generator
from caloforge.training.curves import Curves
from caloforge.training.metrics import Metrics
from caloforge.training.quicklook import QuickLook
from caloforge.training.schedule import rate_factor
from caloforge.training.watch import Watch

if TYPE_CHECKING:
    from caloforge.progress import Progress
    from caloforge.training.batches import TrainingData
    from caloforge.training.objectives.base import Objective
    from caloforge.training.recipe import Recipe
    from caloforge.training.run import Run

_REPORT_SECONDS = 2.0
# Ctrl-C reaches several processes from the terminal and from their launcher, and fingers are nervous.
_ECHO_SECONDS = 2.0


@dataclass
class Position:
    """Where a training is; goes into each checkpoint."""

    epoch: int = 0
    step: int = 0
    """Steps done in this epoch."""
    steps: int = 0
    """Steps done in all."""
    seconds: float = 0.0
    core_seconds: float = 0.0
    """Time of processors: of this process, and of those that judge individuals for it."""
    best: float | None = None
    """Score of the weights that are kept."""


@dataclass(frozen=True)
class Ends:
    """When a training stops, whatever comes first.

    Attributes:
        seconds: After this time; a resumed training has it anew.
        core_seconds: After this time of processors, that before a resume included.
        epoch: After this epoch.
    """

    seconds: float = math.inf
    core_seconds: float = math.inf
    epoch: int | None = None


class Training:
    """Runs an objective over the data until the epochs or the time are over.

    Args:
        objective: What is trained by; it has begun.
        data: What it learns from.
        recipe: For how long, and what is kept.
        run: Where everything goes; a checkpoint there is continued.
        ends: When to stop before.
        shown: Whether to write TensorBoard's event files, and to draw.
        progress: Called with (steps done, steps in all, note).
        adapted: Seconds that the networks took to measure real showers before: a fit takes no others. Only
            the diary has them, so that the same fit gives the same weights, bit for bit.
    """

    def __init__(
        self,
        objective: Objective,
        data: TrainingData,
        recipe: Recipe,
        run: Run,
        ends: Ends,
        shown: tuple[bool, bool],
        progress: Progress | None,
        adapted: float = 0.0,
    ) -> None:
        self.objective, self.data, self.folder = objective, data, run
        self.adapted = adapted
        self.schedule, self.ends = recipe.schedule, ends
        self.epochs = self.schedule.epochs if objective.learns else 0
        self.end = min(self.epochs, ends.epoch or self.epochs)
        self.steps = data.steps // objective.batches_per_step
        self.at, done = Position(), -1
        if run.checkpoint.is_file():
            self.at = Position(**load_checkpoint(objective, run))
            done = self.at.steps
        send_weights(objective.modules.values())
        self.start = Position(**asdict(self.at))
        # Of several processes the first writes, reports and looks at the physics for all.
        first = rank() == 0
        self.metrics = Metrics(run.path, done, shown[0]) if first else None
        self.progress = progress if first else None
        self.look = None
        if data.selection is not None:
            # Made by all, so that a detector that it refuses ends them all with the same error.
            look = QuickLook(data.selection, self.schedule.seed, self.schedule.select)
            self.look = look if first else None
        self.curves = None
        if first and shown[1]:
            self.curves = Curves(run.path, objective.shown, objective.rates, self.schedule.select, self.steps)
        self.watch = Watch(objective.faults(), objective.rates)
        self.window: list[dict[str, Tensor]] = []

    def run(self) -> None:
        """Train.

        Raises:
            TrainingError: The training diverged, or another process of it died; what was saved is good.
            KeyboardInterrupt: It was interrupted; everything is saved.
        """
        self.begin = self.reported = self.saved = time.monotonic()
        self.cores = time.process_time()
        self.waited = self.data.waited
        try:
            with _caught_signals() as signals:
                self._until_stopped(signals)
        finally:
            if self.metrics:
                self.metrics.close()
        for number in signals:
            signal.raise_signal(number)

    def _until_stopped(self, signals: list[int]) -> None:
        try:
            stopped = False
            while self.at.epoch < self.end and not stopped:
                stopped = self._epoch(signals)
            self._save()
            if not signals:
                self._finish()
            if self.curves:
                self.curves.draw(last=True)
            largest(0)  # launchers end all processes when one ends: nobody goes before all is saved
        except ProcessLostError as error:
            raise self._lost(error) from None

    def _epoch(self, signals: list[int]) -> bool:
        """Do the rest of an epoch; return whether the training was told to stop."""
        self.objective.begin_epoch(self.at.epoch)
        for cells, incident in self._batches():
            self.objective.scale_rates(self._rates())
            self.window.append(self.objective.step(cells, incident))
            self.at.step += 1
            self.at.steps += 1
            report, stop, save = self._due(signals)
            if report:
                self._report()
            if stop:
                return True
            if save:
                self._save()
        self._report()
        self.at.epoch, self.at.step = self.at.epoch + 1, 0
        if self.at.epoch % self.schedule.look_every == 0 or self.at.epoch == self.end:
            self._look()
        return False

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """What is left of the epoch, as many batches at a time as a step takes."""
        at_once = self.objective.batches_per_step
        batches = iter(self.data.epoch(self.at.epoch, self.at.step * at_once))
        while len(group := list(islice(batches, at_once))) == at_once:
            cells, incident = zip(*group, strict=True)
            yield torch.cat(cells), torch.cat(incident)

    def _rates(self) -> float:
        return rate_factor(self.schedule, self.at.steps, self.steps)

    def _due(self, signals: list[int]) -> tuple[bool, bool, bool]:
        """Whether to report, to stop and to save; clocks and signals differ, so the processes agree on it."""
        now = time.monotonic()
        self.at.seconds = self.start.seconds + now - self.begin
        spent = time.process_time() - self.cores + self.objective.elsewhere
        self.at.core_seconds = self.start.core_seconds + spent
        report = len(self.window) >= self.schedule.report_steps or now - self.reported >= _REPORT_SECONDS
        over = now - self.begin >= self.ends.seconds or self.at.core_seconds >= self.ends.core_seconds
        save = now - self.saved >= self.schedule.checkpoint_seconds
        signal_, *due = largest(max(signals, default=0), report, over, save)
        if signal_ and not signals:
            signals.append(signal_)
        return bool(due[0]), bool(signal_ or due[1]), bool(due[2])

    def _report(self) -> None:
        """Bring the losses to the host, write them down, and see whether all is well."""
        if not self.window:
            return
        losses = self._losses()
        steps, now = len(self.window), time.monotonic()
        speed = steps * self.schedule.batch / (now - self.reported)
        waited = (self.data.waited - self.waited) / (now - self.reported)
        self.window, self.reported, self.waited = [], now, self.data.waited
        entry = {
            "epoch": self.at.epoch,
            "seconds": self.at.seconds,
            "core_seconds": self.at.core_seconds,
            "showers_per_second": speed,
            "waited": waited,
            **{f"{name}_rate": rate * self._rates() for name, rate in self.objective.rates.items()},
            **losses,
        }
        if self.metrics:
            self.metrics.write("step", self.at.steps, entry)
        if self.progress:
            self.progress(self.at.steps, self._expected(), self._note(losses, speed))
        self.watch.look(losses, steps, self.at.steps)

    def _losses(self) -> dict[str, float]:
        """Means over the steps since the last report and over the processes."""
        names = list(self.window[0])
        means = [torch.stack([terms[name] for terms in self.window]).mean() for name in names]
        return dict(zip(names, mean(torch.stack(means)).tolist(), strict=True))

    def _expected(self) -> int:
        """Steps at the end, which the time may cut short."""
        total = self.epochs * self.steps
        done, begun = self.at.steps - self.start.steps, self.start.core_seconds
        used = max(
            (self.reported - self.begin) / self.ends.seconds,
            (self.at.core_seconds - begun) / max(self.ends.core_seconds - begun, 1e-9),
        )
        if not used or not done:
            return total
        return max(self.at.steps, min(total, self.start.steps + round(done / used)))

    def _note(self, losses: Mapping[str, float], speed: float) -> str:
        told = self.objective.note(losses)
        return f"epoch {self.at.epoch + 1}/{self.epochs}, {told}, {speed:.0f} showers/s"

    def _look(self) -> None:
        """Compare with Geant4, and keep the weights if the recipe says so."""
        self._check_finite()
        if rank() > 0:
            return
        found = self.look(self.objective.result) if self.look else {}
        score = found.get(self.schedule.select)
        better = score is None or self.at.best is None or score < self.at.best
        kept = better or self.schedule.keep == "last"
        if kept:
            # Before the diary says so: what it says is kept is there.
            self.at.best = score
            save_generator(self.objective.result, asdict(self.at), self.folder)
        if self.metrics and self.look:
            entry = {
                "epoch": self.at.epoch,
                "seconds": self.at.seconds,
                "core_seconds": self.at.core_seconds,
                "adapted_seconds": self.adapted,
                "kept": kept,
                **found,
            }
            self.metrics.write("epoch", self.at.steps, entry)
        if self.curves:
            self.curves.draw()

    def _finish(self) -> None:
        """See that the run holds weights, also when there was no epoch at all, or time for none."""
        cut_short = not self.at.epoch or (self.at.step > 0 and self.schedule.keep == "last")
        missing = rank() == 0 and not self.folder.kept.is_file()
        if cut_short or missing:
            self._look()

    def _save(self) -> None:
        self._report()
        self._check_finite()
        if rank() == 0 and self.objective.learns:
            save_checkpoint(self.objective, asdict(self.at), self.folder)
        self.saved = time.monotonic()

    def _lost(self, error: ProcessLostError) -> ProcessLostError:
        """The same error, with what is left and what to do."""
        left = self.folder.checkpoint.is_file()
        saved = f"saved {time.monotonic() - self.saved:.0f} s ago" if left else "nothing was saved yet"
        again = "start all processes again with --resume"
        where = f"step {self.at.steps}, {error.details['where']}; {saved}"
        return ProcessLostError(error.problem, where=where, got=error.details["got"], cure=again)

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

    first = [0.0]

    def note(number: int, _: FrameType | None) -> None:
        if not caught:
            first[0] = time.monotonic()
        elif time.monotonic() - first[0] > _ECHO_SECONDS:
            raise KeyboardInterrupt  # asked twice: do not even save
        caught.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    except ProcessLostError:
        # The launcher now ends what is left of the training, which ends anyway: let it say why first.
        before[signal.SIGTERM] = signal.SIG_IGN
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
