"""`caloforge demo`: the whole chain on the Geant4 showers that ship with the package."""

from __future__ import annotations

__all__ = ["demo"]

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from caloforge.cli.terminal import JsonOption, emit, progress_bar, raw, say

if TYPE_CHECKING:
    from caloforge.progress import Progress
    from caloforge.training import Run

_RECIPE = "calogan-tuned"
_SELECT = "data.select=0.05"  # few showers choose the epoch, so that more are left to judge it


def demo(
    out: Annotated[Path, typer.Option(help="New folder for everything that is made.")] = Path("demo"),
    minutes: Annotated[float, typer.Option(help="Time for the training.", min=0.05)] = 3.0,
    json: JsonOption = False,
) -> None:
    """Do the whole chain once, on the Geant4 showers that ship.

    Example: caloforge demo --out demo
    """
    from caloforge.cli.bench import show
    from caloforge.deploy import bench, export, generate
    from caloforge.samples import positrons
    from caloforge.training import load_recipe, train
    from caloforge.validation import validate

    start = time.perf_counter()
    _make_new(out)
    say("[bold]caloforge demo[/bold]: e+ of 1-100 GeV in the CaloGAN calorimeter, from Geant4 to a bundle\n")
    recipe = load_recipe(_RECIPE, [_SELECT])
    with _step("Geant4 showers: train, compare, floor"):
        unseen, floor = _split(positrons(), recipe.data.train, recipe.data.train + recipe.data.select, out)
    with _step(f"training {recipe.name} for at most {minutes:g} minutes") as progress:
        run = train(recipe, positrons(), out / "run", minutes=minutes, progress=progress)
    with _step("export to ONNX, parity with torch checked") as progress:
        bundle = export(run.path, out / "bundle", progress=progress)
    with _step("generating showers like Geant4's unseen ones") as progress:
        generated = generate(bundle.path, like=unseen, out=out / "generated.h5", progress=progress)
    geant4 = _geant4_is_here()
    with _step("timing" + (", and Geant4 for real" if geant4 else "")) as progress:
        speed = bench(bundle, geant4=geant4, reference=unseen, progress=progress)
    with _step("validation against Geant4") as progress:
        notes, rows = _notes(run), speed.table()
        report = validate(
            unseen, generated, floor=floor, out=out / "report", notes=notes, speed=rows, progress=progress
        )
    say()
    show(speed)
    say(f"\n[bold]{report.verdict.title}[/bold] (after {run.summary()['seconds']:.0f} s of training)")
    say(f"Done in {(time.perf_counter() - start) / 60:.1f} minutes. Now open")
    say(f"  [bold]{raw(report.html)}[/bold]  the physics report")
    say(f"  [bold]{raw(bundle.path)}[/bold]  what a simulation loads; docs/deploy.md says how")
    made = {"report": report.html, "json": report.json, "bundle": bundle.path}
    emit({**made, "verdict": report.verdict.title, "speed": speed.as_dict()})


def _make_new(out: Path) -> None:
    from caloforge.errors import CaloforgeError

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CaloforgeError(
            "the demo's folder is not empty", where=out, cure="delete it, or give another one with --out"
        )
    out.mkdir(parents=True, exist_ok=True)


@contextmanager
def _step(title: str) -> Iterator[Progress]:
    """Show a bar while a step runs, then one line with its time."""
    start = time.perf_counter()
    with progress_bar(title) as progress:
        yield progress
    say(f"[green]done[/green]  {time.perf_counter() - start:5.0f} s  {title}")


def _split(sample: Path, train: float, unseen: float, out: Path) -> tuple[Path, Path]:
    """Write the showers that the training never sees, and as many of the others for the floor.

    The floor compares Geant4 with Geant4, so that showers which trained may serve.
    """
    from caloforge.showers import ShowerFile

    with ShowerFile(sample) as showers:
        first = round(unseen * len(showers))
        compare = showers.read(first, len(showers))
        floor = showers.read(0, min(len(compare), round(train * len(showers))))
    paths = out / "geant4-unseen.h5", out / "geant4-floor.h5"
    for part, path in zip((compare, floor), paths, strict=True):
        part.save(path)
    return paths


def _geant4_is_here() -> bool:
    from caloforge import truth
    from caloforge.errors import CaloforgeError

    try:
        truth.available()
    except CaloforgeError as error:
        why = raw(error.problem)
        say(f"[yellow]Geant4 is not timed here:[/yellow] {why}; its recorded time is shown instead")
        return False
    return True


def _notes(run: Run) -> list[str]:
    """What a reader of the report must know about the demo's training."""
    from caloforge.machine import processor

    spent = run.summary()
    return [
        f"A demonstration: trained for {spent['seconds']:.0f} s, {spent['steps']:,} steps on {processor()}.",
        f"The recipe is {run.recipe.name}: {run.recipe.about}",
    ]
