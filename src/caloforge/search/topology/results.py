"""What an evolution of topology leaves: runs of its front, a diary, a record and a page."""

from __future__ import annotations

__all__ = ["Results"]

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caloforge.errors import TrainingError
from caloforge.search.topology.diary import diary, front_of
from caloforge.search.topology.members import figures_of, lineage, write_member
from caloforge.search.topology.page import page
from caloforge.training.batches import selection_showers
from caloforge.writing import replace_text

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.progress import Progress
    from caloforge.search.topology.individual import Individual
    from caloforge.search.topology.store import State, Store
    from caloforge.training.recipe import Recipe


@dataclass(frozen=True)
class Results:
    """Writes them.

    Args:
        recipe: Of the evolution.
        detector: Whose showers.
        facts: What is remembered of them.
        paths: Their files.
        store: The evolution's folder.
        progress: Told of each member of the front.
    """

    recipe: Recipe
    detector: Detector
    facts: dict[str, Any]
    paths: Sequence[Path]
    store: Store
    progress: Progress

    def leave(self, state: State) -> dict[str, Any]:
        """Write all, and return the record."""
        members = front_of(state)
        state = self._measured(state, members)
        entries = diary(state)
        more = {"front": [one.number for one in members], "generations": entries}
        self.store.write(state, more)
        replace_text(self.store.folder / "index.html", page(state, members, entries, self.detector))
        return state.model_dump(mode="json") | more

    def _measured(self, state: State, members: Sequence[Individual]) -> State:
        """Let the front lie in `front/`, and know what its members are worth."""
        folder, known = self.store.folder / "front", {one.number: one for one in state.individuals}
        folder.mkdir(exist_ok=True)
        names = {str(one.number) for one in members}
        for entry in folder.iterdir():
            if entry.name.isdecimal() and entry.name not in names:
                shutil.rmtree(entry)
        selection = selection_showers(self.paths, self.recipe.data, self.detector)
        judged = min(self.recipe.objective.again, len(selection) // 2)  # type: ignore[union-attr]
        figures, faults = dict(state.figures), dict(state.faults)
        for done, one in enumerate(members):
            self.progress(done, len(members), "measuring the front")
            place = folder / str(one.number)
            if not place.exists():
                line, genome = lineage(one, known), self.store.genome(one)
                write_member(place, self.recipe, self.detector, self.facts, line, genome, selection)
            if one.number not in figures and one.number not in faults:
                try:
                    figures[one.number] = figures_of(place, selection[judged:])
                except TrainingError as error:
                    faults[one.number] = str(error)
        return state.model_copy(update={"figures": figures, "faults": faults})
