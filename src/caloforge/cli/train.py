"""`caloforge train`: from showers to a run."""

from __future__ import annotations

__all__ = ["train"]

from pathlib import Path
from typing import Annotated

import typer

from caloforge.cli.terminal import JsonOption, emit, progress_bar, say, table


def train(
    recipe: Annotated[str, typer.Argument(help="Preset recipe (calogan, calogan-demo) or YAML file.")],
    data: Annotated[list[Path], typer.Option(help="Shower file; may be given several times.")],
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Change the recipe, e.g. schedule.epochs=10.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training in --out.")] = False,
    minutes: Annotated[float | None, typer.Option(help="Stop after this time.", min=0.01)] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write TensorBoard's event files.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Train a generator on showers.

    Stopped or killed at any moment, it goes on with --resume as if nothing had happened.

    Example: caloforge train calogan --data showers.h5 --out runs/calogan --minutes 30
    """
    from caloforge.training import load_recipe
    from caloforge.training import train as run_training

    chosen = load_recipe(recipe, settings or [])
    try:
        with progress_bar(f"Training {chosen.name}") as progress:
            run = run_training(
                chosen,
                data,
                out,
                resume=resume,
                minutes=minutes,
                tensorboard=tensorboard,
                progress=progress,
            )
    except KeyboardInterrupt:
        say(f"Saved; go on with the same command and [bold]--resume[/bold] ({out})")
        raise
    summary = run.summary()
    _show(summary)
    say(f"Run: {run.path}  Next: [bold]caloforge export {run.path} --out BUNDLE[/bold]")
    emit(summary)


def _show(summary: dict[str, object]) -> None:
    say(
        f"{summary['steps']} steps, {summary['epochs']} of {summary['epochs_planned']} epochs, "
        f"{summary['seconds']:.0f} s, {summary['showers_per_second']:.0f} showers/s"
    )
    look = summary["look"]
    if isinstance(look, dict):
        rows = [
            (
                name,
                *(
                    f"{look[who][name][what]:.4g}"
                    for what in ("mean", "spread")
                    for who in ("geant4", "generated")
                ),
            )
            for name in look["geant4"]
        ]
        columns = ("observable", "Geant4", "generated", "Geant4 spread", "generated spread")
        table(f"Selection part at epoch {look['epoch']}", columns, rows)
