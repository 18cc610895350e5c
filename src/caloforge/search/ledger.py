"""The data base of a study, which outlives whoever works on it."""

from __future__ import annotations

__all__ = ["BEAT", "GRACE", "Ledger", "is_lost", "optuna_as_it_is"]

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import optuna
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback, fail_stale_trials
from optuna.trial import TrialState

from caloforge.errors import SearchError

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

BEAT = 10
"""Seconds between two signs of life of a trial."""
GRACE = 45
"""Seconds without one after which a trial is taken over by another master."""
_PATIENCE = 120  # seconds that SQLite waits while another process writes
_FRESH = 1.0  # seconds
_SETTINGS = "caloforge"
_BEGUN = "begun"  # says that a trial has shown a sign of life, under which number


class Ledger:
    """A study of Optuna in a data base, with what Optuna leaves to whoever asks and tells by himself.

    Trials show signs of life. Those of a master that died are tried again by another one, in the same folder.

    Args:
        url: Of the data base: `sqlite:////home/me/study/study.db`, `postgresql://...`.
        name: Of the study.
        objectives: How many figures are made small.
        sampler: Asks.
        pruner: Ends trials.

    Raises:
        SearchError: The data base cannot be opened, or is none that lasts.
    """

    def __init__(
        self,
        url: str,
        name: str,
        objectives: int,
        sampler: optuna.samplers.BaseSampler,
        pruner: optuna.pruners.BasePruner,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._counted = -_FRESH - 1.0, 0  # when, and what
        with optuna_as_it_is():
            self._again = RetryHeartbeatStaleTrialCallback()
            self._storage = _open(url, self._again)
            self.study = optuna.create_study(
                study_name=name,
                storage=self._storage,
                sampler=sampler,
                pruner=pruner,
                directions=["minimize"] * objectives,
                load_if_exists=True,
            )

    def trials(self) -> list[FrozenTrial]:
        """Return all trials, not to be changed."""
        return self.study.get_trials(deepcopy=False)

    def count(self, fresh: bool = False) -> int:
        """Return how many trials are begun or finished; one that is tried again counts once.

        Those of other masters are counted a second late at most: reading the trials under way costs more the
        more there are.

        Args:
            fresh: Count them all now.
        """
        now = time.monotonic()
        if fresh or now - self._counted[0] > _FRESH:
            found = sum(t.state is not TrialState.WAITING and not is_lost(t) for t in self.trials())
            self._counted = now, found
        return self._counted[1]

    def ask(self) -> optuna.Trial:
        """Begin a trial; of those that wait, the first."""
        with optuna_as_it_is():
            trial = self.study.ask()
        self._counted = self._counted[0], self._counted[1] + 1
        self.beat(trial)
        trial.set_user_attr(_BEGUN, trial.number)
        return trial

    def beat(self, trial: optuna.Trial) -> None:
        """Show that a trial is alive."""
        self._storage.record_heartbeat(trial._trial_id)

    def first_number(self, trial: optuna.Trial) -> int:
        """Return the number under which a trial was tried first."""
        with optuna_as_it_is():
            frozen = self._storage.get_trial(trial._trial_id)
            history = RetryHeartbeatStaleTrialCallback.retry_history(frozen)
        return int(history[0]) if history else trial.number

    def take_over(self) -> None:
        """Have the trials of masters that died tried again."""
        with optuna_as_it_is():
            fail_stale_trials(self.study)
            # Optuna waits for ever for a trial whose master died before its first sign of life.
            before = datetime.now() - timedelta(seconds=GRACE)
            for trial in self.trials():
                silent = trial.user_attrs.get(_BEGUN) != trial.number
                began = trial.datetime_start
                if trial.state is TrialState.RUNNING and silent and began and began < before:
                    self._try_again(trial._trial_id)

    def give_back(self, trial: optuna.Trial) -> None:
        """Leave a trial to whoever goes on."""
        with optuna_as_it_is():
            self._try_again(trial._trial_id)

    def _try_again(self, number: int) -> None:
        try:
            if self._storage.set_trial_state_values(number, state=TrialState.FAIL):
                self._again(self.study, self._storage.get_trial(number))
        except UpdateFinishedTrialError:
            pass  # another master was faster

    def remember(self, settings: dict[str, Any]) -> None:
        """Write down what is searched; it is the same for all who work on it."""
        self.study.set_user_attr(_SETTINGS, settings)

    def remembered(self) -> dict[str, Any] | None:
        """Return what was written down."""
        found: dict[str, Any] | None = self.study.user_attrs.get(_SETTINGS)
        return found


def is_lost(trial: FrozenTrial) -> bool:
    """Whether a trial was interrupted, and is tried again under another number."""
    return trial.state is TrialState.FAIL and "failed" not in trial.user_attrs


@contextmanager
def optuna_as_it_is() -> Iterator[None]:
    """Without Optuna's warnings that what we use may change, and that signs of life are for `optimize`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.filterwarnings("ignore", "Heartbeat of storage")
        yield


def _open(url: str, again: RetryHeartbeatStaleTrialCallback) -> RDBStorage:
    if _in_memory(url):
        raise SearchError(
            "this data base is gone with the command",
            where="--storage",
            got=url,
            expected="the address of one that lasts: sqlite:////absolute/path.db",
        )
    arguments = {"connect_args": {"timeout": _PATIENCE}} if url.startswith("sqlite:") else {}
    try:
        return RDBStorage(
            url,
            engine_kwargs=arguments,
            heartbeat_interval=BEAT,
            grace_period=GRACE,
            heartbeat_stale_trial_callback=again,
        )
    except Exception as error:  # SQLAlchemy, drivers of data bases, Optuna's version check: all of them
        raise SearchError(
            "the data base of the study cannot be opened",
            where=_without_password(url),
            got=f"{type(error).__name__}: {str(error).splitlines()[0][:200]}",
            expected="sqlite:////absolute/path.db, or the address of a data base whose driver is installed",
        ) from None


def _in_memory(url: str) -> bool:
    """Whether it is an address of SQLite that names no file."""
    scheme, _, path = url.partition("://")
    name = path.partition("?")[0].removeprefix("/")
    return scheme.partition("+")[0] == "sqlite" and (not name or ":memory:" in name or "mode=memory" in path)


def _without_password(url: str) -> str:
    """The address without what may be secret: before the host, and what follows a question mark."""
    head, at, tail = url.partition("?")[0].rpartition("@")
    return f"{head.split('://')[0]}://...@{tail}" if at else tail
