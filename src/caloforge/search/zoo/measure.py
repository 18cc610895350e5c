"""One member measured: it makes showers of the judge's particles, is compared with them, and timed."""

from __future__ import annotations

__all__ = ["BATCHES", "Judges", "measure"]

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caloforge.deploy.bench import BenchTable, bench_table
from caloforge.deploy.bundle import Bundle
from caloforge.deploy.generate import generate
from caloforge.deploy.operations import count_operations
from caloforge.errors import BundleError
from caloforge.search.zoo.families import family_of
from caloforge.search.zoo.metrics import METRICS
from caloforge.search.zoo.record import Member, Number, Timing, Zoo
from caloforge.training import Run
from caloforge.training.pretrained import comes_with_caloforge, run_folder
from caloforge.validation.report.report import Report
from caloforge.validation.validate import validate

BATCHES = 1, 128
_SEED = 1
_SECONDS = "seconds", "adapted_seconds"  # of an entry of the diary: learning, and fitting before it
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Judges:
    """Showers of Geant4, and how long generators are timed.

    Attributes:
        reference: File of those that judge.
        floor: File of others.
        seconds: How long each batch size is measured, at least.
    """

    reference: Path
    floor: Path
    seconds: float = 2.0


def measure(
    zoo: Zoo, name: str, source: str | Path, bundle: Bundle, judges: Judges, folder: Path, tell: Tell
) -> Zoo:
    """Return a zoo with one more member.

    Args:
        zoo: The others.
        name: Of the new one.
        source: What the user named: a run or a bundle.
        bundle: Opened, or made of the run.
        judges: What it is held against.
        folder: Of the report, and of the showers for the while.
        tell: Told what is going on.

    Raises:
        RangeError: It was not trained for the particles of the reference.
        CaloforgeError: It makes impossible energies, or cannot be timed here.
    """
    tell("making showers")
    showers = folder / f".{name}.h5"
    showers.unlink(missing_ok=True)
    try:
        generate(bundle.path, out=showers, like=judges.reference, seed=_SEED, threads=1)
        tell("comparing with Geant4")
        report = validate(
            judges.reference,
            {name: showers},
            out=folder / "reports" / name,
            floor=judges.floor,
            metrics=list(METRICS),
        )
    finally:
        showers.unlink(missing_ok=True)
    tell("timing")
    table = bench_table([bundle.path], batches=BATCHES, seconds=judges.seconds, reference=judges.reference)
    member = _member(name, source, bundle, report, table)
    cost = next(iter(table.geant4.values()), None)
    told = {
        "compared": report.comparison.plan.size,
        "floor": _floors(report),
        "geant4_ms": None if cost is None else cost.ms_per_shower,
    }
    return zoo.model_copy(update=told).with_member(member)


def _member(name: str, source: str | Path, bundle: Bundle, report: Report, table: BenchTable) -> Member:
    provenance = bundle.manifest.provenance
    recipe: Mapping[str, Any] = provenance.get("recipe") or {}
    counted = count_operations(bundle.graph("fp32"))
    rows = _rows(table, name)
    return Member(
        name=name,
        family=family_of(recipe),
        # A recipe that was made for another detector says so in its name.
        recipe=str(recipe.get("name", "")).removesuffix(f" for {bundle.manifest.detector.name}"),
        model=dict(recipe.get("model", {})),
        weights_sha256=str(provenance.get("weights_sha256", "")),
        ships=_ships(name, source),
        figures={
            key: Number(value=found.measure.value, error=_known(found.measure.error))
            for key, found in report.numbers.items()
            if key in METRICS and math.isfinite(found.measure.value)
        },
        timings=tuple(_timing(row) for row in rows),
        weights=counted.weights,
        weight_mb=counted.weight_bytes / 1e6,
        memory_mb=max(row["peak_memory_mb"] for row in rows),
        train_seconds=_train_seconds(source),
        trained_on=_trained_on(provenance.get("environment") or {}),
    )


def _rows(table: BenchTable, name: str) -> list[dict[str, Any]]:
    """Those of the graph that was judged, on a processor."""
    rows = [row for row in table.rows if row["precision"] == "fp32" and row["runtime"] != "cuda"]
    if not rows:
        why = "; ".join(f"{what}: {reason}" for what, reason in table.failed.items())
        raise BundleError("this generator cannot be timed here", where=name, got=why)
    return rows


def _timing(row: Mapping[str, Any]) -> Timing:
    return Timing(batch=row["batch"], runtime=row["runtime"], ms=row["low"], median=row["ms_per_shower"])


def _floors(report: Report) -> dict[str, Number]:
    found = {key: number.measure for key, number in report.numbers.items() if key in METRICS}
    return {
        key: Number(value=measure.floor, error=_known(measure.floor_error))
        for key, measure in found.items()
        if math.isfinite(measure.floor)
    }


def _known(error: float) -> float:
    return error if math.isfinite(error) else 0.0


def _ships(name: str, source: str | Path) -> bool:
    path = run_folder(source)
    return comes_with_caloforge(path) and path.name == name


def _train_seconds(source: str | Path) -> float | None:
    """What a run's diary says; a bundle has none, and fits before December 2026 did not take the time."""
    path = run_folder(source)
    if not (path / "recipe.yaml").is_file() or not (path / "metrics.jsonl").is_file():
        return None
    diary = Run.open(path).metrics()
    # A training that was resumed has measured before its first part alone.
    parts = [max((entry.get(name, 0.0) for entry in diary), default=0.0) for name in _SECONDS]
    return float(sum(parts)) or None


def _trained_on(environment: Mapping[str, Any]) -> str:
    if not environment:
        return ""
    where = environment.get("gpu") or environment.get("processor") or "an unknown processor"
    threads = int(environment.get("threads") or 1) * int(environment.get("processes") or 1)
    return f"{where}, {threads} of them used" if "cores" in where else str(where)
