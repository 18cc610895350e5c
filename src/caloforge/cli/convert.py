"""`caloforge convert`: showers from one file format to another."""

from __future__ import annotations

__all__ = ["convert"]

from pathlib import Path
from typing import Annotated

import typer

from caloforge.cli.options import whole_numbers
from caloforge.cli.terminal import JsonOption, emit, progress_bar, raw, say


def convert(
    src: Annotated[
        Path, typer.Argument(metavar="IN", help="The file to read; its content tells the format.")
    ],
    dst: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write, which must not exist.")],
    from_: Annotated[str | None, typer.Option("--from", help="Format of IN, if not told from it.")] = None,
    to: Annotated[
        str | None,
        typer.Option(
            help="Format of OUT: caloforge, calogan, lcd, lcd-angle, calochallenge, par04, par04-root, "
            "lagan, getting-high, hgcal, showerdata, npz, parquet, root or edm4hep. "
            "Otherwise its name tells, as in F.calogan.h5; F.h5 is caloforge's."
        ),
    ] = None,
    detector: Annotated[
        str | None, typer.Option(help="Preset, YAML or binning XML, where IN cannot say what was hit.")
    ] = None,
    particle: Annotated[str | None, typer.Option(help="As e+ or gamma, where IN cannot say.")] = None,
    drop_bad: Annotated[
        bool, typer.Option("--drop-bad", help="Leave out showers with NaN, infinite or negative energies.")
    ] = False,
    clip: Annotated[
        bool,
        typer.Option("--clip", help="Set negative energies of cells to 0, and say how many showers had any."),
    ] = False,
    layers: Annotated[
        str | None, typer.Option(help="Keep these layers only, as layer_1,layer_2; the others are left out.")
    ] = None,
    flatten: Annotated[
        bool, typer.Option("--flatten", help="Add up layers that follow each other and have the same grid.")
    ] = False,
    rebin: Annotated[
        str | None,
        typer.Option(
            metavar="2x2", help="Add up so many neighbouring cells (x, y; sectors, rings), and 2x2x5: layers."
        ),
    ] = None,
    crop: Annotated[
        str | None,
        typer.Option(metavar="24x24", help="Keep so many cells around the middle; 9: the inner rings."),
    ] = None,
    smear: Annotated[
        bool,
        typer.Option("--smear", help="Points lie anywhere in their cells, not in the middle (showerdata)."),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Convert shower files from and to the published formats, and take fewer layers or cells of a detector.

    Example: caloforge convert positrons.h5 showers.h5 --particle e+

    Example: caloforge convert hits.edm4hep.root showers.h5 --detector mine.yaml

    Example: caloforge convert electrons.h5 images.h5 --flatten

    Example: caloforge convert electrons.h5 coarse.h5 --crop 15x15 --rebin 3x3
    """
    from caloforge.detector import load_detector
    from caloforge.showers import convert as run

    with progress_bar("Converting") as progress:
        done = run(
            src,
            dst,
            from_=from_,
            to=to,
            detector=load_detector(detector) if detector else None,
            particle=particle,
            drop_bad=drop_bad,
            clip=clip,
            layers=[name.strip() for name in layers.split(",")] if layers is not None else (),
            flatten=flatten,
            rebin=whole_numbers(rebin, "--rebin", "x", "2x2") if rebin is not None else (),
            crop=whole_numbers(crop, "--crop", "x", "24x24") if crop is not None else (),
            smear=smear,
            progress=progress,
        )
    formats = f"{done.source_format} -> {done.format}"
    say(f"[bold]{raw(done.path)}[/bold]: {done.showers:,} showers of {done.detector}, {formats}")
    if done.dropped:
        say(f"[yellow]{done.dropped:,} showers left out[/yellow]: {raw(done.bad)}")
    for note in done.notes:
        say(f"[dim]note: {raw(note)}[/dim]")
    emit(done.__dict__)
