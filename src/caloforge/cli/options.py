"""Options that several verbs share, and checks of those that have no meaning here and of lists of numbers."""

from __future__ import annotations

__all__ = ["ClusterOption", "DataOption", "SettingsOption", "check_purpose", "named_paths", "whole_numbers"]

from collections.abc import Mapping, Sequence
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


def named_paths(texts: Sequence[str], what: str) -> dict[str, Path]:
    """Return paths by name: the one before `=`, or else that of the file or folder.

    Args:
        texts: PATH or NAME=PATH.
        what: What they are, for messages: "a candidate".

    Raises:
        CaloforgeError: A name or a path is missing, or two have one name.
    """
    named: dict[str, Path] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        # a path may hold an equals sign of its own
        if not equals or _is_there(text):
            name, path = Path(text).stem, text
        if not name or not path:
            raise CaloforgeError(
                f"{what} without a name or a file", got=repr(text), expected="FILE or NAME=FILE"
            )
        if name in named:
            raise CaloforgeError(
                f"two have one name, where each is {what}",
                got=f"{named[name]} and {path}",
                cure=f"name them: NAME={path}",
            )
        named[name] = Path(path)
    return named


def _is_there(text: str) -> bool:
    try:
        return Path(text).exists()
    except OSError:  # too long to be a path
        return False
