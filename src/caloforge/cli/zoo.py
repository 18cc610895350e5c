"""`caloforge zoo`: generators of one detector side by side."""

from __future__ import annotations

__all__ = ["zoo"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from caloforge.cli.completion import complete_run
from caloforge.cli.options import named_paths
from caloforge.cli.terminal import JsonOption, emit, progress_bar, raw, say, table

if TYPE_CHECKING:
    from caloforge.search.zoo.record import Zoo


def zoo(
    member: Annotated[
        list[str],
        typer.Argument(
            help="Runs, bundles, or names of runs that ship; each SOURCE or NAME=SOURCE.",
            autocompletion=complete_run,
        ),
    ],
    reference: Annotated[Path, typer.Option(help="Geant4's showers that judge; no member has seen them.")],
    floor: Annotated[Path, typer.Option(help="Other showers of Geant4; members may be trained on them.")],
    out: Annotated[Path, typer.Option(help="Folder of zoo.json, zoo.html and the reports.")],
    seconds: Annotated[float, typer.Option(min=0.0, help="How long each batch size is timed.")] = 2.0,
    json: JsonOption = False,
) -> None:
    """Measure generators of one detector in the same way: quality, time, memory, cost.

    The page shows which are beaten by others in both quality and time. A zoo grows: the same command with
    more members measures the new ones and leaves the others as they are. Stopped, it goes on where it was.

    Example: caloforge zoo calogan-tuned fit=runs/fit --reference unseen.h5 --floor other.h5 --out zoo
    """
    from caloforge.errors import StoppedError
    from caloforge.search.zoo.zoo import zoo as measure

    sources = named_paths(member, "a member")
    try:
        with progress_bar("Measuring") as progress:
            found = measure(sources, reference, floor, out, seconds=seconds, progress=progress)
    except KeyboardInterrupt:
        cure = "go on with the same command"
        raise StoppedError(f"members that were measured are in {out}", cure=cure) from None
    _show(found)
    say(f"Page: {raw(out / 'zoo.html')}  Next: caloforge recommend {raw(found.detector.name)} --latency 1ms "
        f"--zoo {raw(out)}")  # fmt: skip
    emit(found.model_dump(mode="json"))


def _show(found: Zoo) -> None:
    from caloforge.search.zoo.metrics import METRICS

    names = [name for name in METRICS if name in found.floor]
    first = found.batches[0]
    rows = [
        (
            one.name,
            *(f"{one.figures[name].value:.3f}" if name in one.figures else "–" for name in names),
            *(f"{one.ms(batch):.3g}" for batch in found.batches),
            "–" if one.train_seconds is None else f"{one.train_seconds / 60:.1f} min",
        )
        for one in sorted(found.members, key=lambda one: one.ms(first))
    ]
    floors = (f"{found.floor[name].value:.3f}" for name in names)
    geant4 = "–" if found.geant4_ms is None else f"{found.geant4_ms:.3g}"
    rows.append(("Geant4 (floor)", *floors, *(geant4 for _ in found.batches), "–"))
    times = (f"ms, {batch}" for batch in found.batches)
    columns = ("generator", *names, *times, "training")
    table(f"{found.compared:,} showers of {found.detector.name}, {found.particles}", columns, rows)
    batches = " and ".join(map(str, found.batches))
    say(
        f"[dim]ms a shower at batch {batches}, one core of {raw(found.machine)}; errors are on the page[/dim]"
    )
