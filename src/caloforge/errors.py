"""Every error a user can meet: what was got, what was expected, where, and the cure."""

from __future__ import annotations

__all__ = [
    "BundleError",
    "CaloforgeError",
    "ClusterError",
    "DetectorError",
    "EventError",
    "EvolutionError",
    "Geant4Error",
    "MissingExtraError",
    "OutputError",
    "ParticleError",
    "ProcessLostError",
    "QuantityError",
    "RangeError",
    "RecipeError",
    "RunError",
    "SearchError",
    "ShowersError",
    "StoppedError",
    "TrainingError",
    "ValidationError",
    "WorkerError",
    "nearest",
]

from collections.abc import Iterable
from difflib import get_close_matches

_MOST = 2000  # characters of a detail
_LONGEST_NAME = 200


class CaloforgeError(Exception):
    """Bad input or a machine that lacks something; printed as one block, without a traceback.

    Args:
        problem: One sentence that says what is wrong.
        where: File, key or line.
        got: What was found there.
        expected: What would have been right.
        near: The closest valid name, if a name was mistyped.
        cure: What to do now.
    """

    exit_code = 2

    def __init__(
        self,
        problem: str,
        *,
        where: object = None,
        got: object = None,
        expected: object = None,
        near: str | None = None,
        cure: str | None = None,
    ) -> None:
        self.problem = problem
        self.details = {
            "where": where,
            "got": got,
            "expected": expected,
            "did you mean": near,
            "cure": cure,
        }
        super().__init__(problem)

    def __str__(self) -> str:
        rows = [f"  {key + ':':<14}{_cut(value)}" for key, value in self.details.items() if value is not None]
        return "\n".join([_cut(self.problem), *rows])

    def __reduce__(self) -> tuple[object, ...]:
        # Worker processes send errors to their parent; keyword arguments would be lost by default.
        return _restore, (type(self), self.args, self.__dict__)


def _cut(value: object) -> str:
    """What a file holds may be as long as the file: a message shows enough of it to find it."""
    text = str(value)
    return text if len(text) <= _MOST else f"{text[:_MOST]} ... ({len(text):,} characters)"


def _restore(
    kind: type[CaloforgeError], args: tuple[object, ...], state: dict[str, object]
) -> CaloforgeError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    error.args = args
    return error


class QuantityError(CaloforgeError):
    """A number with a missing or wrong unit, or an interval that is none."""


class ParticleError(CaloforgeError):
    """A particle that nobody knows."""


class WorkerError(CaloforgeError):
    """A worker process that has died, took too long, or cannot import what it should call."""


class ClusterError(CaloforgeError):
    """A cluster that cannot be reached, or whose workers cannot do the work."""


class DetectorError(CaloforgeError):
    """A detector file that does not describe a detector, or a detector that cannot do what was asked."""


class ShowersError(CaloforgeError):
    """A shower file that is damaged, of another format or detector, or holds impossible energies."""


class MissingExtraError(CaloforgeError):
    """An optional package is needed and absent.

    Args:
        package: Name of the package that could not be imported.
        extra: caloforge's extra that installs it.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"this needs the optional package {package!r}, which is not installed",
            cure=f"pip install 'caloforge[{extra}]'",
        )


class Geant4Error(CaloforgeError):
    """Geant4 cannot run here, or failed."""


class RecipeError(CaloforgeError):
    """A recipe with unknown keys or impossible values."""


class TrainingError(CaloforgeError):
    """A training that diverged or cannot go on; what was trained is kept."""


class ProcessLostError(TrainingError):
    """Another process of a training has died."""


class RunError(CaloforgeError):
    """A folder that is not a run, or a damaged one."""


class BundleError(CaloforgeError):
    """A folder that is not a bundle, or a damaged one."""


class RangeError(CaloforgeError):
    """Showers were asked for outside the energies, particles, angles or positions of the training."""


class EventError(CaloforgeError):
    """A file of events that cannot be read, or particles of an event that nothing can simulate."""


class OutputError(CaloforgeError):
    """What should be written exists already, has no room, or is being written by another process."""


class ValidationError(CaloforgeError):
    """Two samples that cannot be compared."""


class SearchError(CaloforgeError):
    """A space that fits no recipe, or a study that cannot be made or continued."""


class EvolutionError(CaloforgeError):
    """A chromosome of another evolution or a changed one, or genes that an algorithm cannot evolve."""


class StoppedError(CaloforgeError):
    """The user stopped the command, as with Ctrl-C; what was made is kept."""

    exit_code = 130


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """Return the valid name that `name` was probably meant to be, or None."""
    if len(name) > _LONGEST_NAME:
        return None  # comparing takes the square of the length
    lowered = {choice.lower(): choice for choice in choices}
    found = get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)
    return lowered[found[0]] if found else None
