"""A speed table: what was measured, and how people read it."""

from __future__ import annotations

__all__ = ["Bench", "percent", "three_digits"]

from dataclasses import asdict, dataclass
from typing import Any

from caloforge.deploy.bench.card import Card
from caloforge.deploy.bench.geant4_cost import Geant4Cost


@dataclass(frozen=True)
class Bench:
    """A bundle's speed table.

    Attributes:
        rows: One dict per batch size: `batch, calls, ms_per_shower` (wall time, median over the calls),
            `low, high` (quantiles 10 and 90 % of the same), `mean_ms_per_shower`, `cpu_ms_per_shower` (mean,
            all threads together), `showers_per_s`, `joules_per_shower` (of the whole machine; None where it
            does not tell), `share_of_best` (of the limit that the card tells; None on a device). Where
            Geant4's cost is known, `speed_up`: its CPU time per shower over this one's, whatever the number
            of threads.
        name: Of the generator.
        energies: What the incident energies were, in words.
        threads: Of the runtime.
        machine: Processor and usable cores.
        load_s: Time to open the bundle (checksums included) and to load its graph.
        card: What a shower needs, and what the machine could do at best.
        geant4: Its cost for the same energies, or None.
        versions: Of everything that matters.
    """

    rows: list[dict[str, Any]]
    name: str
    energies: str
    threads: int
    machine: str
    load_s: float
    card: Card
    geant4: Geant4Cost | None
    versions: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        return asdict(self)

    def table(self) -> list[dict[str, str]]:
        """The rows as people read them, Geant4's last; the keys are the headings."""
        rows = [
            _readable("caloforge", row, self.threads, f"{row['speed_up']:,.0f}" if "speed_up" in row else "")
            for row in self.rows
        ]
        return [*rows, _geant4_row(self.geant4)] if self.geant4 else rows


def _readable(who: str, row: dict[str, Any], threads: int, speed_up: str) -> dict[str, str]:
    spread = "" if row["low"] is None else f"{three_digits(row['low'])} - {three_digits(row['high'])}"
    return {
        "what": who,
        "batch": str(row["batch"]),
        "threads": str(threads),
        "ms per shower": three_digits(row["ms_per_shower"]),
        "10-90 %": spread,
        "CPU ms": three_digits(row["cpu_ms_per_shower"]),
        "showers/s": three_digits(row["showers_per_s"]),
        "of best": percent(row.get("share_of_best")),
        "times Geant4": speed_up,
    }


def _geant4_row(cost: Geant4Cost) -> dict[str, str]:
    ms = cost.ms_per_shower
    row = {"batch": 1, "ms_per_shower": ms, "low": cost.low, "high": cost.high}
    return _readable("Geant4", row | {"cpu_ms_per_shower": ms, "showers_per_s": 1e3 / ms}, 1, "1")


def percent(share: float | None) -> str:
    """A share as people read it; nothing for None."""
    return "" if share is None else f"{100 * share:.0f} %"


def three_digits(value: float) -> str:
    """A number with three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
