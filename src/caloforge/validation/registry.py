"""Which studies there are, what numbers they give, what they need and what they cost."""

from __future__ import annotations

__all__ = ["ENTRIES", "Entry", "Options", "check_number", "options", "pick", "suited"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from caloforge.errors import ValidationError, nearest
from caloforge.validation.classifiers.recipes import QUICK, RECIPES, Recipe
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.studies import classifiers
from caloforge.validation.studies.bins import bins
from caloforge.validation.studies.cells import cells
from caloforge.validation.studies.correlations import correlations
from caloforge.validation.studies.distributions import distributions
from caloforge.validation.studies.diversity import diversity
from caloforge.validation.studies.energies import energies
from caloforge.validation.studies.fluctuations import fluctuations
from caloforge.validation.studies.frechet import frechet_distances
from caloforge.validation.studies.images import images
from caloforge.validation.studies.manifold import manifold
from caloforge.validation.studies.memory import memorisation
from caloforge.validation.studies.merit import figure_of_merit
from caloforge.validation.studies.power import power
from caloforge.validation.studies.regions import regions
from caloforge.validation.studies.response import response
from caloforge.validation.studies.scans import scans
from caloforge.validation.studies.triforce import triforce
from caloforge.validation.study import Study, Tell

Need = Literal["training", "model", "training or model"]


@dataclass(frozen=True)
class Options:
    """What a user may choose about classifiers.

    Attributes:
        recipe: Network and training: quick, or one that was published.
        trainings: How often each is trained.
    """

    recipe: Recipe = QUICK
    trainings: int = 5


def options(recipe: str, trainings: int) -> Options:
    """Find a classifier's recipe by name.

    Raises:
        ValidationError: No such recipe, or fewer than two trainings.
    """
    if recipe not in RECIPES:
        raise ValidationError(
            "there is no such recipe for classifiers",
            where="--recipe",
            got=recipe,
            expected=", ".join(RECIPES),
            near=nearest(recipe, RECIPES),
        )
    if trainings < 2:
        raise ValidationError(
            "one training has no spread", where="--trainings", got=trainings, expected="2 or more"
        )
    return Options(RECIPES[recipe], trainings)


@dataclass(frozen=True)
class Entry:
    """One study.

    Attributes:
        name: What `--metrics` calls it.
        numbers: What it gives; `--metrics` knows these names, too.
        run: The study.
        seconds: What it costs on one core for 20,000 showers of 500 cells and one candidate, for the bar.
        slow: Whether it runs only when asked for.
        light: Whether it needs no cells and can be sent to another process.
        apart: Whether it needs nothing on disk and takes long: it can be sent to a cluster.
        beams: Whether it is about a few fixed energies: without these it runs only when named.
        needs: What must be given besides the samples.
    """

    name: str
    numbers: tuple[str, ...]
    run: Callable[[Samples, Tell, Options], Study]
    seconds: float
    slow: bool = False
    light: bool = False
    apart: bool = False
    beams: bool = False
    needs: Need | None = None


def _plain(study: Callable[[Samples, Tell], Study]) -> Callable[[Samples, Tell, Options], Study]:
    return lambda samples, tell, _: study(samples, tell)


def _high(samples: Samples, tell: Tell, options: Options) -> Study:
    return classifiers.high_level(samples, tell, recipe=options.recipe, trainings=options.trainings)


def _trees(samples: Samples, tell: Tell, options: Options) -> Study:
    return classifiers.trees(samples, tell, trainings=options.trainings)


def _cells(samples: Samples, tell: Tell, options: Options) -> Study:
    return cells(samples, tell, trainings=options.trainings)


def _energies(samples: Samples, tell: Tell, options: Options) -> Study:
    return energies(samples, tell, recipe=options.recipe, trainings=options.trainings)


def _low(samples: Samples, tell: Tell, options: Options) -> Study:
    return classifiers.low_level(samples, tell, recipe=options.recipe, trainings=options.trainings)


def _normalised(samples: Samples, tell: Tell, options: Options) -> Study:
    return classifiers.normalised(samples, tell, recipe=options.recipe, trainings=options.trainings)


def _convolutional(samples: Samples, tell: Tell, options: Options) -> Study:
    return classifiers.convolutional(samples, tell, recipe=options.recipe, trainings=options.trainings)


def _triforce(samples: Samples, tell: Tell, _: Options) -> Study:
    return triforce(samples, tell)


_RECONSTRUCTED = ("bias", "resolution", "angle_bias", "angle_resolution", "accuracy", "particle_auc")

ENTRIES = (
    Entry(
        "distributions",
        ("separation", "beyond_floor", "profile_error", "profile_mse"),
        _plain(distributions),
        10,
    ),
    Entry("response", ("response", "response_worst", "resolution", "linearity"), _plain(response), 2),
    Entry("bins", ("separation_bins",), _plain(bins), 5),
    Entry(
        "correlations",
        (
            "correlation",
            "correlation_worst",
            "correlation_fractions",
            "correlation_fractions_worst",
            "correlation_observables",
            "correlation_observables_worst",
        ),
        _plain(correlations),
        1,
    ),
    Entry("images", ("ssim", "ssim_pairs"), _plain(images), 3),
    Entry(
        "fluctuations",
        (
            "cell_spread",
            "cell_spread_worst",
            "cell_mean",
            "cell_shape",
            "cell_hits",
            "neighbours_side",
            "neighbours_diagonal",
        ),
        _plain(fluctuations),
        3,
    ),
    Entry("merit", ("figure_of_merit", "merit_moments", "merit_profiles"), _plain(figure_of_merit), 1),
    Entry("high", ("auc_high", "jsd_high"), _high, 25, light=True, apart=True),
    Entry("trees", ("auc_trees", "jsd_trees"), _trees, 10, light=True, apart=True),
    Entry("cells", ("auc_cells", "jsd_cells", "slice_auc_worst"), _cells, 70, apart=True),
    Entry(
        "energies",
        ("energy_auc_high_worst", "energy_auc_cells_worst"),
        _energies,
        60,
        apart=True,
        beams=True,
    ),
    Entry("frechet", ("fpd", "kpd"), _plain(frechet_distances), 8),
    Entry("manifold", ("precision", "recall", "density", "coverage"), _plain(manifold), 10),
    Entry("diversity", ("spread", "spread_worst", "pair_ssim"), _plain(diversity), 2),
    Entry("power", ("equivalent_showers",), _plain(power), 5),
    Entry("low", ("auc_low", "jsd_low"), _low, 120, slow=True, apart=True),
    Entry("normalised", ("auc_normalised", "jsd_normalised"), _normalised, 120, slow=True, apart=True),
    Entry("cnn", ("auc_cnn", "jsd_cnn"), _convolutional, 300, slow=True, apart=True),
    Entry(
        "triforce",
        tuple(f"{kind}_{name}" for kind in ("regression", "transfer") for name in _RECONSTRUCTED),
        _triforce,
        100,
        slow=True,
        apart=True,
    ),
    Entry(
        "memory",
        ("memorised", "memory_distance", "training_copies"),
        _plain(memorisation),
        10,
        needs="training",
    ),
    Entry(
        "regions",
        ("trained_shift", "interpolation_shift", "extrapolation_shift"),
        _plain(regions),
        2,
        needs="training or model",
    ),
    Entry("scans", ("latent_jump",), _plain(scans), 5, needs="model"),
)
"""All studies, in the order of the report."""

_CURES = {
    "training": "give the training showers with --training",
    "model": "give the run or bundle with --model",
    "training or model": "give the training showers with --training, or the run or bundle with --model",
}


def pick(
    metrics: str | Sequence[str], required: Sequence[str], training: bool, model: bool
) -> tuple[Entry, ...]:
    """Choose studies.

    Args:
        metrics: `quick` (those that take a minute), `all`, or names of studies and numbers, also as one text
            with commas.
        required: Numbers that are needed besides; `separation.hits` is one of the distributions.
        training: Whether training showers were given.
        model: Whether a generator was given.

    Returns:
        Studies in the order of the registry.

    Raises:
        ValidationError: No such name, or one that needs what was not given.

    Example:
        >>> [entry.name for entry in pick("fpd,auc_trees", ["response"], False, False)]
        ['response', 'trees', 'frechet']
    """
    have = {"training": training, "model": model, "training or model": training or model}
    names = _names(metrics)
    wanted = {_giving(name).name for name in required}
    if not any(names):
        raise ValidationError(
            "no metric was asked for", where="--metrics", got=repr(metrics), expected="quick, all, or names"
        )
    for name in filter(None, names):
        if name in ("quick", "all"):
            wanted |= {
                e.name
                for e in ENTRIES
                if (name == "all" or not e.slow) and (e.needs is None or have[e.needs])
            }
        else:
            wanted.add(_named(name, "--metrics").name)
    chosen = tuple(entry for entry in ENTRIES if entry.name in wanted)
    for entry in chosen:
        if entry.needs is not None and not have[entry.needs]:
            raise ValidationError(
                f"{entry.name} needs more than the showers",
                got="--metrics or --require",
                cure=_CURES[entry.needs],
            )
    return chosen


def suited(
    entries: Sequence[Entry], metrics: str | Sequence[str], required: Sequence[str], beams: bool
) -> tuple[Entry, ...]:
    """Leave out studies of a few fixed energies where there are none, unless they were named.

    Args:
        entries: What was picked.
        metrics: As `pick` had them.
        required: As `pick` had them.
        beams: Whether the incident energies are a few fixed ones.
    """
    named = {*_names(metrics), *required}
    return tuple(e for e in entries if beams or not e.beams or named & {e.name, *e.numbers})


def _names(metrics: str | Sequence[str]) -> list[str]:
    return [name.strip() for name in metrics.split(",")] if isinstance(metrics, str) else list(metrics)


def check_number(name: str, where: str) -> None:
    """Raise unless a number of this name follows from showers alone.

    Numbers with a dot, as `separation.hits`, depend on the detector: `validate` says if there is none.

    Args:
        name: Of the number.
        where: The option that it was given with.

    Raises:
        ValidationError: No such number, or one that needs training showers or a generator.
    """
    numbers = [number for entry in ENTRIES if entry.needs is None for number in entry.numbers]
    if name not in numbers and "." not in name:
        raise ValidationError(
            f"there is no number {name} that showers alone give",
            where=where,
            got=name,
            expected=", ".join(numbers),
            near=nearest(name, numbers),
        )


def _giving(number: str) -> Entry:
    """Find the study that gives a number; its own name is none."""
    entry = _named(number, "--require")
    if "." not in number and number not in entry.numbers:
        raise ValidationError(
            f"{number} is a study, not a number",
            where="--require",
            got=number,
            expected=f"one of its numbers: {', '.join(entry.numbers)}",
        )
    return entry


def _named(name: str, where: str) -> Entry:
    """Find the study that is called so or gives this number."""
    known = {number: entry for entry in ENTRIES for number in (entry.name, *entry.numbers)}
    found = known.get(name, ENTRIES[0] if "." in name else None)
    if found is None:
        raise ValidationError(
            "there is no such metric",
            where=where,
            got=name,
            expected=("" if where == "--require" else "quick, all, or any of ") + ", ".join(known),
            near=nearest(name, known),
        )
    return found
