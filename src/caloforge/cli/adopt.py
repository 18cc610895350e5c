"""`caloforge adopt`: published weights become a run."""

from __future__ import annotations

__all__ = ["adopt"]

from pathlib import Path
from typing import Annotated

import typer

from caloforge.cli.terminal import JsonOption, emit, raw, say


def adopt(
    weights: Annotated[Path, typer.Argument(help="The generator's weights, as Keras wrote them (HDF5).")],
    out: Annotated[Path, typer.Option(help="Folder of the run; must not exist.")],
    recipe: Annotated[str, typer.Option(help="What the generator is: preset recipe or YAML file.")],
    particle: Annotated[str, typer.Option(help="What it was trained with, as e- or gamma.")],
    energy: Annotated[str, typer.Option(help="Range that it was trained for, as 10:500GeV.")],
    theta: Annotated[str, typer.Option(help="Range of the angle to +z.")] = "0deg",
    phi: Annotated[str, typer.Option(help="Range of the azimuth.")] = "0deg",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Change the recipe, e.g. model.scale=1.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make a run of a generator that others trained and published.

    The run generates, exports and is validated like any other.

    Example: caloforge adopt params_generator_epoch_029.hdf5 --recipe gan3d --set model.scale=1
    --particle e- --energy 10:500GeV --out runs/cern-3dgan
    """
    from caloforge.training import adopt as make
    from caloforge.training import load_recipe

    chosen = load_recipe(recipe, settings or [])
    run = make(weights, out, recipe=chosen, particle=particle, energy=energy, theta=theta, phi=phi)
    say(f"Run: {raw(run.path)}, a {chosen.model.kind} for the detector {run.detector.name}")
    command = f"caloforge generate {run.path} --energy {energy} --count 1000 --out F.h5"
    say(f"Next: [bold]{raw(command)}[/bold]")
    emit({"run": str(run.path), "range": run.incident_range})
