"""What finished productions say of themselves, and whether they are parts of one."""

from __future__ import annotations

__all__ = ["Piece", "Production", "check_alike", "check_numbers", "joint_provenance"]

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from caloforge.errors import ShowersError
from caloforge.showers.container import same_detector
from caloforge.showers.store import ShowerFile

if TYPE_CHECKING:
    from caloforge.detector import Detector

# What may differ between the parts of a production. All else that `simulate` notes decides the showers.
_NUMBERS = {"seed", "first", "count", "productions"}
_CIRCUMSTANCES = {
    "command",
    "converted",
    "created",
    "merged",
    "ms_per_gev",
    "ms_per_shower",
    "processor",
    "versions",
}
_ELSEWHERE = "every reader takes several files as they are"


class Piece(NamedTuple):
    """Showers `first` to `stop - 1` of a seed, which begin at `row` of a file."""

    seed: int
    first: int
    stop: int
    path: Path
    row: int


@dataclass(frozen=True)
class Production:
    """What a finished file says of itself.

    Attributes:
        path: The file.
        detector: What was hit.
        provenance: How its showers were made.
        showers: How many it holds.
        hits: Cells with energy in all of them.
        overflow: Whether the energy beside each layer's grid was kept.
        time: Whether cells have times.
        pieces: Which showers it holds, in the order of its rows.
    """

    path: Path
    detector: Detector
    provenance: dict[str, Any]
    showers: int
    hits: int
    overflow: bool
    time: bool
    pieces: tuple[Piece, ...]

    @classmethod
    def of(cls, path: Path) -> Production:
        """Look into a file.

        Raises:
            ShowersError: Damaged, not finished, or not made by `simulate`.
        """
        with ShowerFile(path) as file:
            if not file.finished:
                raise ShowersError(
                    "this production is not finished",
                    where=path,
                    cure="finish it with --resume; or, with another --count, end it where it is",
                )
            pieces = tuple(_pieces(path, file.provenance, len(file)))
            made, has = file.provenance, (file.overflow, file.time)
            return cls(path, file.detector, made, len(file), file.hits, *has, pieces)

    def order(self) -> Piece:
        """By what productions are sorted: their first shower."""
        return min(self.pieces)


def _pieces(path: Path, made: dict[str, Any], showers: int) -> Iterator[Piece]:
    """Which showers a file holds.

    Raises:
        ShowersError: It was not made by `simulate`, or some of its showers were left out later.
    """
    try:
        if "particles_per_event" in made or "physics" not in made:
            raise KeyError
        row = 0
        for part in made.get("productions", [made]):
            first, count = int(part.get("first", 0)), int(part["count"])
            if first < 0 or count < 1:
                raise ValueError
            yield Piece(int(part["seed"]), first, first + count, path, row)
            row += count
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ShowersError(
            "this file does not say which showers of which seed it holds",
            where=path,
            expected="a production of `caloforge simulate`",
            cure=f"do not merge them: {_ELSEWHERE}",
        ) from error
    if row != showers:
        raise ShowersError(
            "showers were left out of this file, and it does not say which",
            where=path,
            got=f"{showers} showers",
            expected=row,
            cure="give the file that `caloforge simulate` made",
        )


def check_numbers(pieces: Sequence[Piece]) -> None:
    """Refuse showers that are there twice, and any that are missing between the first and the last."""
    missing = []
    for one, two in pairwise(pieces):
        if one.seed != two.seed:
            continue
        if two.first < one.stop:
            last = min(one.stop, two.stop) - 1
            raise ShowersError(
                "these files hold the same showers",
                where=f"{one.path} and {two.path}",
                got=f"showers {two.first} to {last} of seed {one.seed} twice",
                cure="give each shower once; parts of one seed are made with different --first",
            )
        if two.first > one.stop:
            missing.append(f"--seed {one.seed} --first {one.stop} --count {two.first - one.stop}")
    if missing:
        raise ShowersError(
            "showers between these productions are missing",
            got="; ".join(missing),
            expected="of each seed all showers from the first to the last",
            cure=f"make these, too, with `caloforge simulate`; or do not merge: {_ELSEWHERE}",
        )


def check_alike(first: Production, other: Production) -> None:
    """Refuse productions whose showers are not of one kind."""
    same_detector(first.detector, other.detector, other.path)
    known, found = _options(first), _options(other)
    for key in [*known, *(key for key in found if key not in known)]:
        if known.get(key) != found.get(key):
            raise ShowersError(
                f"these productions were made with another {key}",
                where=other.path,
                got=f"{key} = {found.get(key)}",
                expected=f"{key} = {known.get(key)}, as {first.path} says",
                cure=f"merge productions of the same options; or do not merge: {_ELSEWHERE}",
            )


def _options(part: Production) -> dict[str, Any]:
    """What decides the showers of a production, but for the seed and their numbers."""
    made = part.provenance
    options = {key: value for key, value in made.items() if key not in _NUMBERS | _CIRCUMSTANCES}
    versions = made.get("versions")
    for name, version in versions.items() if isinstance(versions, dict) else ():
        if name != "caloforge":
            options[f"version of {name}"] = version
    return {**options, "overflow": part.overflow, "time": part.time}


def joint_provenance(parts: Sequence[Production], pieces: Sequence[Piece]) -> dict[str, Any]:
    """That of one production, if all are of one seed."""
    first = parts[0].provenance
    options = {key: value for key, value in first.items() if key not in _NUMBERS | _CIRCUMSTANCES}
    productions = [{"seed": seed, "first": low, "count": high - low} for seed, low, high in _ranges(pieces)]
    numbers = (
        productions[0]
        if len(productions) == 1
        else {"count": sum(part.showers for part in parts), "productions": productions}
    )
    return {
        **options,
        **numbers,
        "command": first.get("command"),
        "versions": first.get("versions"),
        "processor": "; ".join(dict.fromkeys(str(part.provenance.get("processor", "?")) for part in parts)),
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "merged": len(parts),
        **_cost(parts),
    }


def _ranges(pieces: Iterable[Piece]) -> Iterator[tuple[int, int, int]]:
    """Seed, first and stop of neighbouring pieces together."""
    ends: dict[int, tuple[int, int]] = {}
    for piece in pieces:
        ends[piece.seed] = ends.get(piece.seed, piece[1:2])[0], piece.stop
    return ((seed, low, high) for seed, (low, high) in ends.items())


def _cost(parts: Iterable[Production]) -> dict[str, float]:
    """CPU time of all parts that know theirs, per shower and per GeV."""
    showers, milliseconds, gev = 0, 0.0, 0.0
    for part in parts:
        each, per_gev = (part.provenance.get(key) for key in ("ms_per_shower", "ms_per_gev"))
        if isinstance(each, float) and isinstance(per_gev, float) and min(each, per_gev) > 0:
            spent = part.showers * each
            showers, milliseconds, gev = showers + part.showers, milliseconds + spent, gev + spent / per_gev
    return {"ms_per_shower": milliseconds / showers, "ms_per_gev": milliseconds / gev} if showers else {}
