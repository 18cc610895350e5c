"""`caloforge merge`: several productions as one file."""

from __future__ import annotations

__all__ = ["merge"]

from pathlib import Path
from typing import Annotated

import typer

from caloforge.cli.terminal import JsonOption, emit, progress_bar, raw, say


def merge(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Files of `simulate`, folders of them, patterns.")
    ],
    out: Annotated[Path, typer.Option(help="The shower file to make.")],
    json: JsonOption = False,
) -> None:
    """Join productions that share a detector and options, in order of seed and shower number.

    Parts of one seed (`simulate --first`) give the file that one production would have made. No shower may be
    there twice, and none may be missing in between.

    Example: caloforge merge part-0.h5 part-1.h5 --out positrons.h5
    """
    from caloforge.showers import ShowerFile
    from caloforge.showers import merge as join

    with progress_bar("Merging") as progress:
        join(files, out, progress)
    with ShowerFile(out) as file:
        made, count = file.provenance, len(file)
    size, many = out.stat().st_size, f"{made['merged']} file{'s' if made['merged'] > 1 else ''}"
    say(f"[bold]{raw(out)}[/bold]: {count:,} showers of {many}, {size / 1e6:.3g} MB")
    emit({"path": out, "showers": count, "bytes": size, "files": made["merged"], "provenance": made})
