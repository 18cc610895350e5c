"""Weights that Keras wrote (HDF5), brought into our networks layer for layer; nothing is unpickled.

Keras numbers the layers of a process through (`conv3d_5`), so names say nothing: layers are matched by their
order. A network that is to be read has its layers in the order of the published one.
"""

from __future__ import annotations

__all__ = ["is_keras_weights", "read_keras_weights"]

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from caloforge.errors import RunError, ShowersError
from caloforge.hdf5 import Hdf5File, is_hdf5, open_hdf5

Arrays = dict[str, NDArray[np.float32]]
# Our names of what a layer of Keras holds.
_NAMES = {
    "kernel": "weight",
    "gamma": "weight",
    "bias": "bias",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_COUNTER = "num_batches_tracked"  # Keras has none; with a fixed momentum it is not used


def is_keras_weights(path: str | Path) -> bool:
    """Tell whether a file is one that Keras' `save_weights` or `save` wrote as HDF5."""
    if not is_hdf5(path):
        return False
    with _weights(path) as file:
        return file.texts("layer_names", _root(file)) is not None


@contextmanager
def _weights(path: str | Path) -> Iterator[Hdf5File]:
    try:
        with open_hdf5(path, apart=True) as file:
            yield file
    except ShowersError as error:  # no showers here
        again = RunError(f"the file of weights cannot be read: {error.problem}")
        again.details = error.details
        raise again from None


def read_keras_weights(path: str | Path, module: nn.Module) -> dict[str, Tensor]:
    """Return the state of a network with the weights of a Keras file, norm statistics included.

    Args:
        path: The HDF5 file.
        module: The network; its layers are compared with those of the file, and not changed.

    Returns:
        What `module.load_state_dict` takes.

    Raises:
        RunError: Not such a file, a damaged one, or the weights of another network.

    Example:
        >>> state = read_keras_weights("params_generator_epoch_029.hdf5", generator)
        >>> generator.load_state_dict(state)
        <All keys matched successfully>
    """
    if not is_keras_weights(path):
        raise RunError(
            "these are not weights that Keras wrote",
            where=path,
            got="no HDF5 file with `layer_names`" if Path(path).is_file() else "no such file",
            expected="an HDF5 file of Keras' `save_weights`",
        )
    with _weights(path) as file:
        _check_backend(file, path)
        theirs = _layers(file, path)
    state = dict(module.state_dict())
    for (name, arrays), (place, shapes) in zip_longest(theirs, _own(state), fillvalue=("no more layers", {})):
        if _shapes(arrays) != shapes:
            raise _another(path, module, (name, _shapes(arrays)), (place, shapes))
        state |= {f"{place}.{key}": torch.from_numpy(array) for key, array in arrays.items()}
    return state


def _root(file: Hdf5File) -> str:
    """The group of the layers: `save` puts them a level deeper than `save_weights`."""
    return "model_weights" if file.texts("layer_names", "model_weights") is not None else ""


def _check_backend(file: Hdf5File, path: str | Path) -> None:
    backend = file.attribute("backend", _root(file)) or "tensorflow"
    if backend != "tensorflow":
        # Theano turns kernels round, so that the numbers would fit and the showers be wrong.
        raise RunError(
            "these weights were written with another backend of Keras",
            where=path,
            got=backend,
            expected="tensorflow",
            cure="load them in Keras with TensorFlow and save them again",
        )


def _layers(file: Hdf5File, path: str | Path) -> list[tuple[str, Arrays]]:
    """Layers with weights in their order; a model within the model is one group with many layers."""
    root = _root(file)
    layers: dict[str, Arrays] = {}
    for group in file.texts("layer_names", root) or []:
        for weight in file.texts("weight_names", f"{root}/{group}") or []:
            name, _, what = weight.rpartition("/")
            key = what.partition(":")[0]
            if key not in _NAMES:
                raise RunError(
                    "the file of weights is damaged",
                    where=path,
                    got=weight,
                    expected="a kernel, a bias or a norm",
                )
            array = file.dataset(f"{root}/{group}/{weight}".lstrip("/"))[:].astype(np.float32)
            layers.setdefault(name, {})[_NAMES[key]] = _transposed(array) if key == "kernel" else array
    return list(layers.items())


def _transposed(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn `(*window, in, out)` into `(out, in, *window)`."""
    axes = kernel.ndim
    return np.ascontiguousarray(kernel.transpose(axes - 1, axes - 2, *range(axes - 2)))


def _own(state: dict[str, Tensor]) -> list[tuple[str, dict[str, tuple[int, ...]]]]:
    """Shapes of our own layers, by layer, in their order."""
    layers: dict[str, dict[str, tuple[int, ...]]] = {}
    for path, tensor in state.items():
        name, _, key = path.rpartition(".")
        if key != _COUNTER:
            layers.setdefault(name, {})[key] = tuple(tensor.shape)
    return list(layers.items())


def _shapes(arrays: Arrays) -> dict[str, tuple[int, ...]]:
    return {key: array.shape for key, array in arrays.items()}


def _another(path: str | Path, module: nn.Module, theirs: tuple[str, Any], ours: tuple[str, Any]) -> RunError:
    def told(layer: tuple[str, dict[str, tuple[int, ...]]]) -> str:
        sizes = ", ".join(f"{key} {' x '.join(map(str, shape))}" for key, shape in layer[1].items())
        return f"{layer[0]}: {sizes}" if sizes else layer[0]

    return RunError(
        f"these are not the weights of this {type(module).__name__}",
        where=path,
        got=told(theirs),
        expected=told(ours),
        cure="check generator or critic, the recipe's kind of model and latent, and the detector's grid",
    )
