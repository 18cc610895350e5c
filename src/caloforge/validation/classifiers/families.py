"""What is trained on two samples: a network on high- or low-level inputs, a convolutional one, or trees."""

from __future__ import annotations

__all__ = ["Network", "Trees"]

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from caloforge.validation.classifiers.learning import Batches, Learner, predict
from caloforge.validation.classifiers.recipes import Schedule
from caloforge.validation.classifiers.separation import Trained

if TYPE_CHECKING:
    from torch import Tensor, nn

Rows = NDArray[np.int64]
_SHUFFLED = 600
"""Showers whose features are shuffled, one after the other, to find what a tree looks at."""


@dataclass(frozen=True)
class Network:
    """Trains a network on inputs whose first half is Geant4's.

    Attributes:
        inputs: Inputs of both samples.
        build: Makes the network for a number of inputs.
        schedule: How it is trained.
    """

    inputs: Batches
    build: Callable[[int], nn.Module]
    schedule: Schedule

    def __call__(
        self, seed: int, learn: Rows, select: Rows, test: Rows, tell: Callable[[float], None]
    ) -> Trained:
        """Train one network and apply it, see `separation.Train`."""
        merit = _accuracy if self.schedule.best == "accuracy" else _likelihood
        learner = Learner(lambda: self.build(self.inputs.width), _loss, merit, self.schedule, seed)
        truth = (np.arange(len(self.inputs)) < len(self.inputs) // 2).astype(np.float32)[:, None]
        network, history = learner.fit(self.inputs, truth, learn, select, tell)
        known, unknown = (_probability(predict(network, self.inputs, rows)) for rows in (select, test))
        return Trained(known, unknown, history)


@dataclass(frozen=True)
class Trees:
    """Trains boosted trees on features whose first half is Geant4's.

    Attributes:
        features: Of both samples, shape `(2 n, k)`.
        rounds: Trees, one after the other.
        learning_rate: How much of what is left each of them explains.
        leaf: Fewest showers in a leaf; None: one in 96 of those that train, but 20 to 100.
        together: Features whose worth is that of one, several columns each; None: each for itself.
        hold: Whether the showers that calibrate are held back; if not, they are learned from as well.
    """

    features: NDArray[np.float32] | NDArray[np.uint8]
    rounds: int = 40
    learning_rate: float = 0.2
    leaf: int | None = 20
    together: tuple[Rows, ...] | None = None
    hold: bool = True

    def __call__(
        self, seed: int, learn: Rows, select: Rows, test: Rows, tell: Callable[[float], None]
    ) -> Trained:
        """Grow the trees and apply them, see `separation.Train`."""
        truth = np.arange(len(self.features)) < len(self.features) // 2
        learn = learn if self.hold else np.concatenate([learn, select])
        model = HistGradientBoostingClassifier(
            max_iter=self.rounds,
            learning_rate=self.learning_rate,
            max_leaf_nodes=15,
            min_samples_leaf=_leaf(len(learn)) if self.leaf is None else self.leaf,
            max_bins=64,
            early_stopping=False,
            random_state=seed,
        )
        with threadpool_limits(1, user_api="openmp"):  # of this thread only
            model.fit(self.features[learn], truth[learn])
            tell(0.5)
            known, unknown = (model.predict_proba(self.features[rows])[:, 1] for rows in (select, test))
        tell(1.0)
        some = test[:: max(1, len(test) // _SHUFFLED)]
        return Trained(
            known if self.hold else None, unknown, None, lambda: self._lost(model, truth, some, seed)
        )

    def _lost(
        self, model: HistGradientBoostingClassifier, truth: NDArray[np.bool_], rows: Rows, seed: int
    ) -> NDArray[np.float64]:
        """AUC that is lost when the values of one feature, or of some, are dealt anew among the showers."""
        rng = np.random.default_rng(seed)
        features = self.features[rows]
        groups = np.arange(features.shape[1])[:, None] if self.together is None else self.together
        lost = np.zeros(len(groups))
        with threadpool_limits(1, user_api="openmp"):
            full = _auc(truth[rows], model.decision_function(features))
            for i, columns in enumerate(groups):
                kept = features[:, columns]
                features[:, columns] = rng.permutation(kept)
                lost[i] = full - _auc(truth[rows], model.decision_function(features))
                features[:, columns] = kept
        return lost


def _leaf(learning: int) -> int:
    """Fewest showers in a leaf for so many that train: about a hundredth finds most (measured)."""
    return int(np.clip(learning // 96, 20, 100))


def _auc(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """Area under the ROC curve from ranks: a tenth of the time that scikit-learn's checks take."""
    ones, zeros = int(truth.sum()), int((~truth).sum())
    return float((rankdata(scores)[truth].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def _loss(outputs: Tensor, targets: Tensor) -> Tensor:
    from torch.nn.functional import binary_cross_entropy_with_logits

    return binary_cross_entropy_with_logits(outputs, targets)


def _likelihood(outputs: Tensor, targets: Tensor) -> float:
    return -float(_loss(outputs, targets))


def _accuracy(outputs: Tensor, targets: Tensor) -> float:
    return float(((outputs > 0) == (targets > 0.5)).double().mean())


def _probability(outputs: Tensor) -> NDArray[np.float64]:
    return np.asarray(outputs[:, 0].double().sigmoid().numpy(), np.float64)
