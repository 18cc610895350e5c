"""`caloforge evolve`: a generator from a population."""

from __future__ import annotations

__all__ = ["evolve"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from caloforge.cli.completion import complete_recipe
from caloforge.cli.options import ClusterOption, DataOption, SettingsOption, check_purpose
from caloforge.cli.terminal import JsonOption, emit, progress_bar, raw, say, table
from caloforge.cli.trained import number, show_run, stopped

if TYPE_CHECKING:
    from caloforge.search.account.record import Record
    from caloforge.training import Recipe


_MEANT_FOR = {
    "init": ("an evolution",),
    **dict.fromkeys(("test", "seeds", "arms"), ("--report",)),
}


def evolve(
    context: typer.Context,
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
    minutes: Annotated[
        float | None,
        typer.Option(help="Stop after this time; with --report: of a core, for each arm (4).", min=0.01),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that judge individuals.")] = 1,
    cluster: ClusterOption = None,
    report: Annotated[
        bool, typer.Option("--report", help="Compare it with gradients at equal cost, and write a page.")
    ] = False,
    test: Annotated[
        list[Path] | None, typer.Option(help="With --report: files of Geant4 showers that judge.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="With --report: trainings of each arm (3).")
    ] = None,
    arms: Annotated[
        str | None, typer.Option(help="With --report: gradients, codings, or single arms, with commas.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Evolve a generator: a population of them is judged by each batch of showers, and has children.

    Stopped or killed at any moment, it goes on with --resume as if nothing had happened.

    With a recipe whose topology evolves, too, many runs come out: the front of fitness, time and weights.

    With --report, the same generator is evolved and trained by gradients, several times each, and a page says
    what came out at equal core-seconds.

    Example: caloforge evolve evolve-2d --data showers.h5 --out runs/evolved --jobs 2
    """
    from caloforge.search.evolve import evolve as run_evolution
    from caloforge.training import load_recipe

    check_purpose(context, "--report" if report else "an evolution", _MEANT_FOR)
    asked = load_recipe(recipe, settings or [])
    wanted = None if arms is None else [name.strip() for name in arms.split(",")]
    compared = {"test": test, "minutes": minutes, "seeds": seeds, "arms": wanted}
    if report:
        return _account(asked, data, out, resume=resume, jobs=jobs, cluster=cluster, **compared)
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


def _account(recipe: Recipe, data: list[Path], out: Path, **how: Any) -> None:
    from caloforge.errors import StoppedError
    from caloforge.search.account.account import account
    from caloforge.search.account.record import Record

    given = {name: value for name, value in how.items() if value is not None}
    try:
        with progress_bar(f"Comparing {raw(recipe.name)}") as progress:
            found = account(recipe, data, out, progress=progress, **given)
    except KeyboardInterrupt:
        cure = "go on with the same command and --resume"
        raise StoppedError(f"all arms that were finished are in {out}", cure=cure) from None
    _show_account(Record.model_validate(found), recipe, out)
    emit(found)


def _show_account(record: Record, recipe: Recipe, out: Path) -> None:
    from caloforge.search.account.arms import arms_of
    from caloforge.search.account.fidelity import FIGURES
    from caloforge.search.account.results import answer, rows_of

    rows = rows_of(record, arms_of(recipe))
    names = [name for name in FIGURES if name in record.floor]
    lines = [
        (row.arm.title, *(number(row.figure(name)) for name in names), f"{row.core_seconds:.0f}")
        for row in rows.values()
    ]
    floor = ("Geant4 (floor)", *(number(record.floor[name]) for name in names), "–")
    columns = ("arm", *(FIGURES[name] for name in names), "core-seconds")
    table(f"Medians of showers that no training saw ({record.judges:,})", columns, [*lines, floor])
    for text in answer(rows, record.floor):
        say(text)
    for one in record.members:
        if one.failed:
            say(f"{one.arm}, seed {one.seed}: {raw(one.failed)}")
    say(f"Page: {raw(out / 'index.html')}")


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
