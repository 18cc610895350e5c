"""`caloforge validate`: a physics report of generated showers against Geant4's."""

from __future__ import annotations

__all__ = ["validate"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from caloforge.cli.terminal import JsonOption, emit, progress_bar, say, table

if TYPE_CHECKING:
    from caloforge.validation import Report


def validate(
    reference: Annotated[Path, typer.Argument(help="Geant4's showers.")],
    candidate: Annotated[Path, typer.Argument(help="The showers to judge.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the report.")],
    floor: Annotated[
        Path | None,
        typer.Option(help="More showers of Geant4, for the floor; otherwise REFERENCE is cut in halves."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of splits, resampling and classifiers.")] = 0,
    json: JsonOption = False,
) -> None:
    """Compare showers with Geant4's, beside the statistical floor.

    Example: caloforge validate geant4.h5 generated.h5 --out report
    """
    from caloforge.validation import validate as run

    with progress_bar("Validating") as progress:
        report = run(reference, candidate, floor=floor, out=out, seed=seed, progress=progress)
    _print(report)
    emit(_numbers(report))


def _print(report: Report) -> None:
    from caloforge.validation.page import number
    from caloforge.validation.verdict import plain

    say(f"[bold]{report.verdict.title}[/bold]")
    say(report.verdict.text)
    for finding in report.comparison.findings:
        say(f"[yellow]{finding.severity}:[/yellow] {finding.title}. {finding.text}")
    rows = [(f"AUC, {c.label.lower()}", c.auc) for c in report.classifiers]
    rows += [(f"{s.label}, {s.unit}", s.measure) for s in report.comparison.scalars]
    rows += [("Mean separation power", report.comparison.separation)]
    rows += [(plain(d.label), next(iter(d.measures.values()))) for d in report.worst[:5]]
    cells = [(name, number(m.value, m.error), number(m.floor, m.floor_error)) for name, m in rows]
    table("Candidate against Geant4", ("", "candidate", "floor (Geant4 against Geant4)"), cells)
    say(f"Open [bold]{report.html}[/bold]; all numbers are in {report.json}")


def _numbers(report: Report) -> dict[str, Any]:
    return {
        "html": str(report.html),
        "json": str(report.json),
        "verdict": report.verdict.__dict__,
        "findings": [finding.__dict__ for finding in report.comparison.findings],
        "auc": {c.name: c.auc.__dict__ for c in report.classifiers},
        "mean_separation": report.comparison.separation.__dict__,
        "scalars": {s.name: s.measure.__dict__ for s in report.comparison.scalars},
        "beyond_floor": [d.name for d in report.worst],
    }
