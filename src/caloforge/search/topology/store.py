"""The folder of an evolution of topology: one file that says all, and the weights of those who live."""

from __future__ import annotations

__all__ = ["State", "Store", "see_that_it_is_the_same"]

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from caloforge.documents import Kind, check_json, parse_json, read_text
from caloforge.errors import EvolutionError
from caloforge.models.grown.inherit import Parent
from caloforge.search.topology.individual import Individual
from caloforge.training.seal import check_seal, sealed_json
from caloforge.training.weights import read_weights, save_weights
from caloforge.writing import replace_text

if TYPE_CHECKING:
    from caloforge.models.grown.inherit import Weights

_RECORD = Kind("record of the evolution", EvolutionError, most=500_000_000)
_FREE = {"topology.generations", "schedule.memory_mb", "objective.memory_mb"}
_NAMES = {"name", "about", "detector"}


class State(BaseModel):
    """All that an evolution goes on with, but the weights.

    Attributes:
        recipe: Its recipe, every default written out.
        detector: Digest of the detector.
        showers: Fingerprint of the showers.
        generation: How many generations have lived, founders included.
        population: Numbers of those that live, the best first.
        individuals: All that ever lived, in the order of their numbers.
        lived: Who lived at the end of each generation.
        worked: Seconds of work at the end of each generation.
        figures: What members of a front were measured to be worth, by their numbers.
        faults: Why others could not be measured.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    recipe: dict[str, Any]
    detector: str
    showers: str
    generation: int = 0
    population: tuple[int, ...] = ()
    individuals: tuple[Individual, ...] = ()
    lived: tuple[tuple[int, ...], ...] = ()
    worked: tuple[float, ...] = ()
    figures: dict[int, dict[str, float]] = {}
    faults: dict[int, str] = {}


class Store:
    """Reads and writes the folder.

    What lives is in `topology.json`, which is replaced as a whole once the weights of its individuals are on
    disk: killed at any moment, the folder holds the last generation that was finished.

    Args:
        folder: Which is there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._file = folder, folder / "topology.json"

    def begun(self) -> bool:
        """Whether an evolution has begun here."""
        return self._file.is_file()

    def read(self) -> State:
        """Return the state.

        Raises:
            EvolutionError: It is damaged.
            RunError: It was changed.
        """
        text = read_text(self._file, _RECORD)
        check_seal(text.encode(), self._file)
        said = parse_json(text, str(self._file), _RECORD)
        check_json(said, State, str(self._file), _RECORD)
        return State.model_validate(said)

    def write(self, state: State, more: Mapping[str, Any]) -> None:
        """Replace the record.

        Args:
            state: What an evolution goes on with.
            more: What it tells people besides.
        """
        replace_text(self._file, sealed_json(state.model_dump(mode="json") | dict(more)))

    def keep(self, number: int, weights: Weights) -> None:
        """Write the weights of an individual."""
        save_weights(weights, {"individual": number}, self._weights(number))

    def genome(self, individual: Individual) -> Parent:
        """Return the genome of one who lives.

        Raises:
            RunError: Its weights are missing or damaged.
        """
        tensors, _ = read_weights(self._weights(individual.number))
        return Parent(individual.model, tensors)

    def tidy(self, living: set[int]) -> None:
        """Remove the weights of those that live no more, and of those that a killed process has left."""
        for file in (self.folder / "individuals").glob("*.safetensors"):
            if file.stem.isdecimal() and int(file.stem) not in living:
                file.unlink()

    def _weights(self, number: int) -> Path:
        return self.folder / "individuals" / f"{number}.safetensors"


def see_that_it_is_the_same(found: State, asked: State, where: Path) -> None:
    """See that the evolution in a folder is the one that is to go on.

    Raises:
        EvolutionError: It is another.
    """
    old, new = _flat(found.recipe), _flat(asked.recipe)
    different = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    different += [what for what in ("detector", "showers") if getattr(found, what) != getattr(asked, what)]
    if different:
        raise EvolutionError(
            "this is another evolution than the one in the folder",
            where=where,
            got="different " + ", ".join(different),
            expected="the same recipe and showers; only topology.generations may change",
            cure="choose another --out, or go on with what it was started with",
        )


def _flat(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """All settings that decide what comes out, by their path."""
    sections = {key: part for key, part in recipe.items() if isinstance(part, dict)}
    flat = {f"{name}.{key}": value for name, part in sections.items() for key, value in part.items()}
    return {key: value for key, value in flat.items() if key not in _FREE}
