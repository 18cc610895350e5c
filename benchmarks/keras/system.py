"""A published GAN in Keras, and its adversarial step in the two ways that Keras has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tf_keras import Model, losses


@dataclass(frozen=True)
class System:
    """Networks, losses and what the networks are asked for.

    Attributes:
        name: The recipe of caloforge that is the same.
        generator: `[noise, energy] -> images`; energies are `(n, 1)` in units of 100 GeV.
        critic: `images -> readings`, or `[*images, energy] -> readings` if `critic_asks`.
        shapes: Of one shower's images.
        losses: Keras' names, one for each reading.
        weights: Of the losses.
        optimiser: Makes the optimiser of "generator" or "critic".
        energies: Range that is asked for.
        flips: Share of the critic's labels that are turned round.
        batch: Showers per step.
        critic_asks: Whether the critic knows what energy was asked for.
        real_targets: `(label, energy, images) -> targets` of the readings for real showers.
        fake_targets: `(label, energy) -> targets` for generated showers.
    """

    name: str
    generator: Model
    critic: Model
    shapes: tuple[tuple[int, ...], ...]
    losses: tuple[str, ...]
    weights: tuple[float, ...]
    optimiser: Callable[[str], Any]
    energies: tuple[float, float]
    flips: float
    batch: int
    critic_asks: bool
    real_targets: Callable[..., Sequence[tf.Tensor]]
    fake_targets: Callable[..., Sequence[tf.Tensor]]

    @property
    def latent(self) -> int:
        """Numbers of noise for one shower."""
        return int(self.generator.inputs[0].shape[1])

    def judged(self, images: Sequence[Any], energy: Any) -> list[Any]:
        """Inputs of the critic."""
        return [*images, energy] if self.critic_asks else [*images]

    def counts(self) -> dict[str, list[int]]:
        """Parameters of each network: all, and those that learn."""
        nets = {"generator": self.generator, "critic": self.critic}
        return {
            name: [net.count_params(), sum(int(np.prod(w.shape)) for w in net.trainable_weights)]
            for name, net in nets.items()
        }


class _Combined(Model):
    """Generator and critic in a row, of which only the generator learns.

    Keras 2 of the time took a critic that was not trainable; its norms went on with the statistics of the
    batch. Today's Keras would change them to running statistics, so the choice of what learns is made here.
    """

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        self.optimizer.minimize(loss, self.learning.trainable_variables, tape=tape)
        return {"loss": loss}


class PublishedStep:
    """One batch as the published scripts do it: `train_on_batch` four times and `predict` once."""

    def __init__(self, system: System) -> None:
        self.system = system
        compiled = {"loss": list(system.losses), "loss_weights": list(system.weights)}
        system.critic.compile(optimizer=system.optimiser("critic"), **compiled)
        inputs = system.generator.inputs
        images = system.generator(inputs)
        images = images if isinstance(images, list) else [images]
        self.combined = _Combined(inputs, system.critic(system.judged(images, inputs[1])))
        self.combined.learning = system.generator
        self.combined.compile(optimizer=system.optimiser("generator"), **compiled)
        self.rng = np.random.default_rng(1)

    def __call__(self, images: Sequence[np.ndarray], energy: np.ndarray) -> None:
        """Learn from one batch of real showers."""
        system, n = self.system, len(energy)
        targets = system.real_targets(self._labels(1.0, n), energy, images)
        system.critic.train_on_batch(system.judged(images, energy), list(targets))
        noise, asked = self._request(n)
        fakes = system.generator.predict([noise, asked], batch_size=n, verbose=0)
        fakes = fakes if isinstance(fakes, list) else [fakes]
        targets = system.fake_targets(self._labels(0.0, n), asked)
        system.critic.train_on_batch(system.judged(fakes, asked), list(targets))
        for _ in range(2):
            noise, asked = self._request(n)
            targets = system.fake_targets(np.ones((n, 1), np.float32), asked)
            self.combined.train_on_batch([noise, asked], list(targets))

    def _request(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        noise = self.rng.standard_normal((n, self.system.latent), dtype=np.float32)
        return noise, self.rng.uniform(*self.system.energies, (n, 1)).astype(np.float32)

    def _labels(self, label: float, n: int) -> np.ndarray:
        flipped = self.rng.random((n, 1)) < self.system.flips
        return np.where(flipped, 1 - label, label).astype(np.float32)


class GraphStep:
    """The same in one `tf.function`: what Keras can do at best.

    Args:
        system: What learns.
        xla: Compile the graph.
    """

    def __init__(self, system: System, xla: bool) -> None:
        self.system = system
        self.optimisers = {name: system.optimiser(name) for name in ("generator", "critic")}
        for name, optimiser in self.optimisers.items():
            optimiser.build(getattr(system, name).trainable_variables)
        self.losses = [losses.get(name) for name in system.losses]
        self.graph = tf.function(self._step, jit_compile=xla)

    def __call__(self, images: Sequence[np.ndarray], energy: np.ndarray) -> None:
        """Learn from one batch of real showers; returns when it is done."""
        self.graph([tf.constant(image) for image in images], tf.constant(energy)).numpy()

    def _step(self, images: Sequence[tf.Tensor], energy: tf.Tensor) -> tf.Tensor:
        system, n = self.system, energy.shape[0]
        targets = system.real_targets(self._labels(1.0, n), energy, images)
        self._critic(images, energy, targets)
        noise, asked = self._request(n)
        fakes = self._images(noise, asked, training=False)
        self._critic(fakes, asked, system.fake_targets(self._labels(0.0, n), asked))
        for _ in range(2):
            noise, asked = self._request(n)
            with tf.GradientTape() as tape:
                fakes = self._images(noise, asked, training=True)
                loss = self._loss(fakes, asked, system.fake_targets(tf.ones((n, 1)), asked))
            self._update("generator", tape, loss)
        return loss

    def _critic(self, images: Sequence[tf.Tensor], energy: tf.Tensor, targets: Sequence[tf.Tensor]) -> None:
        with tf.GradientTape() as tape:
            loss = self._loss(images, energy, targets)
        self._update("critic", tape, loss)

    def _images(self, noise: tf.Tensor, energy: tf.Tensor, training: bool) -> list[tf.Tensor]:
        images = self.system.generator([noise, energy], training=training)
        return images if isinstance(images, list) else [images]

    def _loss(
        self, images: Sequence[tf.Tensor], energy: tf.Tensor, targets: Sequence[tf.Tensor]
    ) -> tf.Tensor:
        readings = self.system.critic(self.system.judged(images, energy), training=True)
        parts = zip(self.system.weights, self.losses, targets, readings, strict=True)
        return tf.add_n([weight * tf.reduce_mean(loss(y, got)) for weight, loss, y, got in parts])

    def _update(self, name: str, tape: tf.GradientTape, loss: tf.Tensor) -> None:
        variables = getattr(self.system, name).trainable_variables
        self.optimisers[name].apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    def _request(self, n: int) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.random.normal((n, self.system.latent)), tf.random.uniform((n, 1), *self.system.energies)

    def _labels(self, label: float, n: int) -> tf.Tensor:
        flipped = tf.random.uniform((n, 1)) < self.system.flips
        return tf.where(flipped, 1 - label, label)
