"""Does steps of a Keras training when told to; `compare.py` starts it in Keras' own environment."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from pathlib import Path

FORMS = ("train_on_batch", "graph", "xla")


def main() -> None:
    """Say what is measured, then take a number of steps per line of input and answer with the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", choices=["gan3d", "calogan"])
    parser.add_argument("--form", choices=FORMS, default="train_on_batch")
    parser.add_argument("--precision", choices=["float32", "mixed_bfloat16"], default="float32")
    parser.add_argument("--local", type=int, choices=[1, 2, 3], default=1)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dump", type=Path, help="Write showers, readings and weights there; no timing.")
    parser.add_argument("--weights", type=Path, help="Generator's weights for --dump; random if not given.")
    options = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": str(options.threads), "TF_CPP_MIN_LOG_LEVEL": "3"}

    import tensorflow as tf
    import tf_keras

    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf_keras.mixed_precision.set_global_policy(options.precision)
    tf_keras.utils.set_random_seed(1)
    network = importlib.import_module(options.recipe)
    system = network.system(options.local) if options.recipe == "calogan" else network.system()
    if options.dump:
        _dump(system, options.weights, options.dump)
        return
    batch = options.batch or system.batch
    images, energy = _real(system, batch)
    step = _step(system, options.form)
    step(images, energy)
    _say({"counts": system.counts(), "batch": batch, "versions": f"tensorflow {tf.__version__}"})
    for line in sys.stdin:
        begin, used = time.perf_counter(), time.process_time()
        for _ in range(int(line)):
            step(images, energy)
        _say({"wall": time.perf_counter() - begin, "cpu": time.process_time() - used})


def _step(system: object, form: str) -> object:
    from system import GraphStep, PublishedStep

    return PublishedStep(system) if form == "train_on_batch" else GraphStep(system, xla=form == "xla")


def _real(system: object, batch: int) -> tuple[list, object]:
    """Stand-ins for real showers: half of the cells hold something. Speed does not depend on what."""
    import numpy as np

    rng = np.random.default_rng(1)
    energy = rng.uniform(*system.energies, (batch, 1)).astype(np.float32)
    images = []
    for shape in system.shapes:
        cells = rng.exponential(0.01, (batch, *shape)) * (rng.random((batch, *shape)) < 0.5)
        images.append(cells.astype(np.float32))
    return images, energy


def _dump(system: object, weights: Path | None, file: Path) -> None:
    """Write all weights, eight showers made from them, and what the critic says of these."""
    import numpy as np

    rng = np.random.default_rng(1)
    arrays = {}
    for network in ("generator", "critic"):
        model = getattr(system, network)
        model.set_weights([w + rng.uniform(0, 0.1 * (w.std() or 1), w.shape) for w in model.get_weights()])
    if weights:
        system.generator.load_weights(str(weights))
    for network in ("generator", "critic"):
        for layer in getattr(system, network)._flatten_layers():
            if layer.weights and not hasattr(layer, "layers"):
                names = [weight.name.split("/")[-1].split(":")[0] for weight in layer.weights]
                pairs = zip(names, layer.get_weights(), strict=True)
                arrays |= {f"{network}/{layer.name}/{name}": array for name, array in pairs}
    noise = rng.standard_normal((8, system.latent)).astype(np.float32)
    energy = rng.uniform(*system.energies, (8, 1)).astype(np.float32)
    # Called directly: a graph of thousands of locally connected positions takes minutes to build.
    images = system.generator([noise, energy], training=False)
    images = images if isinstance(images, list) else [images]
    readings = system.critic(system.judged(images, energy), training=False)
    arrays |= {f"image_{i}": image.numpy() for i, image in enumerate(images)}
    arrays |= {f"reading_{i}": reading.numpy() for i, reading in enumerate(readings)}
    np.savez(file, noise=noise, energy=energy, **arrays)


def _say(answer: dict) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
