"""The table: bundles by precision, runtime and batch on this machine, beside Geant4 in the same run."""

from __future__ import annotations

__all__ = ["BenchTable", "bench_table"]

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from caloforge import machine
from caloforge.deploy.bench.alone import measure_alone
from caloforge.deploy.bench.card import Card, make_card
from caloforge.deploy.bench.geant4_cost import Geant4Cost, check_geant4, geant4_cost
from caloforge.deploy.bench.measure import PACKAGES, bench_particles, check_request
from caloforge.deploy.bench.page import markdown, readable
from caloforge.deploy.bundle import Bundle
from caloforge.deploy.engine import Engine
from caloforge.deploy.runtimes import runtimes_for
from caloforge.errors import CaloforgeError
from caloforge.progress import Progress
from caloforge.workers import once
from caloforge.writing import new_file


@dataclass(frozen=True)
class BenchTable:
    """What showers cost on this machine.

    Attributes:
        rows: One dict for each bundle, precision, runtime and batch: those of `Bench.rows`, and `name`,
            `runtime`, `precision`, `threads`, `cpu_use` (CPU time over wall time and threads), and
            `peak_memory_mb` of a process that runs this engine alone.
        geant4: By name of the generator, its cost for the same energies in the same run.
        energies: By name, what the incident energies were.
        failed: By name, precision and runtime, why one could not run.
        machine: Processor and usable cores.
        versions: Of everything that matters.
        created: When.
        command: What makes it again.
    """

    rows: list[dict[str, Any]]
    geant4: dict[str, Geant4Cost]
    energies: dict[str, str]
    failed: dict[str, str]
    machine: str
    versions: dict[str, str]
    created: str
    command: str

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        return asdict(self)

    def table(self) -> list[dict[str, str]]:
        """The rows as people read them; the keys are the headings."""
        return readable(self.rows, self.geant4)

    def markdown(self) -> str:
        """The whole as a page."""
        return markdown(self.as_dict(), self.table())


def bench_table(
    bundles: Sequence[str | Path],
    *,
    batches: Sequence[int] = (1, 10, 128, 1024),
    threads: int = 1,
    geant4: bool = False,
    reference: str | Path | None = None,
    seconds: float = 2.0,
    out: str | Path | None = None,
    command: str | None = None,
    progress: Progress | None = None,
) -> BenchTable:
    """Measure bundles in every precision and runtime that can run here, each in a process of its own.

    Args:
        bundles: Their folders or zips; or runs, of which bundles are made for the while.
        batches: Showers per call.
        threads: Of each engine.
        geant4: Shoot the same particles with Geant4 now.
        reference: As for `bench`.
        seconds: How long each batch size is measured, at least.
        out: A file to make, `.md` or `.json`.
        command: The command line, for the page.
        progress: Told after every engine.

    Raises:
        CaloforgeError: As `bench`; or `out` ends otherwise.
        OutputError: `out` exists or cannot be written.
    """
    check_request(batches, threads)
    if geant4:
        check_geant4()
    given = Path(reference) if reference is not None else None
    with ExitStack() as stack:
        # Before an hour of timing, and not after it, it shows that the file can be written.
        file = stack.enter_context(new_file(_page(Path(out)))) if out is not None else None
        asked = _Asked(tuple(batches), threads, seconds, given)
        table = _measured([Path(path) for path in bundles], asked, geant4, command, progress)
        if file is not None and out is not None:
            file.write(_content(table, Path(out)).encode())
    return table


@dataclass(frozen=True)
class _Asked:
    batches: tuple[int, ...]
    threads: int
    seconds: float
    reference: Path | None


def _page(out: Path) -> Path:
    if out.suffix not in (".md", ".json"):
        raise CaloforgeError(
            "the table is Markdown or JSON", where="--out", got=out, expected="F.md or F.json"
        )
    return out


def _content(table: BenchTable, out: Path) -> str:
    return table.markdown() if out.suffix == ".md" else json.dumps(table.as_dict(), indent=1) + "\n"


def _measured(
    paths: list[Path], asked: _Asked, geant4: bool, command: str | None, progress: Progress | None
) -> BenchTable:
    from caloforge.deploy.bundled import bundled  # knows runs, and with them torch

    with ExitStack() as stack:
        bundles = [stack.enter_context(bundled(path)) for path in paths]
        return _table([(bundle.path, bundle) for bundle in bundles], asked, geant4, command, progress)


def _table(
    opened: list[tuple[Path, Bundle]],
    asked: _Asked,
    geant4: bool,
    command: str | None,
    progress: Progress | None,
) -> BenchTable:
    rows, failed = _rows(opened, asked, progress)
    costs: dict[str, Geant4Cost] = {}
    energies: dict[str, str] = {}
    for _, bundle in opened:
        engine = Engine(bundle, 1, "onnxruntime")
        incident, energies[engine.name] = bench_particles(engine, asked.reference)
        if cost := geant4_cost(engine, incident, geant4, asked.reference):
            costs[engine.name] = cost
    return BenchTable(
        rows=[row | _speed_up(row, costs) for row in rows],
        geant4=costs,
        energies=energies,
        failed=failed,
        machine=machine.processor(),
        versions=machine.versions(*PACKAGES),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        command=command or "caloforge.bench_table",
    )


def _rows(
    opened: list[tuple[Path, Bundle]], asked: _Asked, progress: Progress | None
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """What was measured, and what could not be: one that is installed and cannot run here, as CUDA."""
    rows: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    todo = list(_engines(opened))
    for done, (path, bundle, precision, runtime) in enumerate(todo):
        what = f"{bundle.manifest.name} {precision} {runtime}"
        try:
            rows += _one(path, bundle, precision, runtime, asked)
        except CaloforgeError as error:
            if len(todo) == 1:
                raise
            failed[what] = error.problem
        if progress:
            progress(done + 1, len(todo), what)
    return rows, failed


def _engines(opened: list[tuple[Path, Bundle]]) -> Iterator[tuple[Path, Bundle, str, str]]:
    for path, bundle in opened:
        for precision in bundle.manifest.graphs:
            for runtime in runtimes_for(bundle, precision):
                yield path, bundle, precision, runtime


def _one(path: Path, bundle: Bundle, precision: str, runtime: str, asked: _Asked) -> list[dict[str, Any]]:
    card = make_card(Engine(bundle, asked.threads, runtime, precision))
    rows = once(
        measure_alone,
        path,
        runtime,
        precision,
        asked.threads,
        asked.batches,
        asked.seconds,
        asked.reference,
    )
    return [{"name": card.name} | row | _use(row, card) for row in rows]


def _use(row: dict[str, Any], card: Card) -> dict[str, Any]:
    busy = row["cpu_ms_per_shower"] / row["mean_ms_per_shower"] / row["threads"]
    return {"share_of_best": card.share_of_best(row["batch"], row["ms_per_shower"]), "cpu_use": busy}


def _speed_up(row: dict[str, Any], costs: dict[str, Geant4Cost]) -> dict[str, float]:
    cost = costs.get(row["name"])
    return {"speed_up": cost.ms_per_shower / row["cpu_ms_per_shower"]} if cost else {}
