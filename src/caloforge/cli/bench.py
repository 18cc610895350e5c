"""`caloforge bench`: milliseconds per shower, beside Geant4's."""

from __future__ import annotations

__all__ = ["bench", "show"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from caloforge.cli.terminal import JsonOption, emit, progress_bar, say, table

if TYPE_CHECKING:
    from caloforge.deploy import Bench
    from caloforge.deploy.bench import Geant4Cost


def bench(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    batch: Annotated[str, typer.Option(help="Showers per call.")] = "1,10,128,1024",
    threads: Annotated[int, typer.Option(min=1, help="Of ONNX Runtime; Geant4 uses one core.")] = 1,
    geant4: Annotated[
        bool, typer.Option("--geant4", help="Shoot particles of the same energies with Geant4, too.")
    ] = False,
    reference: Annotated[
        Path | None,
        typer.Option(help="Shower file: use its particles, and the time recorded in it as Geant4's."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Measure what a shower costs, at several batch sizes, and with Geant4.

    Example: [bold]caloforge bench calogan.bundle --reference showers.h5[/bold]
    """
    from caloforge.deploy import bench as measure

    with progress_bar("Timing") as progress:
        result = measure(
            bundle,
            batches=_batches(batch),
            threads=threads,
            geant4=geant4,
            reference=reference,
            progress=progress,
        )
    show(result)
    emit(result.as_dict())


def _batches(text: str) -> list[int]:
    from caloforge.errors import CaloforgeError

    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise CaloforgeError(
            "these are not batch sizes", where="--batch", got=text, expected="whole numbers: 1,10,128"
        ) from None


def show(result: Bench) -> None:
    """Print a speed table; the demo prints the same."""
    rows = [_engine_row(row, result.threads) for row in result.rows]
    if result.geant4:
        rows.append(_geant4_row(result.geant4))
    columns = ("", "batch", "threads", "ms per shower", "10-90 %", "CPU ms", "showers/s", "x Geant4")
    table(f"Time per shower: {result.name}", columns, rows)
    say(f"[dim]{result.machine}; onnxruntime {result.versions['onnxruntime']}[/dim]")
    say(f"[dim]Energies: {result.energies}. Medians over calls; drawing the noise is included.[/dim]")
    say(f"[dim]{_about_geant4(result)}[/dim]")


def _engine_row(row: dict[str, float], threads: int) -> tuple[str, ...]:
    times = (
        _ms(row["ms_per_shower"]),
        f"{_ms(row['low'])} - {_ms(row['high'])}",
        _ms(row["cpu_ms_per_shower"]),
    )
    speed_up = f"{row['speed_up']:,.0f}" if "speed_up" in row else ""
    return (
        "caloforge",
        f"{row['batch']:.0f}",
        str(threads),
        *times,
        f"{row['showers_per_s']:,.0f}",
        speed_up,
    )


def _geant4_row(cost: Geant4Cost) -> tuple[str, ...]:
    spread = "" if cost.low is None or cost.high is None else f"{_ms(cost.low)} - {_ms(cost.high)}"
    ms = _ms(cost.ms_per_shower)
    return ("Geant4", "1", "1", ms, spread, ms, f"{1e3 / cost.ms_per_shower:.3g}", "1")


def _ms(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _about_geant4(result: Bench) -> str:
    if result.geant4 is None:
        return "Geant4 beside it: --geant4 measures it now, --reference F.h5 takes what `simulate` recorded."
    where = f" on {result.geant4.machine}" if result.geant4.machine else ""
    return f"Geant4: mean CPU time, {result.geant4.how}{where}. The last column compares CPU times."
