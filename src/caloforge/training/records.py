"""What the JSON files of a run hold; they are checked as they are read, as anybody may have changed them."""

from __future__ import annotations

__all__ = ["RECORDS", "Begin", "Entry", "Environment", "Facts", "check_entry"]

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from caloforge.documents import Kind, check_json, parse_json
from caloforge.errors import RunError

RECORDS = Kind(
    "file of the run",
    RunError,
    cure="copy the run again from where it was trained, or train it again",
    most=16_000_000,
)


def _rising(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] > ends[1]:
        raise ValueError("the lower end is above the upper one")
    return ends


Range = Annotated[tuple[float, float], AfterValidator(_rising)]
Count = Annotated[int, Field(ge=0)]


class _Record(BaseModel):
    """A JSON object; keys that are not named here are for people, and may be anything."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)


class Facts(_Record):
    """`data.json`: which showers were seen; MeV, rad and mm."""

    files: tuple[str, ...]
    particles: Annotated[tuple[int, ...], Field(min_length=1)]
    energy: Range
    theta: Range
    phi: Range
    x: Range
    y: Range
    values: dict[str, tuple[float, ...]] = {}
    fingerprint: str = ""


class Environment(_Record):
    """`environment.json`: what it was trained on and with, for people."""


class _Moments(_Record):
    mean: float | None
    spread: float | None


class Entry(_Record):
    """A line of `metrics.jsonl`: losses, or a look at the physics. NaN is written as null."""

    kind: Literal["step", "epoch"]
    steps: Count
    epoch: Count = 0
    seconds: Annotated[float, Field(ge=0)] = 0.0
    core_seconds: Annotated[float, Field(ge=0)] = 0.0
    showers_per_second: float = 0.0
    kept: bool = False
    geant4: dict[str, _Moments] = {}
    generated: dict[str, _Moments] = {}

    @model_validator(mode="after")
    def _look_is_whole(self) -> Entry:
        missing = {"epoch", "kept", "geant4", "generated"} - self.model_fields_set
        if self.kind == "epoch" and missing:
            raise ValueError("it lacks " + ", ".join(sorted(missing)))
        if self.geant4.keys() != self.generated.keys():
            raise ValueError("other observables of Geant4 than of the generator")
        return self


class _Start(_Record):
    path: str


class Begin(_Record):
    """`init.json`: what the weights began with."""

    began_with: tuple[_Start, ...]


def check_entry(line: str, where: str) -> dict[str, Any]:
    """Read one line of `metrics.jsonl`.

    Raises:
        RunError: It is no JSON object, or lacks what every entry has.
    """
    entry: dict[str, Any] = parse_json(line, where, RECORDS)
    check_json(entry, Entry, where, RECORDS)
    return entry
