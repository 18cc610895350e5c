"""`caloforge validate`: a physics report of generated showers against Geant4's."""

from __future__ import annotations

__all__ = ["validate"]

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from caloforge.cli.options import ClusterOption, named_paths
from caloforge.cli.terminal import JsonOption, emit, progress_bar, raw, say, table

if TYPE_CHECKING:
    from caloforge.validation import Report
    from caloforge.validation.measure import Number
    from caloforge.validation.study import Absent


def validate(
    reference: Annotated[Path, typer.Argument(help="Geant4's showers.")],
    candidate: Annotated[
        list[str], typer.Argument(help="The showers to judge; several are compared, each FILE or NAME=FILE.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the report.")],
    floor: Annotated[
        Path | None,
        typer.Option(help="More showers of Geant4, for the floor; otherwise REFERENCE is cut in halves."),
    ] = None,
    training: Annotated[
        Path | None,
        typer.Option(help="Showers that the generator learned from: looks for memorised ones."),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="Run or bundle of the first candidate: scans energies and latent space."),
    ] = None,
    detector: Annotated[
        str | None, typer.Option(help="Preset, YAML or binning XML, where a file cannot say what was hit.")
    ] = None,
    metrics: Annotated[
        str, typer.Option(help="quick, all, or studies and numbers by name, as fpd,auc_low.")
    ] = "quick",
    recipe: Annotated[
        str, typer.Option(help="How classifiers are trained: quick, caloflow or calochallenge.")
    ] = "quick",
    trainings: Annotated[int, typer.Option(help="How often each classifier is trained.", min=2)] = 5,
    require: Annotated[
        str | None, typer.Option(help="Conditions, as 'auc_high<0.6,response<2%'; exit code 1 if one fails.")
    ] = None,
    figures: Annotated[
        bool, typer.Option("--figures", help="Write each figure as PDF and its data as CSV and JSON, too.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of splits, resampling and classifiers.", min=0)] = 0,
    cluster: ClusterOption = None,
    json: JsonOption = False,
) -> None:
    """Compare showers with Geant4's, beside the statistical floor.

    Example: caloforge validate geant4.h5 generated.h5 --out report --require "auc_high<0.6,response<2%"
    """
    from caloforge.deploy import open_sampler
    from caloforge.detector import load_detector
    from caloforge.validation import validate as run

    candidates = named_paths(candidate, "a candidate")
    sampler = None if model is None else open_sampler(model)
    with progress_bar("Validating") as progress:
        report = run(
            reference,
            candidates,
            out=out,
            floor=floor,
            training=training,
            model=sampler,
            detector=load_detector(detector) if detector else None,
            metrics=metrics,
            recipe=recipe,
            trainings=trainings,
            require=require,
            figures=figures,
            seed=seed,
            cluster=cluster,
            progress=progress,
        )
    _print(report)
    emit(report.summary())
    if not all(outcome.met for outcome in report.outcomes):
        raise typer.Exit(1)


def _print(report: Report) -> None:
    from caloforge.validation.report.page import number
    from caloforge.validation.verdict import plain

    comparison = report.comparison
    for finding in comparison.remarks:
        say(f"[yellow]{finding.severity}:[/yellow] {raw(finding.title)}. {raw(plain(finding.text))}")
    for i, name in enumerate(comparison.names):
        verdict = comparison.verdicts[i]
        say(f"\n[bold]{raw(name)}: {raw(verdict.title)}[/bold]")
        say(raw(verdict.text))
        say(raw(verdict.trials))
        for finding in comparison.findings[i]:
            colour = "red" if finding.severity == "fault" else "yellow"
            say(f"[{colour}]{finding.severity}:[/{colour}] {raw(finding.title)}. {raw(plain(finding.text))}")
        rows = [(_label(n), n.measure) for study in comparison.studies for n in study.numbers[i]]
        rows += [(plain(d.label), next(iter(d.measures.values()))) for d in report.worst_of(i)[:5]]
        cells = [(label, number(m.value, m.error), number(m.floor, m.floor_error)) for label, m in rows]
        table(f"{raw(name)} against Geant4", ("", "candidate", "floor (Geant4 against Geant4)"), cells)
        for why, names in _absent(comparison.absent(i)).items():
            say(f"[dim]not computed: {', '.join(names)}. {raw(why[0].upper() + why[1:])}.[/dim]")
    for outcome in report.outcomes:
        say(f"[{'green' if outcome.met else 'red'}]{raw(outcome.candidate)}[/]: {raw(outcome)}")
    say(f"Open [bold]{raw(report.html)}[/bold]; all numbers are in {raw(report.json)}")


def _label(number: Number) -> str:
    """Name a number with its unit, or with the showers of each kind that it comes from."""
    showers = f", {number.showers:,} showers" if number.showers else ""
    return f"{number.label}{', ' + number.unit if number.unit else ''}{showers}"


def _absent(found: Mapping[str, Absent]) -> dict[str, list[str]]:
    """Names of numbers by why they are not there."""
    by_reason: dict[str, list[str]] = {}
    for name, absent in found.items():
        by_reason.setdefault(str(absent), []).append(name)
    return by_reason
