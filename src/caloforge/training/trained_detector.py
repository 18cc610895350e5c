"""Which detector a training is for: the recipe's if it insists on one, or else that of the showers."""

from __future__ import annotations

__all__ = ["for_detector", "for_showers", "from_anywhere"]

from pathlib import Path

from caloforge.detector import Detector, load_detector, preset_names
from caloforge.errors import DetectorError, ShowersError
from caloforge.showers import open_showers
from caloforge.training.recipe import Recipe


def for_showers(recipe: Recipe, showers: Path) -> tuple[Recipe, Detector]:
    """Return a recipe as it will be trained, and the detector.

    Args:
        recipe: May name a detector (`detector`), or only say what it was made for.
        showers: The first shower file.

    Returns:
        The recipe with its detector named. One that is trained for another detector than it was made for
        says so in `name` and `about`, and is no longer `published`.

    Raises:
        DetectorError: The recipe insists on a detector that there is not.
        ShowersError: The showers cannot be read, or nothing says what they were read out with.
    """
    usual = None if recipe.made_for is None else load_detector(recipe.made_for)
    detector = _insisted(recipe.detector, showers) if recipe.detector else _found(showers, usual)
    return for_detector(recipe, detector), detector


def for_detector(recipe: Recipe, detector: Detector) -> Recipe:
    """Return a recipe as it will be trained for a detector."""
    named = recipe.model_copy(update={"detector": recipe.detector or _name(detector)})
    if recipe.made_for is None or load_detector(recipe.made_for).digest == detector.digest:
        return named
    return named.model_copy(update=_elsewhere(recipe, detector))


def from_anywhere(recipe: Recipe) -> Recipe:
    """Return a recipe that finds its detector's file from any folder: workers may have another one."""
    name = recipe.detector
    if name is None or name in preset_names() or not Path(name).is_file():
        return recipe
    return recipe.model_copy(update={"detector": str(Path(name).absolute())})


def _name(detector: Detector) -> str | None:
    """Its name, unless that would be taken for a preset that it is not."""
    name = detector.name
    return None if name in preset_names() and load_detector(name).digest != detector.digest else name


def _insisted(name: str, showers: Path) -> Detector:
    """The recipe of a run names its detector, which need not be a preset: the showers may have it."""
    try:
        return load_detector(name)
    except DetectorError:
        found = _found(showers, None)
        if found.name != name:
            raise
        return found


def _found(showers: Path, usual: Detector | None) -> Detector:
    """Foreign formats do not say what was hit: the usual detector is taken where it fits."""
    if usual is not None:
        try:
            with open_showers(showers, usual) as file:
                return file.detector
        except ShowersError:
            pass  # of another detector, or unreadable, which the next line says
    with open_showers(showers) as file:
        return file.detector


def _elsewhere(recipe: Recipe, detector: Detector) -> dict[str, object]:
    """What a recipe must no longer say of itself."""
    what = "another " * (detector.name == recipe.made_for) + detector.name
    return {
        "name": f"{recipe.name} for {what}",
        "about": f"recipe {recipe.name}, made for the detector {recipe.made_for}, trained for {what}",
        "published": False,
        "made_for": None,
    }
