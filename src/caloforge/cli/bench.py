"""`caloforge bench`: milliseconds per shower, beside Geant4's and beside the machine's best."""

from __future__ import annotations

__all__ = ["bench", "show"]

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from caloforge.cli.options import check_purpose, whole_numbers
from caloforge.cli.terminal import JsonOption, emit, progress_bar, raw, say, table

if TYPE_CHECKING:
    from caloforge.deploy import Bench
    from caloforge.deploy.bench import Card


_ENGINE = "one engine"
_MEANT_FOR = {
    "batch": (_ENGINE, "--table"),
    "threads": (_ENGINE, "--table"),
    "runtime": (_ENGINE,),
    "precision": (_ENGINE,),
    "streams": (_ENGINE,),
    "geant4": (_ENGINE, "--table"),
    "reference": (_ENGINE, "--table"),
    "seconds": (_ENGINE, "--table"),
    "out": ("--table",),
}


def bench(
    context: typer.Context,
    bundle: Annotated[list[Path], typer.Argument(help="The bundle; with --table several, also runs.")],
    batch: Annotated[str, typer.Option(help="Showers per call.")] = "1,10,128,1024",
    threads: Annotated[int, typer.Option(min=1, help="Of the engine; Geant4 uses one core.")] = 1,
    runtime: Annotated[str, typer.Option(help="auto, onnxruntime, openvino or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="fp32, another one of the bundle, or auto.")] = "fp32",
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
    check_purpose(context, _purpose(bundle, calibrate, tabulate), _MEANT_FOR)
    if calibrate:
        return _calibrate(bundle[0])
    if tabulate:
        return _table(bundle, batch, threads, geant4, reference, seconds, out)
    from caloforge.deploy import bench as measure

    with progress_bar("Timing") as progress:
        result = measure(
            bundle[0],
            batches=whole_numbers(batch, "--batch"),
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


def _purpose(bundles: list[Path], calibrate: bool, tabulate: bool) -> str:
    from caloforge.errors import CaloforgeError

    if calibrate and tabulate:
        raise CaloforgeError("--calibrate and --table are two things", cure="leave one of them out")
    if not tabulate and len(bundles) > 1:
        raise CaloforgeError(
            "several bundles make a table", got=f"{len(bundles)} bundles", cure="add --table"
        )
    return "--calibrate" if calibrate else "--table" if tabulate else _ENGINE


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
            batches=whole_numbers(batch, "--batch"),
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
    package = {"openvino": "openvino", "cuda": "onnxruntime-gpu"}.get(runtime, "onnxruntime")
    ran_in = f"{runtime}, {package} {result.versions[package]}"
    say(f"[dim]{raw(result.machine)}; {raw(ran_in)}[/dim]")
    say(f"[dim]Energies: {raw(result.energies)}. Medians over calls; drawing the noise is included.[/dim]")
    say(f"[dim]{raw(_about_geant4(result))}[/dim]")


def _about_geant4(result: Bench) -> str:
    if result.geant4 is None:
        return "Geant4 beside it: --geant4 measures it now, --reference F.h5 takes what `simulate` recorded."
    where = f" on {result.geant4.machine}" if result.geant4.machine else ""
    return f"Geant4: mean CPU time, {result.geant4.how}{where}. The last column compares CPU times."
