"""`caloforge fastsim`: events in which bundles take over what they know, and Geant4 does the rest."""

from __future__ import annotations

__all__ = ["fastsim"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from caloforge.cli.completion import complete_detector, complete_run
from caloforge.cli.terminal import JsonOption, emit, progress_bar, raw, say, table

if TYPE_CHECKING:
    from caloforge.simulation.fastsim import Result
    from caloforge.simulation.fastsim.comparison import Comparison
    from caloforge.simulation.fastsim.result import Costs

_MOST_LAYERS = 8
_ABOUT = {
    "upstream": "Geant4 before the detector",
    "catching": "catching",
    "generation": "generation",
    "placing": "placing the hits",
    "geant4": "Geant4 in the detector",
    "total": "fast in all",
}


def fastsim(
    detector: Annotated[
        str, typer.Argument(help="A preset's name, or a detector file.", autocompletion=complete_detector)
    ],
    particle: Annotated[str, typer.Option(help="Name (e-, e+, gamma, pi0, mu-, pi+) or PDG id.")],
    energy: Annotated[str, typer.Option(help="Kinetic energy: 25GeV, 20:50GeV, log:1:1000GeV, 10,20GeV.")],
    count: Annotated[int, typer.Option(min=1, help="Number of events.")],
    out: Annotated[Path, typer.Option(help="The file of events to make.")],
    bundles: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="BUNDLE...",
            help="Bundles, runs, or runs that ship by name; the first that knows a particle takes it. "
            "None: all is full.",
            autocompletion=complete_run,
        ),
    ] = None,
    particles_per_event: Annotated[int, typer.Option(min=1, help="Particles in each event.")] = 1,
    before: Annotated[
        list[str] | None,
        typer.Option(help="A slab before the detector: 'G4_Al 1X0', 'G4_AIR 50mm'; may be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed; the same one gives the same events.")] = 1,
    theta: Annotated[str, typer.Option(help="Angle to the z axis, fixed or a range (0:30deg).")] = "0deg",
    phi: Annotated[str, typer.Option(help="Azimuth of the direction, fixed or a range.")] = "0deg",
    x: Annotated[str, typer.Option(help="Impact point on the front face, fixed or a range.")] = "0mm",
    y: Annotated[str, typer.Option(help="The same in y.")] = "0mm",
    angle_tolerance: Annotated[
        str,
        typer.Option(
            help="How far a direction may be from one of the training; from 10 GeV on, wider below."
        ),
    ] = "0.5deg",
    position_tolerance: Annotated[
        str, typer.Option(help="How far an impact point may be, after a move by whole cells; from 10 GeV on.")
    ] = "0.5mm",
    physics: Annotated[str, typer.Option(help="As in `caloforge simulate`.")] = "standard",
    cut: Annotated[str, typer.Option(help="Geant4's production cut.")] = "0.7mm",
    jobs: Annotated[int, typer.Option(min=1, help="Processes with Geant4.")] = 1,
    compare: Annotated[
        bool, typer.Option("--compare", help="Simulate the same events fully, too, and compare.")
    ] = False,
    display: Annotated[
        Path | None, typer.Option(help="Draw the first event, full and fast: .png, .svg or .pdf.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Simulate events: bundles take over the particles that they know, Geant4 follows all others.

    With --compare, exit code 1 says that the response differs.

    Example: caloforge fastsim calogan calogan.bundle --particle e+ --energy 20:50GeV
    --count 100 --compare --out events.h5
    """
    import shlex
    import sys

    from caloforge.simulation.fastsim import fastsim as simulate

    with progress_bar("Simulating") as progress:
        result = simulate(
            detector,
            bundles or [],
            particle=particle,
            energy=energy,
            count=count,
            out=out,
            particles_per_event=particles_per_event,
            before=before or [],
            seed=seed,
            theta=theta,
            phi=phi,
            x=x,
            y=y,
            angle_tolerance=angle_tolerance,
            position_tolerance=position_tolerance,
            physics=physics,
            cut=cut,
            jobs=jobs,
            compare=compare,
            display=display,
            command=shlex.join(["caloforge", *sys.argv[1:]]),
            progress=progress,
        )
    _show(result)
    emit(result.as_dict())
    if result.comparison is not None and result.comparison.agrees is False:
        raise typer.Exit(1)


def _show(result: Result) -> None:
    costs = result.costs
    say(
        f"[bold]{raw(result.path)}[/bold]: {costs.events:,} events of {costs.primaries:,} particles; "
        f"{costs.entered:,} entered, bundles took over {costs.caught:,} "
        f"with {100 * costs.caught_share:.3g} % of the energy"
    )
    if not costs.caught:
        say("[yellow]no bundle took over any particle: all was full simulation[/yellow]")
    _show_times(costs, result.comparison)
    if result.comparison is not None:
        _show_physics(result.comparison)
    if result.display is not None:
        say(f"[bold]{raw(result.display)}[/bold]: the first event, full and fast")


def _show_times(costs: Costs, comparison: Comparison | None) -> None:
    rows = [(_ABOUT[part], f"{spent:.3g}") for part, spent in costs.ms_per_event.items()]
    if comparison is not None:
        rows.append(("full simulation", f"{comparison.ms_per_event:.3g}"))
    table("CPU time of an event", ("part", "ms"), rows)
    if costs.overhead is not None:
        say(f"Catching and placing: {100 * costs.overhead:.3g} % of the generation.")
    if comparison is not None:
        say(f"[bold]{comparison.speed_up(costs):.3g} times faster[/bold]")


def _show_physics(comparison: Comparison) -> None:
    from caloforge.simulation.fastsim.comparison import LAYER

    few = comparison.n_layers <= _MOST_LAYERS
    rows = [
        (
            row.name,
            f"{row.full:.5g}",
            f"{row.fast:.5g}",
            f"{100 * row.difference:+.3f}",
            f"{100 * row.error:.3f}",
            f"{100 * row.floor:+.3f}",
        )
        for row in comparison.rows()
        if few or not row.name.startswith(LAYER)
    ]
    columns = ("mean of", "full", "fast", "fast/full - 1, %", "error, %", "floor, %")
    table("Fast beside full simulation", columns, rows)
    say("[dim]Floor: two halves of the full simulation. Energies are shares of the incident energy.[/dim]")
    if not few:
        say(f"[dim]The energies of all {comparison.n_layers} layers are in what --json prints.[/dim]")
    say(f"[bold]{comparison.verdict}[/bold]")
