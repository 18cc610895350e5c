"""`caloforge simulate`: real Geant4 showers of a detector."""

from __future__ import annotations

__all__ = ["simulate"]

from pathlib import Path
from typing import Annotated

import typer

from caloforge.cli.completion import complete_detector
from caloforge.cli.options import ClusterOption
from caloforge.cli.terminal import JsonOption, emit, progress_bar, raw, say
from caloforge.errors import ShowersError, StoppedError


def _renamed(value: str | None) -> None:
    from caloforge.errors import CaloforgeError

    if value is not None:
        raise CaloforgeError(
            "the impact point has another name", got="--impact-x or --impact-y", near="--x or --y"
        )


def simulate(
    detector: Annotated[
        str, typer.Argument(help="A preset's name, or a detector file.", autocompletion=complete_detector)
    ],
    particle: Annotated[str, typer.Option(help="Name (e-, e+, gamma, pi0, mu-, pi+) or PDG id.")],
    energy: Annotated[
        str, typer.Option(help="Kinetic energy: 25GeV, 1:100GeV (uniform), log:1:1000GeV or 10,20,50GeV.")
    ],
    count: Annotated[int, typer.Option(min=1, help="Number of showers.")],
    out: Annotated[Path, typer.Option(help="The shower file to make.")],
    readout: Annotated[
        list[str] | None,
        typer.Option(
            help="A file of the same detector with another readout; may be repeated. Its showers are written "
            "beside OUT."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed; the same one gives the same showers.")] = 1,
    first: Annotated[
        int,
        typer.Option(min=0, help="Number of the first shower: jobs share one seed, and `merge` joins them."),
    ] = 0,
    theta: Annotated[
        str, typer.Option(help="Angle to the z axis (barrel: to the radius), fixed or a range (0:30deg).")
    ] = "0deg",
    phi: Annotated[str, typer.Option(help="Azimuth of the direction, fixed or a range.")] = "0deg",
    x: Annotated[
        str, typer.Option(help="Impact point on the front face, fixed or a range (-2:2mm).")
    ] = "0mm",
    y: Annotated[str, typer.Option(help="The same in y.")] = "0mm",
    physics: Annotated[
        str,
        typer.Option(help="standard, option1 to option4, FTFP_BERT (hadrons), FTFP_BERT+option4, ..."),
    ] = "standard",
    cut: Annotated[str, typer.Option(help="Geant4's production cut.")] = "0.7mm",
    jobs: Annotated[int, typer.Option(min=1, help="Worker processes on this machine.")] = 1,
    cluster: ClusterOption = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Finish what an interrupted command left behind.")
    ] = False,
    renamed: Annotated[
        str | None, typer.Option("--impact-x", "--impact-y", hidden=True, callback=_renamed)
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make showers with Geant4, without a magnetic field. Stopped at any moment, it keeps them;
    `--resume` goes on.

    Example: caloforge simulate calogan --particle e+ --energy 1:100GeV --count 200
    --jobs 2 --out positrons.h5
    """
    from caloforge.truth import simulate as produce

    try:
        with progress_bar("Simulating") as progress:
            path = produce(
                detector,
                particle=particle,
                energy=energy,
                count=count,
                out=out,
                readouts=readout or (),
                seed=seed,
                first=first,
                theta=theta,
                phi=phi,
                x=x,
                y=y,
                physics=physics,
                cut=cut,
                jobs=jobs,
                cluster=cluster,
                resume=resume,
                command=_command(),
                progress=progress,
            )
    except KeyboardInterrupt:
        raise _stopped(out) from None
    _report([path, *_beside(path, readout or [])])


def _beside(path: Path, readouts: list[str]) -> list[Path]:
    from caloforge.detector import load_detector
    from caloforge.truth import readout_path

    return [readout_path(path, load_detector(readout)) for readout in readouts]


def _command() -> str:
    import shlex
    import sys

    return shlex.join(["caloforge", *sys.argv[1:]])


def _report(paths: list[Path]) -> None:
    from caloforge.showers import ShowerFile

    path, *beside = paths
    with ShowerFile(path) as file:
        made, count = file.provenance, len(file)
    text = _written(path, count)
    if "ms_per_shower" in made:  # not if it was killed after its last shower, and resumed
        text += f"; {made['ms_per_shower']:.3g} ms of CPU each, {made['ms_per_gev']:.3g} ms per GeV"
    say(text)
    for other in beside:
        say(_written(other, count))
    told = {"path": path, "showers": count, "bytes": path.stat().st_size, "provenance": made}
    emit(told | ({"readouts": beside} if beside else {}))


def _written(path: Path, count: int) -> str:
    return f"[bold]{raw(path)}[/bold]: {count} showers, {path.stat().st_size / 1e6:.3g} MB"


def _stopped(out: Path) -> StoppedError:
    """Say what is kept, and how to go on."""
    from caloforge.showers import ShowerFile

    part = out.parent / f"{out.name}.part"
    try:
        with ShowerFile(part) as file:
            kept = f"{len(file)} showers are kept in {part}"
    except ShowersError:
        return StoppedError("there is nothing to keep yet")
    return StoppedError(kept, cure="the same command with --resume makes the rest")
