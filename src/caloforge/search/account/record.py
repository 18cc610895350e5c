"""What is known of an account: one file, replaced whole after each arm."""

from __future__ import annotations

__all__ = ["Record", "Store"]

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from caloforge.documents import Kind, check_json, parse_json, read_text
from caloforge.errors import SearchError
from caloforge.search.account.member import Member
from caloforge.training.seal import check_seal, sealed_json
from caloforge.writing import replace_text

_KIND = Kind("account", SearchError, most=100_000_000)
_SAME = "recipe", "digest", "minutes", "judges", "floor"


class Record(BaseModel):
    """An account in plain values.

    Attributes:
        recipe: Of the evolution, every default written out.
        detector: Its name.
        digest: Of the detector.
        weights: Of the generator.
        minutes: Of a core, for each arm.
        judges: Showers that judge.
        floor: Figures of other showers of Geant4.
        members: Arms with seeds that are done.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    recipe: dict[str, Any]
    detector: str
    digest: str
    weights: int
    minutes: float
    judges: int
    floor: dict[str, float]
    members: tuple[Member, ...] = ()

    def member(self, arm: str, seed: int) -> Member | None:
        """Return an arm with a seed, None if it is not done."""
        return next((one for one in self.members if (one.arm, one.seed) == (arm, seed)), None)

    def with_member(self, member: Member) -> Record:
        """Return it with one more, in the place of what that arm and seed came to before."""
        others = (one for one in self.members if (one.arm, one.seed) != (member.arm, member.seed))
        return self.model_copy(update={"members": (*others, member)})


class Store:
    """Reads and writes `account.json` in a folder.

    Args:
        folder: Which is there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._file = folder, folder / "account.json"

    def begin(self, fresh: Record, resume: bool) -> Record:
        """Return the account that is there and goes on, or the fresh one.

        Raises:
            SearchError: There is another, or one that is not to go on.
            RunError: It was changed.
        """
        if not self._file.is_file():
            self.write(fresh)
            return fresh
        if not resume:
            raise SearchError(
                "there is an account already",
                where=self.folder,
                cure="go on with it by --resume, or choose another --out",
            )
        found = self._read()
        different = [name for name in _SAME if getattr(found, name) != getattr(fresh, name)]
        if different:
            raise SearchError(
                "this is another account than the one in the folder",
                where=self.folder,
                got="different " + ", ".join(different),
                expected="the same recipe, showers and --minutes; arms and seeds may be added",
                cure="choose another --out, or go on with what it was started with",
            )
        return found

    def write(self, record: Record) -> None:
        """Replace the file."""
        replace_text(self._file, sealed_json(record.model_dump(mode="json")))

    def _read(self) -> Record:
        text = read_text(self._file, _KIND)
        check_seal(text.encode(), self._file)
        said = parse_json(text, str(self._file), _KIND)
        check_json(said, Record, str(self._file), _KIND)
        return Record.model_validate(said)
