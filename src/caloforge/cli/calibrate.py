"""`caloforge detector calibrate`: sampling fractions from simulated showers."""

from __future__ import annotations

__all__ = ["calibrate"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from caloforge.cli.completion import complete_detector
from caloforge.cli.terminal import JsonOption, emit, raw, say, table

if TYPE_CHECKING:
    from caloforge.observables.calibration import Calibration, Precision, Section


def calibrate(
    showers: Annotated[Path, typer.Argument(help="Showers of the detector, as `simulate` makes them.")],
    by: Annotated[
        str,
        typer.Option(
            help="What has a fraction of its own: section (layers of the same matter), layer, detector."
        ),
    ] = "section",
    out: Annotated[
        Path | None, typer.Option(help="The detector's file with the fractions, to be made.")
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(help="What was hit, where the file cannot say.", autocompletion=complete_detector),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Find the sampling fractions by which the cells of a shower add up to its incident energy.

    Example: caloforge detector calibrate electrons.h5 --by section --out calibrated.yaml
    """
    from dataclasses import asdict

    from caloforge.detector import load_detector
    from caloforge.observables.calibration import calibrate as fit
    from caloforge.showers import open_showers
    from caloforge.writing import new_file

    with open_showers(showers, load_detector(detector) if detector else None) as source:
        found = fit(source, by)
    _show(found)
    if out is not None:
        with new_file(out) as file:
            file.write(found.detector.to_yaml().encode())
        say(f"[bold]{raw(out)}[/bold]: {found.detector.name} with these fractions")
    emit({**asdict(found), "detector": found.detector.name, "written": out})


def _show(found: Calibration) -> None:
    first = found.sections[0].sampling_fraction
    rows = [
        (_layers(section), _fraction(section), f"{first / section.sampling_fraction:.3f}")
        for section in found.sections
    ]
    table(
        f"Sampling fractions, from {found.showers:,} showers",
        ("layers", "fraction", "weight of a deposit"),
        rows,
    )
    if any(section.at_limit for section in found.sections):
        say("[dim]A fraction of 1 is the most that is possible: these layers would rather count less.[/dim]")
    bins = [
        (
            f"{bin.low / 1e3:.4g}" if bin.low == bin.high else f"{bin.low / 1e3:.4g} to {bin.high / 1e3:.4g}",
            f"{bin.showers:,}",
            _number(*bin.response),
            _number(*(100 * value for value in bin.resolution)) + " %",
        )
        for bin in found.bins
    ]
    table("Showers that the fit did not see", ("GeV", "showers", "cells / energy", "sigma / E"), bins)
    say(f"sigma/E = {_precision(found.precision)}")
    if found.by != "detector":
        say(f"with one fraction for all layers {_precision(found.single)}")


def _fraction(section: Section) -> str:
    return "1" if section.at_limit else _number(section.sampling_fraction, section.error)


def _layers(section: Section) -> str:
    names = section.layers
    return ", ".join(names) if len(names) < 4 else f"{names[0]}, {names[1]} ... {names[-1]} ({len(names)})"


def _precision(precision: Precision) -> str:
    (a, da), (c, dc) = precision.stochastic, precision.constant
    text = f"({_number(100 * a, 100 * da)}) % / sqrt(E/GeV)"
    return text if c == dc == 0 else f"{text} (+) ({_number(100 * c, 100 * dc)}) %"


def _number(value: float, error: float) -> str:
    """To two digits of its error."""
    from math import floor, log10

    digits = max(0, 1 - floor(log10(error))) if error > 0 else 4
    return f"{value:.{digits}f} +- {error:.{digits}f}"
