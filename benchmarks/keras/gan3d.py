"""3DGAN for orthogonal incidence in Keras, written from its published description (svalleco/3Dgan)."""

from __future__ import annotations

import tensorflow as tf
from system import System
from tf_keras import Model, Sequential, layers
from tf_keras.optimizers import RMSprop

SCALE = 100.0
"""What cells in GeV are multiplied with."""
FIT = (0.0018, -0.023, 0.11, -0.28, 2.21)
"""Energy in all cells over incident energy, a polynomial in the incident energy in units of 100 GeV."""


def system() -> System:
    """Return the networks, losses and optimisers."""
    return System(
        name="gan3d",
        generator=generator(),
        critic=critic(),
        shapes=((25, 25, 25, 1),),
        losses=("binary_crossentropy", "mape", "mape"),
        weights=(2.0, 0.1, 0.1),
        optimiser=lambda _: RMSprop(0.001, rho=0.9),
        energies=(0.1, 5.0),
        flips=0.05,
        batch=128,
        critic_asks=False,
        real_targets=lambda label, energy, images: (label, energy, tf.reduce_sum(images[0], (1, 2, 3))),
        fake_targets=lambda label, energy: (
            label,
            energy,
            SCALE * energy * tf.math.polyval(list(FIT), energy),
        ),
    )


def generator(latent: int = 200) -> Model:
    """Map noise `(n, latent)` and energy `(n, 1)` in units of 100 GeV to images `(n, 25, 25, 25, 1)`."""
    body = Sequential(
        [
            layers.Dense(7 * 7 * 8 * 8, input_shape=(latent,), name="dense"),
            layers.Reshape((7, 7, 8, 8)),
            layers.Conv3D(64, (6, 6, 8), padding="same", kernel_initializer="he_uniform", name="conv1"),
            layers.LeakyReLU(),
            layers.BatchNormalization(name="norm1"),
            layers.UpSampling3D((2, 2, 2)),
            layers.ZeroPadding3D((2, 2, 0)),
            layers.Conv3D(6, (6, 5, 8), kernel_initializer="he_uniform", name="conv2"),
            layers.LeakyReLU(),
            layers.BatchNormalization(name="norm2"),
            layers.UpSampling3D((2, 2, 3)),
            layers.ZeroPadding3D((1, 0, 3)),
            layers.Conv3D(6, (3, 3, 8), kernel_initializer="he_uniform", name="conv3"),
            layers.LeakyReLU(),
            layers.Conv3D(1, (2, 2, 2), use_bias=False, kernel_initializer="glorot_normal", name="conv4"),
            layers.ReLU(dtype="float32"),
        ]
    )
    noise, energy = layers.Input((latent,)), layers.Input((1,))
    return Model([noise, energy], [body(layers.Multiply()([noise, energy]))])


def critic() -> Model:
    """Map images to the probability of being real, energy in units of 100 GeV, and sum of the cells."""
    image = layers.Input((25, 25, 25, 1))
    x = layers.Conv3D(32, 5, padding="same", name="conv1")(image)
    x = layers.Dropout(0.2)(layers.LeakyReLU()(x))
    for i, padding in enumerate((2, 2, 1), start=2):
        x = layers.Conv3D(8, 5, name=f"conv{i}")(layers.ZeroPadding3D(padding)(x))
        x = layers.Dropout(0.2)(layers.BatchNormalization(name=f"norm{i}")(layers.LeakyReLU()(x)))
    flat = layers.Flatten()(layers.AveragePooling3D()(x))
    real = layers.Dense(1, activation="sigmoid", dtype="float32", name="decide")(flat)
    energy = layers.Dense(1, dtype="float32", name="measure")(flat)
    total = layers.Lambda(lambda cells: tf.reduce_sum(cells, (1, 2, 3)), dtype="float32")(image)
    return Model(image, [real, energy, total])
