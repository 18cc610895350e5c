"""`caloforge train`: from showers to a run."""

from __future__ import annotations

__all__ = ["train"]

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from caloforge.cli.completion import complete_recipe
from caloforge.cli.options import DataOption, SettingsOption, check_purpose
from caloforge.cli.terminal import JsonOption, emit, progress_bar, raw, say, table
from caloforge.cli.trained import number, show_run, stopped
from caloforge.errors import CaloforgeError, ProcessLostError, StoppedError

if TYPE_CHECKING:
    from caloforge.training import Recipe


_MEANT_FOR = {
    **dict.fromkeys(("init", "minutes", "tensorboard"), ("one training",)),
    **dict.fromkeys(("groups", "cluster"), ("folds",)),
}


def _list_recipes(value: bool) -> None:
    if not value:
        return
    from caloforge.training import load_recipe, recipe_names

    recipes = [load_recipe(name) for name in recipe_names()]
    rows = [(r.name, r.usual_detector or "", "yes" if r.published else "", r.about) for r in recipes]
    table("Recipes", ("name", "detector", "published", "about"), rows)
    raise typer.Exit


def train(
    context: typer.Context,
    recipe: Annotated[
        str, typer.Argument(help="Preset recipe (see --list) or YAML file.", autocompletion=complete_recipe)
    ],
    data: DataOption,
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    settings: SettingsOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training in --out.")] = False,
    init: Annotated[
        list[Path] | None,
        typer.Option(help="Begin with these weights: a run, a safetensors file, Keras' HDF5 of 3DGAN."),
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Stop after this time.", min=0.01)] = None,
    folds: Annotated[
        int, typer.Option(min=1, help="Cross-validate: train once for each of so many divisions.")
    ] = 1,
    groups: Annotated[int, typer.Option(min=1, help="With --folds: trainings at a time.")] = 1,
    cluster: Annotated[
        str | None, typer.Option(help="With --folds: leave this machine (dask://HOST:8786, ray:auto, ...).")
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write TensorBoard's event files.")
    ] = False,
    json: JsonOption = False,
    listing: Annotated[
        bool,
        typer.Option("--list", help="List the preset recipes.", callback=_list_recipes, is_eager=True),
    ] = False,
) -> None:
    """Train a generator on showers.

    Stopped or killed at any moment, it goes on with --resume as if nothing had happened.
    Several processes share the work: torchrun --nproc-per-node 2 -m caloforge train ..., srun or mpirun.

    Example: caloforge train calogan --data showers.h5 --out runs/calogan --minutes 30
    """
    from caloforge.showers import shower_files
    from caloforge.training import load_recipe
    from caloforge.training import train as run_training
    from caloforge.training.place import find_place
    from caloforge.training.trained_detector import for_showers

    check_purpose(context, "folds" if folds > 1 else "one training", _MEANT_FOR)
    if folds > 1:
        _cross_validate(load_recipe(recipe, settings or []), data, out, folds, groups, cluster, resume)
        return
    place = find_place()
    quiet = place is not None and place.rank > 0
    try:
        asked = load_recipe(recipe, settings or [])
        files = shower_files(data)
        chosen, detector = for_showers(asked, files[0])
        if not quiet and chosen.made_for != asked.made_for:
            told = "as the recipe was published" if asked.published else "which the recipe was made for"
            say(f"Trained for the detector {raw(detector.name)}, not for {raw(asked.made_for)}, {told}")
        with nullcontext() if quiet else progress_bar(f"Training {raw(chosen.name)}") as progress:
            run = run_training(
                chosen,
                files,
                out,
                resume=resume,
                init=init or (),
                minutes=minutes,
                tensorboard=tensorboard,
                progress=progress,
            )
    except KeyboardInterrupt:
        if quiet:
            raise typer.Exit(StoppedError.exit_code) from None
        raise stopped(out) from None
    except CaloforgeError as error:
        # Of several processes one speaks. Process 1 must where 0 is what was lost.
        if quiet and not (isinstance(error, ProcessLostError) and place and place.rank == 1):
            raise typer.Exit(error.exit_code) from None
        raise
    if quiet:
        return
    show_run(run)


def _cross_validate(
    recipe: Recipe, data: list[Path], out: Path, folds: int, groups: int, cluster: str | None, resume: bool
) -> None:
    from caloforge.search.cross import cross_validate

    try:
        with progress_bar(f"Training {raw(recipe.name)} on {folds} folds") as progress:
            told = cross_validate(
                recipe, data, out, folds, groups=groups, cluster=cluster, resume=resume, progress=progress
            )
    except KeyboardInterrupt:
        raise StoppedError(
            f"what was trained is in {out}", cure="go on with the same command and --resume"
        ) from None
    rows = [
        (
            f"{name} ({unit})" if (unit := told["units"][name]) else name,
            *(
                number(value)
                for value in (mean, told["spread"][name], *(fold[name] for fold in told["folds"]))
            ),
        )
        for name, mean in told["mean"].items()
    ]
    table(f"{folds} folds", ("figure", "mean", "spread", *(f"fold {k}" for k in range(folds))), rows)
    emit(told)
