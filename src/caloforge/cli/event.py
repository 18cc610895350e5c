"""`caloforge event`: whole events from generators, added and digitised."""

from __future__ import annotations

__all__ = ["event"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from caloforge.cli.completion import complete_run
from caloforge.cli.terminal import JsonOption, emit, progress_bar, raw, say, table

if TYPE_CHECKING:
    from caloforge.simulation.event import EventSummary
    from caloforge.simulation.events import EventGun

_MOST = 10  # kinds of particles that are named
_MOST_LAYERS = 5


def event(
    generators: Annotated[
        list[Path],
        typer.Argument(
            help="Bundles, runs, or pretrained runs by name; the first that knows a particle makes it.",
            autocompletion=complete_run,
        ),
    ],
    out: Annotated[Path, typer.Option(help="The file of events to make: .h5 or .root.")],
    input_: Annotated[
        Path | None, typer.Option("--input", help="Events: HepMC, Les Houches (LHE) or a table (CSV).")
    ] = None,
    face: Annotated[
        str | None, typer.Option(help="Where the calorimeter's face is on the input's z axis: 1.5m.")
    ] = None,
    gun: Annotated[
        str | None, typer.Option(help="Instead: shoot these particles at the face (e+ or e+,gamma).")
    ] = None,
    energy: Annotated[
        str | None, typer.Option(help="Of the gun: 25GeV, 1:100GeV (uniform), log:1:1000GeV or 10,20,50GeV.")
    ] = None,
    particles: Annotated[int, typer.Option(min=0, help="Of the gun: particles in each event.")] = 1,
    theta: Annotated[str, typer.Option(help="Of the gun: angle to the face's normal (0:30deg).")] = "0deg",
    phi: Annotated[str, typer.Option(help="Of the gun: azimuth of the direction.")] = "0deg",
    x: Annotated[str, typer.Option(help="Of the gun: impact point (-100:100mm).")] = "0mm",
    y: Annotated[str, typer.Option(help="The same in y.")] = "0mm",
    count: Annotated[
        int | None, typer.Option(min=1, help="Number of events; of a file the first so many.")
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(help="What is hit and how it is digitised, if not the generators' own detector."),
    ] = None,
    rest: Annotated[
        Literal["refuse", "drop", "geant4"],
        typer.Option(help="What to do with particles in the calorimeter that no generator knows."),
    ] = "refuse",
    max_tilt: Annotated[
        str, typer.Option(help="How far directions may be from those of the training, if it had one.")
    ] = "1deg",
    seed: Annotated[int, typer.Option(min=0, help="Seed; the same one gives the same events.")] = 1,
    jobs: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1,
    physics: Annotated[str, typer.Option(help="Of Geant4, with --rest geant4.")] = "FTFP_BERT",
    json: JsonOption = False,
) -> None:
    """Make whole events: a generator for each particle, energies added and digitised.

    Example: caloforge event calogan.bundle --gun e+ --energy 1:50GeV --particles 20 --x -100:100mm
    --count 100 --out events.h5
    """
    import shlex
    import sys

    from caloforge.simulation.event import event as make

    places = {"theta": theta, "phi": phi, "x": x, "y": y}
    with progress_bar("Making events") as progress:
        made = make(
            list(generators),
            out=out,
            input=input_,
            gun=_gun(gun, energy, particles, places),
            count=count,
            detector=detector,
            face=face,
            rest=rest,
            max_tilt=max_tilt,
            seed=seed,
            jobs=jobs,
            physics=physics,
            command=shlex.join(["caloforge", *sys.argv[1:]]),
            progress=progress,
        )
    _report(made)


def _gun(gun: str | None, energy: str | None, particles: int, places: dict[str, str]) -> EventGun | None:
    from caloforge.errors import EventError
    from caloforge.simulation.events import EventGun

    if gun is None:
        if energy is not None:
            raise EventError("--energy is the gun's: which particles?", expected="--gun e+")
        return None
    if energy is None:
        raise EventError("which energies?", expected="--energy 1:50GeV with --gun")
    return EventGun.of(gun, energy, particles, **places)


def _report(made: EventSummary) -> None:
    what = made.provenance
    if made.particles:
        _show_fates(what)
    _show_energies(what)
    size, rate = made.path.stat().st_size, made.particles / what["seconds"]
    say(
        f"[bold]{raw(made.path)}[/bold]: {made.events:,} events of {made.particles:,} particles, "
        f"{size / 1e6:.3g} MB; {rate:,.0f} particles/s"
    )
    emit(
        {
            "path": made.path,
            "events": made.events,
            "particles": made.particles,
            "bytes": size,
            "provenance": what,
        }
    )


def _show_fates(what: dict[str, Any]) -> None:
    rows = [
        (name, f"{fate['particles']:,}", f"{fate['energy_gev']:,.4g}") for name, fate in what["fates"].items()
    ]
    table("What became of the particles", ("", "particles", "GeV"), rows)
    if what["dropped"]:
        kinds = ", ".join(
            f"{fate['particles']:,} {raw(name)} ({fate['energy_gev']:.4g} GeV)"
            for name, fate in list(what["dropped"].items())[:_MOST]
        )
        say(f"[yellow]dropped:[/yellow] {kinds}")


def _show_energies(what: dict[str, Any]) -> None:
    beside = {name: max(way) for name, way in what["beside_their_place_mm"].items() if max(way) > 0}
    if beside:
        shown = ", ".join(f"{raw(name)} {way:.3g} mm" for name, way in list(beside.items())[:_MOST_LAYERS])
        say(f"Showers are moved by whole cells and lie beside their place by (rms) {shown}")
    outside = sum(what["outside_gev"].values())
    say(f"In the cells {what['cells_gev']:,.4g} GeV, beside the window {outside:,.4g} GeV")
    if what["saturated_cells"]:
        say(f"[yellow]{what['saturated_cells']:,} cells are saturated[/yellow]")
