"""Break good showers in five ways that a validation must find, name and show.

    python benchmarks/broken_samples.py geant4.h5 --out broken
    caloforge validate more-geant4.h5 broken/*.h5 --out report

scaled: all energies times 1.02; shifted: by one cell along the second axis of every layer; repeated: the last
tenth is a copy of the first; noisy: Gaussian noise of 1 MeV in every cell, negative energies cut;
narrow: the response scatters by 15 % less about its mean at each energy.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from caloforge.showers import Showers, open_showers

Break = Callable[[Showers], Showers]


def main() -> None:
    """Write one file per fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("showers", type=Path)
    parser.add_argument("--out", type=Path, default=Path("broken"))
    options = parser.parse_args()
    with open_showers(options.showers) as file:
        showers = Showers.concat(list(file.chunks(1000)))
    options.out.mkdir(parents=True, exist_ok=True)
    for name, fault in FAULTS.items():
        fault(showers).save(options.out / f"{name}.h5")


def _with(showers: Showers, cells: np.ndarray) -> Showers:
    return Showers(showers.detector, showers.incident, cells.astype(np.float32))


def scaled(showers: Showers) -> Showers:
    """Multiply all energies by 1.02."""
    return _with(showers, showers.cells * 1.02)


def shifted(showers: Showers) -> Showers:
    """Move every layer's energies by one cell along its second axis; what leaves the window is lost."""
    layers = [np.pad(image, ((0, 0), (0, 0), (1, 0)))[:, :, :-1] for image in showers.layers()]
    return _with(showers, showers.detector.join(layers))


def repeated(showers: Showers) -> Showers:
    """Replace the last tenth by a copy of the first."""
    rows = np.arange(len(showers))
    rows[-(len(rows) // 10) :] = rows[: len(rows) // 10]
    return showers[rows]


def noisy(showers: Showers) -> Showers:
    """Add noise of 1 MeV to every cell."""
    noise = np.random.default_rng(0).normal(0.0, 1.0, showers.cells.shape)
    return _with(showers, np.maximum(showers.cells + noise, 0.0))


def narrow(showers: Showers) -> Showers:
    """Move every response towards a parabola in the logarithm of the energy by 15 % of its distance."""
    energy, total = np.log(showers.incident.energy), showers.cells.sum(axis=1, dtype=np.float64)
    response = total / showers.incident.energy
    mean = np.polynomial.Polynomial.fit(energy, response, 2)(energy)
    return _with(showers, showers.cells * ((mean + 0.85 * (response - mean)) / response)[:, None])


FAULTS: dict[str, Break] = {
    "scaled": scaled,
    "shifted": shifted,
    "repeated": repeated,
    "noisy": noisy,
    "narrow": narrow,
}

if __name__ == "__main__":
    main()
