"""A run: the folder of a training in progress or finished."""

from __future__ import annotations

__all__ = ["Run", "atomic_text"]

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caloforge.detector import Detector, load_detector
from caloforge.documents import check_json, read_json
from caloforge.errors import CaloforgeError, RunError, nearest
from caloforge.training.pretrained import pretrained_names, run_folder
from caloforge.training.recipe import Recipe, load_recipe
from caloforge.training.records import RECORDS, Begin, Environment, Facts

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.models.base import Generator

CHECKPOINT = Path("checkpoint") / "state.safetensors"
RANGES = ("energy", "theta", "phi", "x", "y")
_SHOWN = 300  # characters of what went wrong with weights


@dataclass(frozen=True)
class Run:
    """A folder with recipe, detector, weights, checkpoint, metrics and environment.

    Attributes:
        path: The folder.

    Example:
        >>> run = Run.open("runs/calogan")
        >>> cells = run.generator()(noise, incident)
    """

    path: Path

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Open a folder that `train` made, or a run that comes with caloforge by its name.

        Raises:
            RunError: It is none, or lacks something.
        """
        run = cls(run_folder(path))
        for name in ("recipe.yaml", "detector.yaml", "data.json", "environment.json"):
            if not (run.path / name).is_file():
                raise RunError(
                    "this is not a run",
                    where=run.path,
                    got=f"no {name}" if run.path.is_dir() else "no such folder",
                    expected="a folder made by `caloforge train`, or one of " + ", ".join(pretrained_names()),
                    near=nearest(str(path), pretrained_names()),
                )
        return run

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe with every default written out."""
        return load_recipe(self.path / "recipe.yaml")

    @cached_property
    def detector(self) -> Detector:
        """The detector whose showers were learned."""
        return load_detector(self.path / "detector.yaml")

    @cached_property
    def data(self) -> dict[str, Any]:
        """What it was trained on: files, numbers of showers, particles, ranges."""
        file = self.path / "data.json"
        facts: dict[str, Any] = read_json(file, RECORDS)
        check_json(facts, Facts, str(file), RECORDS)
        return facts

    @property
    def incident_range(self) -> dict[str, list[Any]]:
        """PDG ids, and [lowest, highest] energy (MeV), theta, phi (rad), x and y (mm) of the training."""
        return {name: list(self.data[name]) for name in ("particles", *RANGES)}

    @property
    def provenance(self) -> dict[str, Any]:
        """Where this comes from: recipe, data, environment."""
        return {
            "recipe": self.recipe.model_dump(),
            "data": self.data,
            "environment": self._environment(),
            "init": self.init,
        }

    @property
    def init(self) -> list[dict[str, Any]]:
        """Where the weights that it began with come from; nothing if they were random."""
        file = self.path / "init.json"
        if not file.is_file():
            return []
        begin: list[dict[str, Any]] = read_json(file, RECORDS)
        check_json(begin, Begin, str(file), RECORDS)
        return begin

    def _environment(self) -> dict[str, Any]:
        file = self.path / "environment.json"
        environment: dict[str, Any] = read_json(file, RECORDS)
        check_json(environment, Environment, str(file), RECORDS)
        return environment

    @property
    def weights(self) -> Path:
        """The file of the generator's weights, which is the checkpoint while no epoch has been finished.

        Raises:
            RunError: Nothing was kept yet.
        """
        for file in (self.path / "weights.safetensors", self.checkpoint):
            if file.is_file():
                return file
        raise RunError("this run has no weights yet", where=self.path, cure="train it for longer")

    @property
    def checkpoint(self) -> Path:
        """Where `--resume` goes on from."""
        return self.path / CHECKPOINT

    def generator(self, device: str = "cpu") -> Generator:
        """Return the trained generator, ready to make showers.

        Raises:
            RunError: There are no weights, or they are damaged.
        """
        from caloforge.models import build_generator

        generator = build_generator(self.recipe.model, self.detector)
        try:
            generator.load_state_dict(_read_weights(self.weights))
        except (RuntimeError, ValueError, OSError) as error:
            raise _damaged(self.weights, error) from None
        return generator.to(device).eval()

    def metrics(self) -> list[dict[str, Any]]:
        """The diary: entries of kind `step` (losses) and `epoch` (a look at the physics)."""
        from caloforge.training.metrics import read_metrics

        return read_metrics(self.path / "metrics.jsonl")

    def summary(self) -> dict[str, Any]:
        """How far it is, how fast, its last losses, and the look at the weights that are kept."""
        diary = self.metrics()
        last: dict[str, Any] = next((entry for entry in reversed(diary) if entry["kind"] == "step"), {})
        looks = [entry for entry in diary if entry["kind"] == "epoch"]
        kept = next((entry for entry in reversed(looks) if entry["kept"]), None)
        return {
            "run": str(self.path),
            "recipe": self.recipe.name,
            "steps": last.get("steps", 0),
            "epochs": max([last.get("epoch", 0), *(entry["epoch"] for entry in looks)]),
            "epochs_planned": self.recipe.schedule.epochs,
            "seconds": last.get("seconds", 0.0),
            "showers_per_second": last.get("showers_per_second", 0.0),
            "last": last,
            "look": kept,
        }


def atomic_text(path: Path, text: str) -> None:
    """Write a text file so that it is whole or absent."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _read_weights(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError, safe_open

    prefix = "generator."
    try:
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
            return {name.removeprefix(prefix): file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> CaloforgeError:
    lines = [line.strip() for line in str(error).splitlines()]
    return RunError(
        "the weights cannot be used",
        where=path,
        got=" ".join(lines[:2])[:_SHOWN],
        cure="copy the run again from where it was trained, or train it again with this version",
    )
