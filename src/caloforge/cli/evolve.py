"""`caloforge evolve`: a generator from a population."""

from __future__ import annotations

__all__ = ["evolve"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from caloforge.cli.completion import complete_recipe
from caloforge.cli.options import ClusterOption, DataOption, SettingsOption
from caloforge.cli.terminal import JsonOption, emit, progress_bar, raw, say, table
from caloforge.cli.trained import show_run, stopped

if TYPE_CHECKING:
    from caloforge.training import Recipe


def evolve(
    recipe: Annotated[
        str,
        typer.Argument(help="Recipe whose objective is an evolution.", autocompletion=complete_recipe),
    ],
    data: DataOption,
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    settings: SettingsOption = None,
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

    With a recipe whose topology evolves, too, many runs come out: the front of fitness, time and weights.

    Example: caloforge evolve evolve-2d --data showers.h5 --out runs/evolved --jobs 2
    """
    from caloforge.search.evolve import evolve as run_evolution
    from caloforge.training import load_recipe

    asked = load_recipe(recipe, settings or [])
    if asked.topology is not None:
        return _topology(asked, data, out, init, resume=resume, minutes=minutes, jobs=jobs, cluster=cluster)
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
    return show_run(run)


def _topology(recipe: Recipe, data: list[Path], out: Path, init: list[Path] | None, **how: Any) -> None:
    from caloforge.errors import RecipeError, StoppedError
    from caloforge.search.topology.evolve import evolve_topology

    if init:
        raise RecipeError(
            "an evolution of topology begins with the recipe's own stages and random weights",
            where="--init",
            got=", ".join(map(str, init)),
            cure="leave --init out, or evolve the weights of that run alone: --set topology=",
        )
    try:
        with progress_bar(f"Evolving {raw(recipe.name)}") as progress:
            found = evolve_topology(recipe, data, out, progress=progress, **how)
    except KeyboardInterrupt:
        cure = "go on with the same command and --resume"
        raise StoppedError(f"all generations that were finished are in {out}", cure=cure) from None
    _show_front(found, out)


def _show_front(found: dict[str, Any], out: Path) -> None:
    known = {one["number"]: one for one in found["individuals"]}
    figures = {number: found["figures"].get(str(number), {}) for number in found["front"]}
    names = [name for name in ("ms", "auc", "fpd") if any(name in measured for measured in figures.values())]
    rows = [
        (
            str(out / "front" / str(number)),
            f"{known[number]['fitness']:.4g}",
            *(f"{figures[number][name]:.4g}" if name in figures[number] else "–" for name in names),
            f"{known[number]['weights']:,}",
            len(known[number]["model"]["stages"]),
        )
        for number in found["front"]
    ]
    table("Front of fitness, time and weights", ("run", "fitness", *names, "weights", "stages"), rows)
    say(f"{found['generation']} generations, {len(known)} generators. Page: {raw(out / 'index.html')}")
    emit(found)
