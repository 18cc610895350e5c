"""What a fast simulation did and what it cost."""

from __future__ import annotations

__all__ = ["Costs", "Result"]

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caloforge.simulation.fastsim.simulation import PARTS

if TYPE_CHECKING:
    from caloforge.simulation.fastsim.comparison import Comparison
    from caloforge.simulation.fastsim.primaries import Portion
    from caloforge.simulation.fastsim.simulation import Outcome


@dataclass(eq=False)
class Costs:
    """Sums over all events.

    Attributes:
        events: How many there were.
        primaries: How many particles they began with.
        entered: Particles at the front face.
        caught: Those that bundles took over.
        entered_energy: Kinetic energy at the front face, MeV.
        caught_energy: That of the particles that bundles took over, MeV.
        milliseconds: CPU time of each part, ms.
    """

    events: int = 0
    primaries: int = 0
    entered: int = 0
    caught: int = 0
    entered_energy: float = 0.0
    caught_energy: float = 0.0
    milliseconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))

    def add(self, portion: Portion, outcome: Outcome) -> None:
        """Add a portion of events."""
        self.events += portion.n_events
        self.primaries += len(portion.incident)
        self.entered += outcome.entered
        self.caught += outcome.caught
        self.entered_energy += outcome.entered_energy
        self.caught_energy += float(outcome.primary_generated.sum())
        for part, spent in outcome.milliseconds.items():
            self.milliseconds[part] += spent

    @property
    def ms_per_event(self) -> dict[str, float]:
        """CPU milliseconds of each part per event, and of all parts together."""
        parts = {part: self.milliseconds[part] / max(self.events, 1) for part in PARTS}
        return parts | {"total": sum(parts.values())}

    @property
    def caught_share(self) -> float:
        """Share of the kinetic energy at the front face that bundles took over."""
        return self.caught_energy / self.entered_energy if self.entered_energy else 0.0

    @property
    def overhead(self) -> float | None:
        """Time of catching and placing by that of the generation; None without any."""
        spent = self.milliseconds
        generation = spent["generation"]
        return (spent["catching"] + spent["placing"]) / generation if generation and self.caught else None

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            "events": self.events,
            "primaries": self.primaries,
            "entered": self.entered,
            "caught": self.caught,
            "caught_energy_share": self.caught_share,
            "ms_per_event": self.ms_per_event,
            "catching_and_placing_by_generation": self.overhead,
        }


@dataclass(frozen=True, eq=False)
class Result:
    """A finished fast simulation.

    Attributes:
        path: The file of its events.
        full: That of the same events in full simulation, or None.
        display: The picture, or None.
        costs: What it cost and what was caught.
        comparison: How both compare, or None.
    """

    path: Path
    full: Path | None
    display: Path | None
    costs: Costs
    comparison: Comparison | None

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        comparison = self.comparison.as_dict(self.costs) if self.comparison else None
        return {
            "path": self.path,
            "full": self.full,
            "display": self.display,
            **self.costs.as_dict(),
            "comparison": comparison,
        }
