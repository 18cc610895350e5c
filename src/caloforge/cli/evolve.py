"""`caloforge evolve`: a generator from a population."""

from __future__ import annotations

__all__ = ["evolve"]

from pathlib import Path
from typing import Annotated

import typer

from caloforge.cli.completion import complete_recipe
from caloforge.cli.options import ClusterOption
from caloforge.cli.terminal import JsonOption, progress_bar, raw
from caloforge.cli.trained import show_run, stopped


def evolve(
    recipe: Annotated[
        str,
        typer.Argument(help="Recipe whose objective is an evolution.", autocompletion=complete_recipe),
    ],
    data: Annotated[
        list[Path],
        typer.Option(help="Shower file, folder of them, or pattern in quotes; may be given several times."),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Change the recipe, e.g. schedule.epochs=10.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the evolution in --out.")] = False,
    init: Annotated[
        list[Path] | None, typer.Option(help="Begin with these weights: a run, or a safetensors file.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Stop after this time.", min=0.01)] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that judge individuals.")] = 1,
    cluster: ClusterOption = None,
    json: JsonOption = False,
) -> None:
    """Evolve a generator: a population of them is judged by each batch of showers, and has children.

    Stopped or killed at any moment, it goes on with --resume as if nothing had happened.

    Example: caloforge evolve evolve-2d --data showers.h5 --out runs/evolved --jobs 2
    """
    from caloforge.search.evolve import evolve as run_evolution
    from caloforge.training import load_recipe

    asked = load_recipe(recipe, settings or [])
    try:
        with progress_bar(f"Evolving {raw(asked.name)}") as progress:
            run = run_evolution(
                asked,
                data,
                out,
                resume=resume,
                init=init or (),
                minutes=minutes,
                jobs=jobs,
                cluster=cluster,
                progress=progress,
            )
    except KeyboardInterrupt:
        raise stopped(out) from None
    show_run(run)
