"""CPU time of one shower at a time: the C++ example with each runtime beside the engine in Python, in turns.

    python benchmarks/native.py calogan.bundle conv2d.bundle

Needs g++, cmake and the package openvino; ONNX Runtime too where ONNXRUNTIME_HOME has include/ and lib/. Each
figure is the median over the rounds; a round has 1,000 showers of each, at five energies.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import caloforge as cf

ROUNDS, SHOWERS, STEPS = 5, 200, 5


def build(bundle: str, folder: Path) -> dict[str, list[str]]:
    """Build the example and return the command of each runtime."""
    from openvino.utils import get_cmake_path

    out = cf.export_cpp(bundle, folder / "cpp")
    settings = [f"-DOpenVINO_DIR={get_cmake_path()}"]
    home = os.environ.get("ONNXRUNTIME_HOME")
    if home:
        settings += [
            f"-DONNXRUNTIME_INCLUDE_DIR={home}/include",
            f"-DONNXRUNTIME_LIBRARY={home}/lib/libonnxruntime.so",
        ]
    for words in (["-S", out, "-B", out / "build", *settings], ["--build", out / "build"]):
        subprocess.run(["cmake", *map(str, words)], check=True, capture_output=True)
    return {
        path.name.removeprefix("example_"): [str(path), str(out / "generator.onnx")]
        for path in sorted((out / "build").glob("example_*"))
    }


def native(words: list[str]) -> float:
    """Return the mean of the example's CPU ms per shower."""
    lines = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()
    return statistics.mean(float(line.split()[2]) for line in lines[2 : 2 + STEPS])


def engine(bundle: cf.Engine) -> float:
    """Return the same of `Engine.generate`."""
    span = bundle.valid.energy
    energies = np.geomspace(span.min, span.max, STEPS)
    bundle.generate(energies[:1], 1)
    start = time.process_time()
    for energy in energies:
        for seed in range(SHOWERS):
            bundle.generate([energy], seed)
    return 1e3 * (time.process_time() - start) / STEPS / SHOWERS


def main(bundles: list[str]) -> None:
    """Print one line for each bundle and way."""
    for bundle in bundles:
        python = cf.Engine(bundle, threads=1)
        with tempfile.TemporaryDirectory() as folder:
            commands = build(bundle, Path(folder))
            times: dict[str, list[float]] = {name: [] for name in ("Engine", *commands)}
            for _ in range(ROUNDS):
                times["Engine"].append(engine(python))
                for name, words in commands.items():
                    times[name].append(native(words))
        for name, values in times.items():
            print(f"{python.name}  {name:12}  {statistics.median(values):.3f} ms")


if __name__ == "__main__":
    main(sys.argv[1:])
