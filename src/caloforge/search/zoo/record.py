"""A zoo in plain values: one JSON file of some kB, replaced whole after each member."""

from __future__ import annotations

__all__ = ["FILE", "Member", "Number", "Sample", "Timing", "Zoo", "measured_zoos", "read_zoo"]

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from caloforge.documents import Kind, check_json, parse_json, read_text
from caloforge.errors import SearchError
from caloforge.search.zoo.families import Family
from caloforge.search.zoo.traits import Traits

FILE = "zoo.json"
_KIND = Kind("zoo", SearchError, cure="make it with `caloforge zoo`")
_MEASURED = files("caloforge.search.zoo") / "measured"
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Number(_Part):
    """A figure.

    Attributes:
        value: What it is.
        error: Its standard error; 0 if nobody knows.
    """

    value: float
    error: NotNegative = 0.0


class Timing(_Part):
    """What a shower costs with one runtime, on one core.

    Attributes:
        batch: Showers of a call.
        runtime: What ran it.
        ms: Of one shower, which a tenth of the calls did not exceed: whatever else the machine does can
            only make a call slower.
        median: Of all calls.
    """

    batch: Annotated[int, Field(ge=1)]
    runtime: str
    ms: Positive
    median: Positive


class Member(_Part):
    """A generator and what was measured of it.

    Attributes:
        name: Its own.
        family: A key of `FAMILIES`.
        recipe: Name of what trained it; empty if nobody knows.
        model: Settings of its model.
        weights_sha256: Of its weights.
        ships: Whether it comes with caloforge, by this name.
        figures: By the names of `METRICS`; one that could not be computed is not there.
        timings: Of all runtimes and batches.
        weights: Numbers that it holds.
        weight_mb: Their size.
        memory_mb: Peak memory of a process that makes showers in the largest batch.
        train_seconds: What the training took; None if what was measured does not say it.
        trained_on: With which processor and how many of its threads.
    """

    name: Annotated[str, Field(min_length=1, max_length=100)]
    family: Family
    recipe: str
    model: dict[str, Any]
    weights_sha256: str
    ships: bool
    figures: dict[str, Number]
    timings: Annotated[tuple[Timing, ...], Field(min_length=1)]
    weights: Annotated[int, Field(ge=0)]
    weight_mb: NotNegative
    memory_mb: Positive
    train_seconds: NotNegative | None
    trained_on: str

    def timing(self, batch: int) -> Timing:
        """Return that of the quickest runtime."""
        return min((one for one in self.timings if one.batch == batch), key=lambda one: one.ms)

    def ms(self, batch: int) -> float:
        """Return the milliseconds of a shower with the quickest runtime."""
        return self.timing(batch).ms


class Sample(_Part):
    """Showers of Geant4.

    Attributes:
        file: Name of their file.
        showers: How many.
        sha256: Of the file.
    """

    file: str
    showers: int
    sha256: str


class Zoo(_Part):
    """Generators of one detector, measured in the same way on the same machine.

    Attributes:
        zoo: Version of this layout.
        caloforge: Version that measured.
        created: When it was begun, in UTC.
        detector: Whose showers.
        particles: Which, and of which energies, in words.
        reference: Showers that judge.
        floor_sample: Other showers of Geant4.
        compared: Showers of each side of a comparison; 0 before the first member.
        machine: Processor and usable cores of all timings.
        versions: Of what runs the generators.
        batches: Showers of a call.
        floor: The figures of `floor_sample`, as of a generator.
        geant4_ms: What a shower of the reference took; None if its file does not say it.
        members: In the order in which they were measured.
    """

    zoo: Literal[1] = 1
    caloforge: str
    created: str
    detector: Traits
    particles: str
    reference: Sample
    floor_sample: Sample
    compared: int = 0
    machine: str
    versions: dict[str, str]
    batches: Annotated[tuple[int, ...], Field(min_length=1)]
    floor: dict[str, Number] = {}
    geant4_ms: Positive | None = None
    members: tuple[Member, ...] = ()

    def member(self, name: str) -> Member | None:
        """Return a member by its name."""
        return next((one for one in self.members if one.name == name), None)

    def with_member(self, member: Member) -> Zoo:
        """Return it with one more, in the place of one of that name."""
        others = (one for one in self.members if one.name != member.name)
        return self.model_copy(update={"members": (*others, member)})

    def to_json(self) -> str:
        """Return the file's text."""
        return self.model_dump_json(indent=1) + "\n"


def read_zoo(path: str | Path) -> Zoo:
    """Read a zoo's file, or that in its folder.

    Raises:
        SearchError: There is none, or it is damaged.
    """
    file = Path(path) / FILE if Path(path).is_dir() else Path(path)
    return _parsed(read_text(file, _KIND), str(file))


def measured_zoos() -> list[Zoo]:
    """Return the zoos that come with caloforge."""
    entries = sorted((e for e in _MEASURED.iterdir() if e.name.endswith(".json")), key=lambda e: e.name)
    return [_parsed(entry.read_text(encoding="utf-8"), entry.name) for entry in entries]


def _parsed(text: str, where: str) -> Zoo:
    found = check_json(parse_json(text, where, _KIND), Zoo, where, _KIND)
    for member in found.members:
        if missing := set(found.batches) - {one.batch for one in member.timings}:
            raise SearchError(
                "the zoo is damaged", where=where, got=f"{member.name} has no time at batch {min(missing)}"
            )
    return found
