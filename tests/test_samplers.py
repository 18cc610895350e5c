"""Samplers: what they promise by name, and their parts against values computed by hand."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from caloforge.errors import SearchError
from caloforge.search.samplers import SAMPLERS, make_sampler, wants_flat
from caloforge.search.samplers.controller import better_than, log_gradient, softmax
from caloforge.search.samplers.genetic import Generations, breed, crossed, mutated, share
from caloforge.search.samplers.glimpse import Glimpse, everything, thinned
from caloforge.search.samplers.history import History
from caloforge.search.samplers.ranking import fronts, standing
from caloforge.search.samplers.relaxed import Relaxed
from caloforge.search.samplers.replay import Replay
from caloforge.search.samplers.units import at_unit, distributions_of, unit_of
from caloforge.search.space import Parameter, Space

Figures = Callable[[dict[str, Any]], float]

MIXED = Space(
    (
        Parameter("kind", "choice", choices=("a", [1, 2], {"deep": 3})),
        Parameter("rate", "float", 1e-5, 1e-1, log=True),
        Parameter("width", "int", 64, 512, step=64),
        Parameter("latent", "int", 8, 128, log=True, when={"kind": ("a",)}),
        Parameter("share", "float", 0, 1, step=0.25, when={"kind": ([1, 2], {"deep": 3})}),
        Parameter("fixed", "int", 7, 7),
    )
)
BOWL = Space(
    (
        *(Parameter(name, "float", -1, 1) for name in "xyz"),
        Parameter("rate", "float", 1e-5, 1e-1, log=True),
    )
)
BRANCHES = Space(
    (
        Parameter("kind", "choice", choices=("a", "b", "c")),
        Parameter("x", "float", -1, 1),
        Parameter("u", "float", -1, 1, when={"kind": ("a",)}),
        Parameter("v", "float", -1, 1, when={"kind": ("b", "c")}),
        Parameter("w", "float", -1, 1, when={"kind": ("b",)}),
    )
)
LEARNING = [name for name in SAMPLERS if name != "random"]
# A Gaussian process takes a fraction of a second for each trial: elsewhere it is tried in quick tests, too.
PATIENT = [pytest.param(name, marks=pytest.mark.slow) if name == "gp" else name for name in SAMPLERS]
SINGLE = ("cmaes", "genetic", "controller")


@pytest.fixture(autouse=True)
def _quiet():
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def bowl(values: dict[str, Any]) -> float:
    distance = [values["x"] - 0.3, values["y"] + 0.4, values["z"] - 0.7, math.log10(values["rate"]) / 2 + 1.1]
    return sum(one * one for one in distance)


def branches(values: dict[str, Any]) -> float:
    """The second branch is the best, the third is nearly as good everywhere."""
    near = (values["x"] - 0.3) ** 2
    if values["kind"] == "a":
        return near + 0.5 + (values["u"] - 0.5) ** 2
    if values["kind"] == "b":
        return near + (values["v"] + 0.5) ** 2 + (values["w"] - 0.6) ** 2
    return near + 0.4 + (values["v"] - 0.2) ** 2


def mixed(values: dict[str, Any]) -> float:
    return abs(math.log10(values["rate"]) + 3) + values["width"] / 512


def study_of(name: str, space: Space, seed: int = 1, storage: Any = None, objectives: int = 1) -> Any:
    return optuna.create_study(
        study_name="one",
        storage=storage,
        load_if_exists=True,
        directions=["minimize"] * objectives,
        sampler=make_sampler(name, seed, objectives, space),
    )


def search(study: Any, name: str, space: Space, figures: Callable[..., Any], trials: int) -> list[Any]:
    """Values that count of each trial."""
    drawn = []
    for _ in range(trials):
        trial = study.ask()
        drawn.append(space.suggest(trial, flat=wants_flat(name, space)))
        study.tell(trial, figures(drawn[-1]))
    return drawn


def trial_of(values: float | Sequence[float] | None, number: int = 0, **more: Any) -> Any:
    state = more.pop("state", TrialState.COMPLETE)
    values = [values] if isinstance(values, float | int) else values
    trial = optuna.trial.create_trial(state=state, values=values, **more)
    trial.number = number
    return trial


# What every sampler promises


@pytest.mark.parametrize("name", PATIENT)
def test_same_seed_same_points_and_all_within_bounds(name):
    first, second, other = (search(study_of(name, MIXED, seed), name, MIXED, mixed, 12) for seed in (1, 1, 2))
    assert first == second != other
    for values in first:
        assert 1e-5 <= values["rate"] <= 1e-1
        assert values["fixed"] == 7
        assert values["width"] in range(64, 513, 64)
        assert type(values["width"]) is int
        assert ("latent" in values) == (values["kind"] == "a") != ("share" in values)
        assert values.get("share", 0) in (0, 0.25, 0.5, 0.75, 1)
        assert 8 <= values.get("latent", 8) <= 128


@pytest.mark.parametrize("name", PATIENT)
def test_two_processes_on_one_study_draw_different_points(name, tmp_path):
    file = f"sqlite:///{tmp_path / 'study.db'}"
    storage = file if name == "tpe" else optuna.storages.InMemoryStorage()
    masters = [study_of(name, MIXED, 1, storage) for _ in range(2)]
    drawn = [search(masters[i % 2], name, MIXED, mixed, 1)[0] for i in range(14)]
    assert all(one != other for i, one in enumerate(drawn) for other in drawn[:i])


@pytest.mark.parametrize("name", SAMPLERS)
def test_resumed_study_goes_on_as_it_would_have(name):
    whole = search(study_of(name, MIXED), name, MIXED, mixed, 13)
    storage = optuna.storages.InMemoryStorage()
    begun = search(study_of(name, MIXED, 1, storage), name, MIXED, mixed, 9)
    resumed = search(study_of(name, MIXED, 1, storage), name, MIXED, mixed, 4)
    assert begun + resumed == whole


@pytest.mark.parametrize("name", SAMPLERS)
def test_survives_diverged_failed_pruned_running_and_enqueued_trials(name):
    study = study_of(name, MIXED)
    study.enqueue_trial({"kind": "a", "rate": 1e-3, "width": 64, "latent": 8})
    states = []
    for i in range(21 if name == "gp" else 26):
        trial = study.ask()
        values = MIXED.suggest(trial, flat=wants_flat(name, MIXED))
        if i % 5 == 1:
            study.tell(trial, math.inf)
        elif i % 5 == 2:
            study.tell(trial, state=TrialState.FAIL)
        elif i % 5 == 3:
            trial.report(mixed(values), 1)
            study.tell(trial, state=TrialState.PRUNED)
        elif i % 5 == 4:
            trial.set_constraint("ms<1", values["width"] / 256 - 1)
            study.tell(trial, mixed(values))
        elif i:
            continue  # goes on running
        else:
            study.tell(trial, mixed(values))
        states.append(trial)
    assert study.trials[0].params["rate"] == 1e-3
    assert all(math.isfinite(t.params["rate"]) for t in study.trials)


@pytest.mark.parametrize("name", SAMPLERS)
def test_all_diverged(name):
    search(study_of(name, BOWL), name, BOWL, lambda _: math.inf, 12)


@pytest.mark.parametrize("name", PATIENT)
def test_no_point_is_tried_twice_before_all_were(name):
    grid = Space(
        (
            Parameter("a", "int", 1, 4),
            Parameter("b", "choice", choices=("p", "q")),
            Parameter("c", "int", 1, 3, when={"b": ("q",)}),
        )
    )
    drawn = search(study_of(name, grid), name, grid, lambda v: v["a"] + v.get("c", 0), 17)
    assert len({tuple(values.items()) for values in drawn[:16]}) == 16  # 4 with p, 12 with q


@pytest.mark.parametrize("name", [name for name in PATIENT if name not in SINGLE])
def test_several_objectives(name):
    study = study_of(name, BOWL, objectives=2)
    search(study, name, BOWL, lambda v: (bowl(v), math.inf if v["x"] > 0.9 else abs(v["x"])), 14)
    assert study.best_trials


@pytest.mark.parametrize("name", SINGLE)
def test_one_objective_only(name):
    with pytest.raises(SearchError, match="makes one figure small") as error:
        make_sampler(name, 1, 2, BOWL)
    assert "random, tpe, gp, nsga2" in str(error.value)


def test_unknown_sampler():
    with pytest.raises(SearchError, match="no such sampler") as error:
        make_sampler("cma-es", 1, 1, BOWL)
    assert error.value.details["did you mean"] == "cmaes"


# That they learn


@pytest.mark.parametrize(("space", "figures"), [(BOWL, bowl), (BRANCHES, branches)])
@pytest.mark.parametrize("name", [name for name in LEARNING if name != "gp"])
def test_finds_better_ones_than_chance(name, space, figures):
    def late(name: str, seed: int) -> float:
        trials = 70 if name == "tpe" else 120
        found = search(study_of(name, space, seed), name, space, figures, trials)
        return median(figures(values) for values in found[-30:])

    assert median(late(name, s) for s in range(3)) < 0.6 * median(late("random", s) for s in range(3))


@pytest.mark.slow
@pytest.mark.parametrize(("space", "figures"), [(BOWL, bowl), (BRANCHES, branches)])
def test_gaussian_process_finds_better_ones_than_chance(space, figures):
    found = search(study_of("gp", space), "gp", space, figures, 30)
    chance = search(study_of("random", space), "random", space, figures, 30)
    assert median(map(figures, found[-10:])) < 0.5 * median(map(figures, chance))


@pytest.mark.parametrize("name", [name for name in LEARNING if name != "gp"])
def test_keeps_constraints(name):
    """The figure falls where the constraint is broken."""
    study, kept = study_of(name, BOWL), []
    for _ in range(150):
        trial = study.ask()
        values = BOWL.suggest(trial)
        trial.set_constraint("x<0", values["x"])
        kept.append(values["x"] <= 0)
        study.tell(trial, -values["x"])
    assert sum(kept[-50:]) > 20  # none, were the constraint not seen: the figure is best at x = 1


@pytest.mark.parametrize("name", SAMPLERS)
def test_groups_at_once_are_not_given_one_point(name):
    study = study_of(name, MIXED)
    search(study, name, MIXED, mixed, 10)
    asked = [study.ask() for _ in range(3)]
    drawn = [MIXED.suggest(trial, flat=True) for trial in asked]
    assert all(one != other for i, one in enumerate(drawn) for other in drawn[:i])


# Parts


@pytest.mark.parametrize(
    "kind",
    [
        FloatDistribution(-2, 3),
        FloatDistribution(1e-4, 1e2, log=True),
        FloatDistribution(0, 1, step=0.25),
        IntDistribution(3, 11, step=4),
        IntDistribution(8, 128, log=True),
        CategoricalDistribution(("a", None, 2.5)),
    ],
)
def test_units_are_even_and_turn_back(kind):
    drawn = [at_unit(kind, (i + 0.5) / 3000) for i in range(3000)]
    assert all(kind._contains(kind.to_internal_repr(value)) for value in drawn)
    for value in drawn[::117]:
        assert at_unit(kind, unit_of(kind, value)) == pytest.approx(value)
    if kind == IntDistribution(3, 11, step=4) or isinstance(kind, CategoricalDistribution):
        assert sorted(drawn.count(value) for value in set(drawn)) == [1000] * 3
    if kind == FloatDistribution(1e-4, 1e2, log=True):
        assert median(drawn) == pytest.approx(0.1, rel=0.01)


def test_distributions_are_those_that_are_drawn():
    trial = optuna.create_study().ask()
    MIXED.suggest(trial, flat=True)
    assert trial.distributions == distributions_of(MIXED)


def test_standing():
    pruned = {"state": TrialState.PRUNED, "intermediate_values": {1: 9.0, 3: 0.1}}
    ordered = [
        trial_of(-1.0),
        trial_of(2.0, constraints={"a": -1.0, "b": 0.0}),
        trial_of(None, **pruned),
        trial_of(None, state=TrialState.PRUNED, intermediate_values={2: 0.0}),
        trial_of(0.0, constraints={"a": 0.5, "b": -9.0}),
        trial_of(-9.0, constraints={"a": 0.5, "b": 0.1}),
        trial_of(math.inf),
    ]
    standings = [standing(trial) for trial in ordered]
    assert all(one < other for one, other in pairwise(standings))


def test_fronts_against_counting_by_hand():
    values = np.random.default_rng(1).integers(0, 12, (60, 3)).astype(float)
    left, wanted = set(range(60)), []
    while len(wanted) < 30:
        first = {
            i
            for i in left
            if not any((values[j] <= values[i]).all() and (values[j] < values[i]).any() for j in left)
        }
        wanted.append(first)
        left -= first
        if sum(map(len, wanted)) >= 30:
            break
    found = fronts(values, 30)
    assert set(found) == set().union(*wanted)
    assert len(found) == len(set(found))
    assert set(found[: len(wanted[0])]) == wanted[0]


def test_thinned_keeps_the_best_and_few_others():
    history, dice = History(), np.random.default_rng(1)
    values = dice.random(900).tolist()
    history.update([trial_of(value, number) for number, value in enumerate(values)])
    shown = thinned()(history)
    best = sorted(range(900), key=values.__getitem__)[:25]
    assert len(shown) <= 125
    assert set(best) <= {trial.number for trial in shown}
    assert [t.number for t in shown] == sorted(t.number for t in shown)


def test_glimpse_is_what_optunas_samplers_see():
    study = study_of("random", BOWL)
    search(study, "random", BOWL, bowl, 20)
    for sampler in (
        optuna.samplers.TPESampler(seed=1),
        optuna.samplers.CmaEsSampler(seed=1, n_startup_trials=15),
        optuna.samplers.GPSampler(seed=1),
    ):
        seen = Glimpse(study, study.get_trials(deepcopy=False)[:5])
        space = sampler.infer_relative_search_space(seen, study.trials[-1])
        assert sampler.sample_relative(seen, study.trials[-1], space) == {}, "too few to learn"


def test_relaxed_trials_turn_back():
    study = study_of("random", MIXED)
    search(study, "tpe", MIXED, mixed, 6)
    relaxed = Relaxed(distributions_of(MIXED))
    for trial, turned in zip(study.trials, relaxed.trials(study.trials), strict=True):
        assert all(0 <= turned.params[name] <= 1 for name in ("rate", "width", "latent", "share"))
        assert relaxed.values(turned.params) == pytest.approx(trial.params)
        assert turned.params["kind"] == trial.params["kind"]
        assert turned.value == trial.value


@pytest.mark.parametrize(
    "parameter", [Parameter("x", "int", 0, 2**63 - 1), Parameter("x", "float", 0, 1e18, step=1)]
)
def test_the_gaussian_process_lists_no_billions_of_values(parameter):
    """Optuna's makes an array of all values that a number in steps has."""
    space = Space((parameter,))
    study = study_of("gp", space)
    for i in range(11):  # it learns from the tenth on
        value = space.suggest(study.ask())["x"]
        assert parameter.may_be(value)
        study.tell(i, value / parameter.high)


# The genetic algorithm


def test_crossover_and_mutation_by_hand():
    best, worst = np.array([0.5, 0.2, 0.9]), np.array([0.1, 0.4, 0.1])
    assert crossed(best, worst, np.array([0.5, 0.5, 0.5])) == pytest.approx([0.7, 0.1, 1.0])
    assert share(np.array([0.25]), 0) == pytest.approx([0.75])
    assert share(np.array([0.25]), 0.5) == pytest.approx([1 - 0.25**0.125])
    dice = np.random.default_rng(3)
    bounds, r = dice.integers(2, size=3), dice.random(3)
    wanted = [g + (1 - ri ** (0.25**3)) * (b - g) for g, ri, b in zip(best, r, bounds, strict=True)]
    assert mutated(best, 0.75, np.random.default_rng(3)) == pytest.approx(wanted)


def test_children_take_after_the_fitter_parent():
    kinds = [FloatDistribution(0, 1), CategoricalDistribution(tuple("abcdefgh"))]
    parents = [((0.0, 1.0, 0.0), np.array([0.4, 0.0625])), ((0.0, 2.0, 0.0), np.array([0.2, 0.9375]))]
    parents.append(parents[1])
    dice = np.random.default_rng(1)
    children = np.array([breed(parents, kinds, 0.999, dice) for _ in range(400)])
    assert children[:, 0].min() == pytest.approx(0.2, abs=0.02)
    assert children[:, 0].max() == pytest.approx(
        0.6, abs=0.02
    )  # as far beyond the best as the other is short
    named = [CategoricalDistribution(tuple("abcdefgh")).choices[int(g * 8)] for g in children[:, 1]]
    # Both tournaments are won by the best with 2/3: 4/9 + 4/9 / 2.
    assert set(named) == {"a", "h"}
    assert named.count("a") / 400 == pytest.approx(6 / 9, abs=0.1)


def test_generations_keep_the_best_fifth_and_nobody_waits():
    now, dice = Generations(10), np.random.default_rng(1)
    told = [float(value) for value in dice.random(27)]
    for i, value in enumerate(told):
        assert now.number == (0 if i < 10 else 1 + (i - 10) // 8), "one told is one born"
        now = now.joined(((0.0, value, 0.0), np.zeros(1)))
    first = sorted(told[:10])
    second = sorted(first[:2] + told[10:18])
    assert sorted(s[1] for s, _ in now.parents) == sorted(second[:2] + told[18:26])
    assert [s[1] for s, _ in now.born] == told[26:]


def test_replay_goes_back_for_a_trial_that_turns_up_late():
    def at(second: int, number: int) -> Any:
        trial = trial_of(0.0, number)
        trial.datetime_complete = datetime.datetime(2026, 1, 1, 0, 0, second)
        return trial

    waiting = trial_of(None, 2, state=TrialState.RUNNING)
    history, replay = History(), Replay((), lambda state, trial: (*state, trial.number))
    history.update([at(1, 0), at(5, 1), waiting])
    assert replay.after(history) == (0, 1)
    history.update([at(1, 0), at(5, 1), at(3, 2), at(9, 3)])
    assert replay.after(history) == replay.after(history) == (0, 2, 1, 3)


def test_history_sees_each_trial_once():
    running = trial_of(None, 1, state=TrialState.RUNNING)
    failed = trial_of(None, 2, state=TrialState.FAIL)
    history = History()
    history.update([trial_of(1.0, 0), running, failed])
    assert [t.number for t in history.new] == [0]
    assert history.running == [running]
    history.update([trial_of(1.0, 0), trial_of(2.0, 1), failed, trial_of(3.0, 3)])
    assert [t.number for t in history.new] == [1, 3]
    assert not history.running
    assert [t.number for t in history.told] == [0, 1, 3]
    assert len(everything(history)) == 4


# The controller


def test_policy_gradient_against_finite_differences():
    parts, actions = [slice(0, 3), slice(3, 5), slice(5, 9)], [2, 0, 1]
    weights = np.random.default_rng(1).normal(size=(10, 9))

    def log_probability(weights: Any) -> float:
        rows, total = [0], 0.0
        for part, action in zip(parts, actions, strict=True):
            logits = weights[rows, part].sum(0)
            total += logits[action] - math.log(np.exp(logits).sum())
            rows.append(1 + part.start + action)
        return total

    wanted = np.zeros_like(weights)
    for place in np.ndindex(*weights.shape):
        up, down = weights.copy(), weights.copy()
        up[place] += 1e-5
        down[place] -= 1e-5
        wanted[place] = (log_probability(up) - log_probability(down)) / 2e-5
    assert log_gradient(weights, parts, actions) == pytest.approx(wanted, abs=1e-8)
    assert wanted.any()


def test_rewards_are_shares_and_probabilities_sum_to_one():
    others = [(0.0, value, 0.0) for value in (1.0, 2.0, 2.0, 3.0)] + [(3.0, math.inf, math.inf)]
    assert better_than((0.0, 2.0, 0.0), others) == pytest.approx((2 + 0.5 * 2) / 5)
    assert better_than(others[-1], others[:-1]) == 0
    assert softmax(np.array([0.0, math.log(3), 1000.0])) == pytest.approx([0, 0, 1])
    assert softmax(np.array([0.0, math.log(3)])) == pytest.approx([0.25, 0.75])
