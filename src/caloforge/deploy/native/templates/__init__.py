"""Texts that are filled in: C++, macros and steering files, and what to know beside them."""

from __future__ import annotations

__all__ = ["rendered"]

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def rendered(name: str, facts: Mapping[str, Any]) -> str:
    """Fill in the template of a file.

    Args:
        name: Of the template, without `.jinja`.
        facts: What it mentions; a name that is missing is an error.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from caloforge.deploy.native.literals import literal

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # C++ and plain text; `c` writes literals
    )
    environment.filters["c"] = literal
    return environment.get_template(f"{name}.jinja").render(facts)
