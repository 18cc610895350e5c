"""`caloforge bench`: milliseconds per shower, beside Geant4's."""

from __future__ import annotations

__all__ = ["bench", "show"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from caloforge.cli.terminal import JsonOption, emit, progress_bar, raw, say, table

if TYPE_CHECKING:
    from caloforge.deploy import Bench


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
    seconds: Annotated[float, typer.Option(min=0.0, help="How long each batch size is measured.")] = 2.0,
    json: JsonOption = False,
) -> None:
    """Measure milliseconds per shower, beside Geant4's.

    Example: caloforge bench calogan.bundle --reference showers.h5
    """
    from caloforge.deploy import bench as measure

    with progress_bar("Timing") as progress:
        result = measure(
            bundle,
            batches=_batches(batch),
            threads=threads,
            geant4=geant4,
            reference=reference,
            seconds=seconds,
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
    rows = result.table()
    table(f"Time per shower: {raw(result.name)}", tuple(rows[0]), [tuple(row.values()) for row in rows])
    say(f"[dim]{raw(result.machine)}; onnxruntime {result.versions['onnxruntime']}[/dim]")
    say(f"[dim]Energies: {raw(result.energies)}. Medians over calls; drawing the noise is included.[/dim]")
    say(f"[dim]{raw(_about_geant4(result))}[/dim]")


def _about_geant4(result: Bench) -> str:
    if result.geant4 is None:
        return "Geant4 beside it: --geant4 measures it now, --reference F.h5 takes what `simulate` recorded."
    where = f" on {result.geant4.machine}" if result.geant4.machine else ""
    return f"Geant4: mean CPU time, {result.geant4.how}{where}. The last column compares CPU times."
