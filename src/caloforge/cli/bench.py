"""`caloforge bench`: milliseconds per shower, beside Geant4's and beside the machine's best."""

from __future__ import annotations

__all__ = ["bench", "show"]

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from caloforge.cli.terminal import JsonOption, emit, progress_bar, raw, say, table

if TYPE_CHECKING:
    from caloforge.deploy import Bench
    from caloforge.deploy.bench import Card


def bench(
    bundle: Annotated[list[Path], typer.Argument(help="The bundle; several with --table.")],
    batch: Annotated[str, typer.Option(help="Showers per call.")] = "1,10,128,1024",
    threads: Annotated[int, typer.Option(min=1, help="Of the engine; Geant4 uses one core.")] = 1,
    runtime: Annotated[str, typer.Option(help="auto, onnxruntime, openvino or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="fp32, or another one of the bundle.")] = "fp32",
    streams: Annotated[int, typer.Option(min=1, help="Parts of a batch that run at the same time.")] = 1,
    geant4: Annotated[
        bool, typer.Option("--geant4", help="Shoot particles of the same energies with Geant4, too.")
    ] = False,
    reference: Annotated[
        Path | None,
        typer.Option(help="Shower file: use its particles, and the time recorded in it as Geant4's."),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.0, help="How long each batch size is measured.")] = 2.0,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Measure what engines are to choose here, keep and print it.")
    ] = False,
    tabulate: Annotated[
        bool, typer.Option("--table", help="Every precision and runtime that can run here, with memory.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="With --table: file to make, F.md or F.json.")] = None,
    json: JsonOption = False,
) -> None:
    """Measure milliseconds per shower, beside Geant4's.

    Example: caloforge bench calogan.bundle --reference showers.h5
    """
    chosen = (runtime, precision, streams) != ("auto", "fp32", 1)
    _check(bundle, calibrate, tabulate, out, chosen)
    if calibrate:
        return _calibrate(bundle[0])
    if tabulate:
        return _table(bundle, batch, threads, geant4, reference, seconds, out)
    from caloforge.deploy import bench as measure

    with progress_bar("Timing") as progress:
        result = measure(
            bundle[0],
            batches=_batches(batch),
            threads=threads,
            runtime=runtime,
            precision=precision,
            streams=streams,
            geant4=geant4,
            reference=reference,
            seconds=seconds,
            show_card=_show_card,
            progress=progress,
        )
    show(result)
    return emit(result.as_dict())


def _check(bundles: list[Path], calibrate: bool, tabulate: bool, out: Path | None, chosen: bool) -> None:
    from caloforge.errors import CaloforgeError

    if calibrate and tabulate:
        raise CaloforgeError("--calibrate and --table are two things", cure="leave one of them out")
    if (calibrate or tabulate) and chosen:
        raise CaloforgeError(
            "--table and --calibrate measure every runtime and precision",
            got="--runtime, --precision or --streams",
            cure="leave these out",
        )
    if not tabulate and out is not None:
        raise CaloforgeError("--out is for the table", cure="add --table, or leave --out away")
    if not tabulate and len(bundles) > 1:
        raise CaloforgeError(
            "several bundles make a table", got=f"{len(bundles)} bundles", cure="add --table"
        )


def _batches(text: str) -> list[int]:
    from caloforge.errors import CaloforgeError

    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise CaloforgeError(
            "these are not batch sizes", where="--batch", got=text, expected="whole numbers: 1,10,128"
        ) from None


def _calibrate(bundle: Path) -> None:
    from caloforge.deploy import Engine
    from caloforge.deploy import calibrate as measure

    with progress_bar("Calibrating") as progress:
        measured, path = measure(bundle, progress=progress)
    columns = ("runtime", "precision", "threads", "batch", "ms per shower")
    rows = [(t.runtime, t.precision, t.threads, t.batch, f"{t.ms_per_shower:.3g}") for t in measured.timings]
    table(f"The runtimes alone: {raw(measured.bundle)}", columns, rows)
    for what, why in measured.failed.items():
        say(f"{raw(what)} cannot run here: {raw(why)}")
    engine = Engine(bundle)
    choice = {name: getattr(engine, name) for name in ("runtime", "precision", "threads", "batch")}
    said = ", ".join(f"{key} {value}" for key, value in choice.items())
    say(f"An engine that is told nothing takes {said}.")
    say(f"Kept in {raw(path)}" if path else "It could not be kept: CALOFORGE_CACHE says where to.")
    emit({**measured.model_dump(), "choice": choice, "path": path})


def _table(
    bundles: list[Path],
    batch: str,
    threads: int,
    geant4: bool,
    reference: Path | None,
    seconds: float,
    out: Path | None,
) -> None:
    from caloforge.deploy.bench import bench_table

    with progress_bar("Timing") as progress:
        result = bench_table(
            bundles,
            batches=_batches(batch),
            threads=threads,
            geant4=geant4,
            reference=reference,
            seconds=seconds,
            out=out,
            command=shlex.join(["caloforge", *sys.argv[1:]]),
            progress=progress,
        )
    rows = result.table()
    table("What a shower costs", tuple(rows[0]), [tuple(row.values()) for row in rows])
    say(f"[dim]{raw(result.machine)}[/dim]")
    if out is not None:
        say(f"Written to {raw(out)}")
    emit(result.as_dict())


def _show_card(card: Card) -> None:
    for line in card.lines():
        say(f"[dim]{raw(line)}[/dim]")


def show(result: Bench) -> None:
    """Print a speed table; the demo prints the same."""
    rows = result.table()
    table(f"Time per shower: {raw(result.name)}", tuple(rows[0]), [tuple(row.values()) for row in rows])
    runtime = result.card.runtime
    say(f"[dim]{raw(result.machine)}; {raw(runtime)}, onnxruntime {result.versions['onnxruntime']}[/dim]")
    say(f"[dim]Energies: {raw(result.energies)}. Medians over calls; drawing the noise is included.[/dim]")
    say(f"[dim]{raw(_about_geant4(result))}[/dim]")


def _about_geant4(result: Bench) -> str:
    if result.geant4 is None:
        return "Geant4 beside it: --geant4 measures it now, --reference F.h5 takes what `simulate` recorded."
    where = f" on {result.geant4.machine}" if result.geant4.machine else ""
    return f"Geant4: mean CPU time, {result.geant4.how}{where}. The last column compares CPU times."
