"""Options that several verbs share, and checks of those that have no meaning here and of lists of numbers."""

from __future__ import annotations

__all__ = ["ClusterOption", "DataOption", "SettingsOption", "check_purpose", "whole_numbers"]

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from caloforge.errors import CaloforgeError

ClusterOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--cluster", metavar="ADDRESS", help="Work on a cluster: dask://HOST:8786, ray:auto, ray:HOST:6379."
    ),
]

DataOption: TypeAlias = Annotated[
    list[Path],
    typer.Option(
        "--data", help="Shower file, folder of them, or pattern in quotes; may be given several times."
    ),
]
SettingsOption: TypeAlias = Annotated[
    list[str] | None, typer.Option("--set", help="Change the recipe, e.g. schedule.epochs=10.")
]


def check_purpose(context: typer.Context, purpose: str, meant_for: Mapping[str, tuple[str, ...]]) -> None:
    """Raise if an option was typed that means nothing for what is asked.

    Args:
        context: Of the verb; it knows which options were typed.
        purpose: What is asked, in words.
        meant_for: The purposes of each option, by its name in Python; those left out serve all.

    Raises:
        CaloforgeError: An option of another purpose.
    """
    for name, purposes in meant_for.items():
        source = context.get_parameter_source(name)
        if purpose not in purposes and source is not None and source.name == "COMMANDLINE":
            option = next(p.opts[0] for p in context.command.params if p.name == name)
            raise CaloforgeError(
                f"{option} has no meaning for {purpose}",
                where=option,
                expected=f"{option} for {' or '.join(purposes)}",
                cure=f"leave {option} out",
            )


def whole_numbers(text: str, option: str, between: str = ",", example: str = "1,8,16") -> list[int]:
    """Read numbers with commas, or another sign, between them.

    Raises:
        CaloforgeError: They are none.
    """
    try:
        return [int(part) for part in text.split(between)]
    except ValueError:
        raise CaloforgeError(
            "these are not whole numbers", where=option, got=text, expected=f"for example {example}"
        ) from None
