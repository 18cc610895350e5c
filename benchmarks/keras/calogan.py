"""CaloGAN in Keras, written from its published description (arXiv:1705.02355, hep-lbdl/CaloGAN)."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from system import System
from tf_keras import Model, Sequential, layers
from tf_keras.optimizers import Adam

GRIDS = ((3, 96), (12, 12), (12, 6))
LATENT = 1024
RATES = {"generator": 2e-4, "critic": 2e-5}


def system(local: int = 1) -> System:
    """Return the networks, losses and optimisers.

    Args:
        local: How Keras computes locally connected layers: 1 (its default, and all there was at the time)
            goes through the positions, 2 multiplies with a dense matrix, 3 with a sparse one.
    """
    return System(
        name="calogan",
        generator=generator(local),
        critic=critic(local),
        shapes=tuple((*grid, 1) for grid in GRIDS),
        losses=("binary_crossentropy", "mae"),
        weights=(1.0, 0.05),
        optimiser=lambda name: Adam(RATES[name], beta_1=0.5),
        energies=(0.01, 1.0),
        flips=0.0,
        batch=256,
        critic_asks=True,
        real_targets=lambda label, energy, _: (label, 100 * energy),
        fake_targets=lambda label, energy: (label, 100 * energy),
    )


def generator(local: int) -> Model:
    """Map noise `(n, 1024)` and energy `(n, 1)` in units of 100 GeV to three images in GeV."""
    noise, energy = layers.Input((LATENT,)), layers.Input((1,))
    seed = layers.Multiply()([noise, energy])
    images = [_stream(f"streams.{i}", grid, local)(seed) for i, grid in enumerate(GRIDS)]
    down = layers.AveragePooling2D((1, 8))(layers.UpSampling2D((4, 1))(images[0]))
    images[1] = _in_painting("in_painting.0", images[1], down, local)
    down = layers.AveragePooling2D((1, 2))(images[1])
    images[2] = _in_painting("in_painting.1", images[2], down, local)
    return Model([noise, energy], [layers.ReLU(dtype="float32")(image) for image in images])


def _stream(name: str, grid: tuple[int, int], local: int) -> Sequential:
    rows, columns = grid[0] + 2, grid[1] + 2
    he, normal = {"kernel_initializer": "he_uniform"}, {"kernel_initializer": "glorot_normal"}
    own = {"implementation": local}
    return Sequential(
        [
            layers.Dense(rows * columns * 36, input_shape=(LATENT,), name=f"{name}.dense"),
            layers.Reshape((rows, columns, 36)),
            layers.Conv2D(16, 2, padding="same", name=f"{name}.shared", **he),
            layers.LeakyReLU(),
            layers.BatchNormalization(name=f"{name}.norm"),
            layers.LocallyConnected2D(6, 2, name=f"{name}.local", **he, **own),
            layers.LeakyReLU(),
            layers.LocallyConnected2D(1, 2, use_bias=False, name=f"{name}.out", **normal, **own),
        ]
    )


def _in_painting(name: str, primary: tf.Tensor, carry: tf.Tensor, local: int) -> tf.Tensor:
    """Blend two images by weights that depend on both."""
    both = layers.Concatenate()([primary, carry])
    padded = layers.ZeroPadding2D(1)(both)
    own = {"bias_initializer": _own_first, "implementation": local}
    shares = layers.Softmax()(layers.LocallyConnected2D(2, 3, name=f"{name}.local", **own)(padded))
    return layers.Lambda(lambda pair: tf.reduce_sum(pair[0] * pair[1], -1, keepdims=True))([both, shares])


def _own_first(shape: tuple[int, ...], dtype: tf.DType | None = None) -> tf.Tensor:
    """Biases that start the blend at the layer's own image."""
    return tf.broadcast_to(tf.constant([0.0, -10.0], dtype), shape)


class MinibatchFeatures(layers.Layer):
    """Closeness of each shower to its batch in ten learned spaces of ten dimensions."""

    def build(self, shape: Any) -> None:
        """Make the weights."""
        self.kernel = self.add_weight("kernel", (10, shape[-1], 10), initializer="glorot_uniform")
        self.bias = self.add_weight("bias", (10, 10), initializer="zeros")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Map `(n, d)` to `(n, 10)`."""
        places = tf.einsum("nd,fdk->nfk", x, self.kernel) + self.bias
        distance = tf.reduce_sum(tf.abs(places[:, None] - places[None]), -1)
        return tf.tanh(tf.reduce_sum(tf.exp(-distance), 1))


def critic(local: int) -> Model:
    """Map three images in GeV and the energy in units of 100 GeV to the probability of being real, and the
    total energy in GeV.
    """
    images = [layers.Input((*grid, 1)) for grid in GRIDS]
    asked = layers.Input((1,))
    features = []
    for i, image in enumerate(images):
        features += _image_features(f"layers.{i}", image, local)
    sums = [layers.Lambda(lambda x: tf.reduce_sum(x, (1, 2)), dtype="float32")(image) for image in images]
    energies = layers.Concatenate(dtype="float32")(sums)
    total = layers.Lambda(lambda x: tf.reduce_sum(x, 1, keepdims=True), dtype="float32")(energies)
    miss = layers.Lambda(lambda x: tf.abs(x[0] - 100 * x[1]), dtype="float32")([total, asked])
    features += [
        layers.Rescaling(0.1, dtype="float32")(energies),
        layers.Rescaling(0.01, dtype="float32")(total),
        miss,
        layers.Lambda(lambda x: 10 * tf.cast(x > 5, x.dtype), dtype="float32")(miss),
        MinibatchFeatures(dtype="float32", name="well.compare_energies")(energies),
    ]
    seen = layers.Concatenate(dtype="float32")(features)
    real = layers.Dense(1, activation="sigmoid", dtype="float32", name="decide")(seen)
    return Model([*images, asked], [real, total])


def _image_features(name: str, image: tf.Tensor, local: int) -> list[tf.Tensor]:
    x = layers.LeakyReLU()(layers.Conv2D(64, 2, padding="same", name=f"{name}.shared")(image))
    for i, (filters, kernel, stride) in enumerate(((16, 3, (1, 2)), (8, 2, (1, 1)), (8, 2, (1, 2)))):
        own = {"strides": stride, "implementation": local, "name": f"{name}.local.{i}"}
        x = layers.LeakyReLU()(layers.LocallyConnected2D(filters, kernel, **own)(layers.ZeroPadding2D(1)(x)))
        x = layers.BatchNormalization(name=f"{name}.norms.{i}")(x)
    flat = layers.Flatten()(x)
    count = layers.Lambda(lambda x: tf.reduce_mean(tf.cast(x > 0, tf.float32), (1, 2)), dtype="float32")
    occupied = count(image)
    compared = MinibatchFeatures(dtype="float32", name=f"{name}.compare_features")(flat)
    return [
        flat,
        compared,
        occupied,
        MinibatchFeatures(dtype="float32", name=f"{name}.compare_sparsity")(occupied),
    ]
