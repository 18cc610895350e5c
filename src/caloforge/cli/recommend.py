"""`caloforge recommend`: which generator to take, and why."""

from __future__ import annotations

__all__ = ["recommend"]

from pathlib import Path
from typing import Annotated

import typer

from caloforge.cli.completion import complete_detector
from caloforge.cli.terminal import JsonOption, emit, raw, say


def recommend(
    detector: Annotated[
        str, typer.Argument(help="Preset, YAML or binning XML.", autocompletion=complete_detector)
    ],
    latency: Annotated[str, typer.Option(help="What a shower may take on one core, as 1ms.")],
    batch: Annotated[int, typer.Option(min=1, help="Showers of a call: 1 or 128.")] = 1,
    metric: Annotated[
        str, typer.Option(help="What says how good: auc_cells, auc_normalised, auc_high, auc_trees, fpd.")
    ] = "auc_cells",
    zoo: Annotated[
        Path | None, typer.Option(help="A zoo of your own; otherwise those that ship with caloforge.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Say which generator to take for a detector and a latency, and why.

    It is the best that was measured within the latency, and of those as good within errors the quickest. A
    detector that was not measured gets the answer of the most similar one, as a guess. Exit code 1: nothing
    is quick enough.

    Example: caloforge recommend calogan --latency 1ms
    """
    from caloforge.search.zoo.recommend import recommend as find

    found = find(detector, latency, batch=batch, metric=metric, zoo=zoo)
    if found.choice.taken is not None:
        say(f"[bold]{raw(found.choice.taken.name)}[/bold]")
    for text in found.sentences:
        say(raw(text))
    for i, command in enumerate(found.commands):
        say(f"{'Next:' if not i else '     '} {raw(command)}")
    emit(found.as_dict())
    if found.choice.taken is None:
        raise typer.Exit(1)
