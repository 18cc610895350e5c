"""`caloforge generate`: showers from a run or a bundle."""

from __future__ import annotations

__all__ = ["generate"]

from pathlib import Path
from typing import Annotated, Literal

import typer

from caloforge.cli.completion import complete_run
from caloforge.cli.terminal import JsonOption, emit, progress_bar, raw, say


def generate(
    source: Annotated[
        Path,
        typer.Argument(help="A run, a bundle, or a pretrained run by its name.", autocompletion=complete_run),
    ],
    out: Annotated[Path, typer.Option(help="The shower file to make.")],
    energy: Annotated[
        str | None, typer.Option(help="25GeV, 1:100GeV (uniform), log:1:1000GeV or 10,20,50GeV.")
    ] = None,
    particle: Annotated[
        str | None, typer.Option(help="Name or PDG id, where the generator knows several.")
    ] = None,
    theta: Annotated[
        str | None,
        typer.Option(help="Angle to the z axis (barrel: to the radius), fixed or a range (0:30deg)."),
    ] = None,
    phi: Annotated[str | None, typer.Option(help="The same for the azimuth of the direction.")] = None,
    x: Annotated[
        str | None, typer.Option(help="Impact point on the front face, fixed or a range (-2:2mm).")
    ] = None,
    y: Annotated[str | None, typer.Option(help="The same in y.")] = None,
    like: Annotated[
        Path | None, typer.Option(help="Instead: take the incident particles of this shower file.")
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="Number of showers; with --like the first so many.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed; the same one gives the same showers.")] = 1,
    outside: Annotated[
        Literal["refuse", "warn"], typer.Option(help="What to do outside the trained range.")
    ] = "refuse",
    threads: Annotated[int | None, typer.Option(min=1, help="By default all cores.")] = None,
    json: JsonOption = False,
) -> None:
    """Make showers with a trained generator.

    The same seed gives the same showers from a run and from the bundle exported from it.

    Example: caloforge generate calogan.bundle --energy 1:100GeV --count 1000 --out showers.h5
    """
    import shlex
    import sys
    import warnings

    from caloforge.deploy import generate as make

    with progress_bar("Generating") as progress, warnings.catch_warnings():
        # Said below in our own words.
        warnings.filterwarnings("ignore", "outside the trained range", RuntimeWarning)
        path = make(
            source,
            out=out,
            energy=energy,
            particle=particle,
            theta=theta,
            phi=phi,
            x=x,
            y=y,
            like=like,
            count=count,
            seed=seed,
            outside=outside,
            threads=threads,
            command=shlex.join(["caloforge", *sys.argv[1:]]),
            progress=progress,
        )
    _report(path)


def _report(path: Path) -> None:
    from caloforge.showers import ShowerFile

    with ShowerFile(path) as file:
        made, count = file.provenance, len(file)
    for complaint in made["outside"]:
        say(f"[yellow]outside the trained range:[/yellow] {raw(complaint)}")
    rate = 1e3 / made["ms_per_shower"]
    size, name = path.stat().st_size, raw(made["generator"]["name"])
    say(
        f"[bold]{raw(path)}[/bold]: {count} showers of {name}, {size / 1e6:.3g} MB; "
        f"{rate:.0f} showers/s, storing included"
    )
    emit({"path": path, "showers": count, "bytes": size, "outside": made["outside"], "provenance": made})
