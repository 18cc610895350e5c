"""A run: the folder of a training in progress or finished."""

from __future__ import annotations

__all__ = ["Run"]

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caloforge.detector import Detector
from caloforge.documents import check_json, parse_json, read_text
from caloforge.errors import CaloforgeError, RunError, nearest
from caloforge.showers.incident import RANGED
from caloforge.training.pretrained import pretrained_names, run_folder
from caloforge.training.recipe import Recipe, load_recipe
from caloforge.training.records import RECORDS, Begin, Environment, Facts
from caloforge.training.seal import check_seal

if TYPE_CHECKING:
    from pydantic import BaseModel
    from torch import Tensor

    from caloforge.models.base import Generator
    from caloforge.models.settings import ModelSettings

CHECKPOINT = Path("checkpoint") / "state.safetensors"
_KEPT = "weights.safetensors"
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
        _sealed(self.path / "recipe.yaml")
        return load_recipe(self.path / "recipe.yaml")

    @cached_property
    def detector(self) -> Detector:
        """The detector whose showers were learned."""
        file = self.path / "detector.yaml"
        return Detector.from_yaml(_sealed(file), where=str(file))

    @cached_property
    def data(self) -> dict[str, Any]:
        """What it was trained on: files, numbers of showers, particles, ranges."""
        return self._record("data.json", Facts)

    @property
    def incident_range(self) -> dict[str, list[Any]]:
        """PDG ids, and [lowest, highest] energy (MeV), theta, phi (rad), x and y (mm) of the training."""
        return {name: list(self.data[name]) for name in ("particles", *RANGED)}

    @property
    def provenance(self) -> dict[str, Any]:
        """Where this comes from: recipe, data, environment."""
        return {
            "recipe": self.recipe.model_dump(),
            "data": self.data,
            "environment": self._record("environment.json", Environment),
            "init": self.init,
        }

    @property
    def init(self) -> list[dict[str, Any]]:
        """Where the weights that it began with come from; nothing if they were random."""
        if not (self.path / "init.json").is_file():
            return []
        begin: list[dict[str, Any]] = self._record("init.json", Begin)["began_with"]
        return begin

    @property
    def weights(self) -> Path:
        """The file of the generator's weights, which is the checkpoint while no epoch has been finished.

        Raises:
            RunError: Nothing was kept yet, or what was kept is no longer there.
        """
        if self.kept.is_file():
            return self.kept
        if any(entry["kind"] == "epoch" and entry["kept"] for entry in self.metrics()):
            raise RunError(
                "the weights of this run are missing",
                where=self.kept,
                cure="copy the run again from where it was trained, or train it again",
            )
        if self.checkpoint.is_file():
            return self.checkpoint
        raise RunError("this run has no weights yet", where=self.path, cure="train it for longer")

    @property
    def kept(self) -> Path:
        """Where the weights of the best epoch, or of the last one, are kept."""
        return self.path / _KEPT

    @property
    def checkpoint(self) -> Path:
        """Where `--resume` goes on from."""
        return self.path / CHECKPOINT

    def generator(self, device: str = "cpu", settings: ModelSettings | None = None) -> Generator:
        """Return the trained generator, ready to make showers.

        Args:
            device: Where it is wanted.
            settings: The `model` part of another recipe whose generator has the same weights.

        Raises:
            RunError: There are no weights, or they are damaged.
        """
        from caloforge.models import build_generator
        from caloforge.training.weights import weights_below

        generator = build_generator(settings or self.recipe.model, self.detector)
        tensors, _ = self.read(self.weights)
        try:
            generator.load_state_dict(weights_below(tensors, "generator"))
        except (RuntimeError, ValueError) as error:
            raise _damaged(self.weights, error) from None
        return generator.to(device).eval()

    def read(self, weights: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Read a file of weights of this run, and see that they were trained with its other files.

        Returns:
            The tensors by name, and what was saved beside them.

        Raises:
            RunError: It is damaged, or of another run.
        """
        from caloforge.training.weights import read_weights

        tensors, state = read_weights(weights)
        said, here = state.pop("of", {}), self.origin()
        strange = [name for name, value in here.items() if not _agree(said.get(name), value)]
        if strange:
            raise RunError(
                "these weights were not trained with the files beside them",
                where=weights,
                got="another " + ", ".join(strange),
                cure="copy the run again from where it was trained, or train it again",
            )
        return tensors, state

    def origin(self) -> dict[str, Any]:
        """What weights are worth nothing without: detector, data, and the settings of the model."""
        data = hashlib.sha256((self.path / "data.json").read_bytes()).hexdigest()
        model = self.recipe.model.model_dump(mode="json")
        return {"detector": self.detector.digest, "data": data, "model": model}

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

    def _record(self, name: str, model: type[BaseModel]) -> dict[str, Any]:
        """What one of the JSON files says, its checksum apart."""
        file = self.path / name
        said: dict[str, Any] = parse_json(_sealed(file), str(file), RECORDS)
        check_json(said, model, str(file), RECORDS)
        return {key: value for key, value in said.items() if key != "checksum"}


def _sealed(file: Path) -> str:
    text = read_text(file, RECORDS)
    check_seal(text.encode(), file)
    return text


def _agree(said: Any, here: Any) -> bool:
    """Whether settings are what they were; those that came later have no say."""
    if isinstance(said, dict) and isinstance(here, dict):
        return all(_agree(value, here.get(key)) for key, value in said.items())
    return bool(said == here)


def _damaged(path: Path, error: Exception) -> CaloforgeError:
    lines = [line.strip() for line in str(error).splitlines()]
    return RunError(
        "the weights cannot be used",
        where=path,
        got=" ".join(lines[:2])[:_SHOWN],
        cure="copy the run again from where it was trained, or train it again with this version",
    )
