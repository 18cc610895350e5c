"""The frame of every page: templates of a room in it, and what goes into a page as it is."""

from __future__ import annotations

__all__ = ["framed"]

from jinja2 import ChoiceLoader, Environment, PackageLoader
from markupsafe import Markup

_HOUSE = "caloforge.validation.report"


def framed(*rooms: str) -> Environment:
    """Return the templates of some rooms, before those of the report, which has `frame.html`.

    Args:
        rooms: Packages with a folder `template`.
    """
    loader = ChoiceLoader([PackageLoader(room, "template") for room in (*rooms, _HOUSE)])
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)

    def part(name: str) -> Markup:
        """Styles and scripts, as they are."""
        return Markup(loader.get_source(environment, name)[0])

    environment.globals["part"] = part
    return environment
