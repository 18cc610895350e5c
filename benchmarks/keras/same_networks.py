"""Show that caloforge and Keras have the same networks: equal weights give equal showers and readings.

    python benchmarks/keras/same_networks.py calogan --keras keras-environment/bin/python
    python benchmarks/keras/same_networks.py gan3d --keras keras-environment/bin/python \
        --weights params_generator_epoch_029.hdf5

Keras makes showers from weights of its own, drawn at random (norm statistics too) or read from a file, and
lets its critic judge them. The same weights then stand in caloforge's networks, which get the same noise.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from caloforge.detector import load_detector
from caloforge.models import build_critic, build_generator
from caloforge.models.base import GEV
from caloforge.models.published.keras import read_keras_weights
from caloforge.training import load_recipe

_HERE = Path(__file__).parent
_NAMES = {
    "kernel": "weight",
    "gamma": "weight",
    "bias": "bias",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def main() -> None:
    """Compare and print the largest differences."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", choices=["gan3d", "calogan"])
    parser.add_argument("--keras", default=sys.executable, help="Python of the environment that has Keras.")
    parser.add_argument("--weights", type=Path, help="Generator's weights as Keras saved them.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "keras.npz"
        command = [options.keras, _HERE / "keras_worker.py", options.recipe, "--dump", file]
        if options.weights:
            command += ["--weights", options.weights]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        with np.load(file) as archive:
            keras = dict(archive)
    compare(options.recipe, keras, options.weights)


def compare(recipe_name: str, keras: Mapping[str, np.ndarray], weights: Path | None) -> None:
    """Make the same showers and print how far they are from those of Keras."""
    recipe = load_recipe(recipe_name)
    detector = load_detector(recipe.usual_detector)
    generator, critic = build_generator(recipe.model, detector), build_critic(recipe.model, detector)
    if weights:
        generator.load_state_dict(read_keras_weights(weights, generator))
    else:
        generator.load_state_dict(_state(generator, keras, "generator"))
    critic.load_state_dict(_state(critic, keras, "critic"))
    incident = torch.from_numpy(keras["energy"]) * 100 * GEV
    with torch.inference_mode():
        cells = generator.eval()(torch.from_numpy(keras["noise"]), incident)
        theirs = _cells(keras, getattr(recipe.model, "scale", 1.0))
        readings = critic.eval()(theirs, incident)
    real = torch.from_numpy(keras["reading_0"]).squeeze(1)
    _tell("cells of the showers, MeV", cells, theirs)
    _tell("energy in all cells, MeV", cells.sum(1), theirs.sum(1))
    _tell("probability of being real", readings["logit"].sigmoid(), real)
    if "auxiliary" in readings:
        _tell(
            "estimated energy, 100 GeV",
            readings["auxiliary"],
            torch.from_numpy(keras["reading_1"]).squeeze(1),
        )


def _state(module: nn.Module, keras: Mapping[str, np.ndarray], network: str) -> dict[str, Tensor]:
    """Weights by our names; layers of Keras are named as ours."""
    state = module.state_dict()
    left = {name for name in state if not name.endswith("num_batches_tracked")}
    for key, array in keras.items():
        net, _, path = key.partition("/")
        if net == network:
            layer, _, what = path.partition("/")
            name = f"{layer}.{_NAMES[what]}"
            state[name] = torch.from_numpy(_arranged(array, what)).reshape(state[name].shape)
            left.discard(name)
    if left:
        raise SystemExit(f"Keras has no weights for {sorted(left)}")
    return state


def _arranged(array: np.ndarray, what: str) -> np.ndarray:
    """Axes in torch's order; locally connected and minibatch kernels have three axes and the same order."""
    if what != "kernel" or array.ndim == 3:
        return array
    return np.ascontiguousarray(np.moveaxis(array, (-1, -2), (0, 1)))


def _cells(keras: Mapping[str, np.ndarray], scale: float) -> Tensor:
    """Keras' images as cells in MeV, layer-major."""
    images = [keras[f"image_{i}"][..., 0] for i in range(sum(key.startswith("image_") for key in keras))]
    if images[0].ndim == 4:  # the last axis of a volume is the layer
        images = [image[..., layer] for image in images for layer in range(image.shape[-1])]
    flat = np.concatenate([image.reshape(len(image), -1) for image in images], axis=1)
    return torch.from_numpy(flat) * (GEV / scale)


def _tell(what: str, ours: Tensor, theirs: Tensor) -> None:
    error = (ours - theirs).abs().max().item()
    print(f"{what}: largest {theirs.abs().max():.6g}, largest difference {error:.2g}")
    if not error <= 1e-4 * max(1.0, theirs.abs().max().item()):
        raise SystemExit("these are not the same networks")


if __name__ == "__main__":
    main()
