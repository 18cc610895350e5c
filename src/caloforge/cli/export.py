"""`caloforge export`: from a run to a bundle."""

from __future__ import annotations

__all__ = ["export"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from caloforge.cli.completion import complete_run
from caloforge.cli.terminal import JsonOption, emit, progress_bar, raw, say

if TYPE_CHECKING:
    from caloforge.deploy import Bundle


def export(
    run: Annotated[
        Path,
        typer.Argument(
            help="Folder of the run, or a pretrained one by its name.", autocompletion=complete_run
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the bundle; must not exist.")],
    precision: Annotated[str, typer.Option(help="Of the weights; fp32 is the only one so far.")] = "fp32",
    json: JsonOption = False,
) -> None:
    """Turn a run into a bundle that a simulation loads.

    The bundle's showers are compared with the run's; a bundle that differs is not written.

    Example: caloforge export runs/calogan --out calogan.bundle
    """
    from caloforge.deploy import export as write

    with progress_bar("Exporting") as progress:
        bundle = write(run, out, precision=precision.split(","), progress=progress)
    show(bundle)
    emit({"path": bundle.path, "manifest": bundle.manifest.model_dump(mode="json")})


def show(bundle: Bundle) -> None:
    """Print what was exported and how near it is to the model."""
    graph = bundle.graph_entry()
    parity = graph.parity
    saved = graph.trained_parameters / graph.parameters
    folded = f", folded from {graph.trained_parameters:,} ({saved:.2f} x less to read)" if saved > 1 else ""
    batches = "/".join(map(str, parity.batches))
    name, detector = bundle.manifest.name, bundle.detector.name
    whose = "" if name.endswith(f" for {detector}") else f" for the detector {detector}"
    say(f"[bold]{raw(bundle.path)}[/bold]: {raw(name + whose)}")
    say(f"  valid for  {raw(bundle.manifest.valid)}")
    say(f"  graph      {graph.bytes / 1e6:.1f} MB, fp32, {graph.parameters:,} numbers{folded}")
    worst = f"{parity.max_abs_mev:.2g} MeV in any cell, {parity.max_relative:.1g} of the hottest one"
    say(f"  parity     {worst} ({parity.showers} showers in batches of {batches})")
