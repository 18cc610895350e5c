"""`caloforge tune`: the best recipe for a detector, found by training many."""

from __future__ import annotations

__all__ = ["tune"]

from pathlib import Path
from typing import Annotated

import typer

from caloforge.cli.completion import complete_recipe
from caloforge.cli.options import DataOption
from caloforge.cli.terminal import JsonOption, emit, progress_bar, raw, say
from caloforge.errors import StoppedError


def _list(value: bool) -> None:
    if not value:
        return
    from caloforge.cli.terminal import table
    from caloforge.search.figures import FIGURES
    from caloforge.search.samplers import SAMPLERS
    from caloforge.search.space import space_names

    table("Spaces", ("name of the recipe",), [(name,) for name in space_names()])
    table("Samplers", ("name", "about"), list(SAMPLERS.items()))
    rows = [(name, figure.about, figure.unit, figure.cost) for name, figure in FIGURES.items()]
    table("Figures", ("name", "about", "unit", "cost"), rows)
    raise typer.Exit


def tune(
    recipe: Annotated[
        str, typer.Argument(help="Preset recipe or YAML file.", autocompletion=complete_recipe)
    ],
    space: Annotated[
        str | None, typer.Argument(help="Space: YAML file or name; left out: that of the recipe.")
    ] = None,
    data: DataOption = ...,  # type: ignore[assignment] # typer's word for a required option
    out: Annotated[Path, typer.Option(help="Folder of the study.")] = ...,  # type: ignore[assignment]
    trials: Annotated[int, typer.Option(min=1, help="Trials that the study shall have.")] = 100,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Change the recipe, e.g. schedule.minutes=1.")
    ] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(help="Figure that is made small (see --list); may be given several times."),
    ] = None,
    constraint: Annotated[
        list[str] | None, typer.Option(help="What must hold, e.g. 'ms<0.1'; may be given several times.")
    ] = None,
    sampler: Annotated[str, typer.Option(help="What chooses the next recipe; see --list.")] = "tpe",
    folds: Annotated[
        int, typer.Option(min=1, help="Divisions of the showers that each trial is trained on.")
    ] = 1,
    halving: Annotated[
        bool, typer.Option("--halving", help="Stop two of three trials after a ninth and a third.")
    ] = False,
    groups: Annotated[int, typer.Option(min=1, help="Trials at a time, on this machine.")] = 1,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share a training.")] = 1,
    cluster: Annotated[
        str | None, typer.Option(help="Leave this machine: dask://HOST:8786, ray:auto, ...")
    ] = None,
    storage: Annotated[
        str | None, typer.Option(help="Data base of several machines; left out: a file in --out.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Begin no trial after this time.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sampler.")] = 1,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the study in --out, also beside others.")
    ] = False,
    json: JsonOption = False,
    listing: Annotated[
        bool,
        typer.Option("--list", help="List spaces, samplers and figures.", callback=_list, is_eager=True),
    ] = False,
) -> None:
    """Search the best recipe for a detector by training many.

    Stopped or killed at any moment, it keeps all that is finished; --resume goes on. Several of these
    commands, with --resume, work on one study together.

    Example: caloforge tune calogan-tuned --data showers.h5 --out study --trials 20
    --set schedule.epochs=3 --groups 2
    """
    from caloforge.search.report import summary_lines
    from caloforge.search.tune import tune as search
    from caloforge.training import load_recipe

    try:
        with progress_bar("Searching") as progress:
            record = search(
                load_recipe(recipe, settings or []),
                space,
                data=data,
                out=out,
                trials=trials,
                objectives=objective or (),
                constraints=constraint or (),
                sampler=sampler,
                folds=folds,
                halving=halving,
                groups=groups,
                workers=workers,
                cluster=cluster,
                storage=storage,
                minutes=minutes,
                seed=seed,
                resume=resume,
                progress=progress,
            )
    except KeyboardInterrupt:
        raise StoppedError(
            f"what was found is in {out}", cure="go on with the same command and --resume"
        ) from None
    for line in summary_lines(record):
        say(raw(line))
    found = any(number is not None for number in record["best"].values())
    best = f"  Recipe: {raw(out / 'best.yaml')}  Run: {raw(out / 'best')}" if found else ""
    say(f"Page: {raw(out / 'index.html')}{best}")
    emit(record)
