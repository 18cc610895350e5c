"""A thousand damaged files: each is refused with one message and its cure, or is what it was."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from caloforge.deploy import export, pack_bundle
from caloforge.detector import load_detector, write_binning_xml
from caloforge.showers import Showers, ShowerWriter, convert
from caloforge.training import train
from mutants import BINARY, TEXT, Change
from sandbox import Outcome, Sandbox
from test_training import recipe
from tiny_toys import TINY, tiny_showers

SECONDS, MEGABYTES = 30.0, 2000.0
_SHOWN = 400  # characters of an answer
_EXAMPLES = 6

Make = Callable[[Path], Path]


def _tiny(folder: Path) -> Path:
    file = folder / "tiny.yaml"
    file.write_text(TINY)
    return file


def _store(folder: Path) -> Path:
    return tiny_showers(40).save(folder / "tiny.h5")


def _journal(folder: Path) -> Path:
    writer = ShowerWriter(folder / "made.h5", tiny_showers(1).detector, {"seed": 1})
    for start in range(0, 40, 4):
        writer.append(tiny_showers(40)[start : start + 4])
    writer.stop()
    return folder / "made.h5.part"


def _foreign(form: str, detector: str) -> Make:
    def make(folder: Path) -> Path:
        like = load_detector(detector)
        rng = np.random.default_rng(4)
        cells = rng.exponential(size=(3, like.n_cells)) * (rng.random((3, like.n_cells)) < 0.2)
        source = Showers(like, tiny_showers(3).incident, cells.astype(np.float32)).save(folder / "source.h5")
        convert(source, folder / f"tiny.{form}.h5", to=form)
        return folder / f"tiny.{form}.h5"

    return make


def _recipe(folder: Path) -> Path:
    file = folder / "tiny-recipe.yaml"
    file.write_text(recipe(_tiny(folder), "schedule.epochs=1").to_yaml())
    return file


def _run(folder: Path) -> Path:
    made = train(recipe(_tiny(folder), "schedule.epochs=1"), _store(folder), folder / "run")
    shutil.rmtree(made.path / "checkpoint")  # half of all files would be those that only a resume reads
    (made.path / "curves.svg").unlink()
    return made.path


def _bundle(folder: Path) -> Path:
    return export(_run(folder), folder / "bundle").path


def _packed(folder: Path) -> Path:
    return pack_bundle(_bundle(folder), folder / "packed.zip").path


def _binning(folder: Path) -> Path:
    write_binning_xml(load_detector("calochallenge-1-photons"), folder / "binning.xml")
    return folder / "binning.xml"


def _detector(folder: Path) -> Path:
    file = folder / "calogan.yaml"
    file.write_text(load_detector("calogan").to_yaml())
    return file


KINDS: dict[str, tuple[Make, tuple[Change, ...], str, int]] = {
    "detector": (_detector, TEXT, "detector", 150),
    "binning": (_binning, TEXT, "binning", 80),
    "recipe": (_recipe, TEXT, "recipe", 120),
    "store": (_store, BINARY, "store", 150),
    "journal": (_journal, BINARY, "journal", 120),
    "calogan": (_foreign("calogan", "calogan"), BINARY, "foreign", 60),
    "calochallenge": (_foreign("calochallenge", "calochallenge-1-photons"), BINARY, "foreign", 60),
    "lcd": (_foreign("lcd", "clic"), BINARY, "foreign", 60),
    "bundle": (_bundle, TEXT, "bundle", 120),
    "packed": (_packed, BINARY, "bundle", 120),
    "run": (_run, TEXT, "run", 120),
}
"""How the original is made, how it is damaged, what is asked of it, and how many damages are tried."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_refused_or_harmless(kind: str, tmp_path: Path) -> None:
    make, changes, question, count = KINDS[kind]
    rng = np.random.default_rng(zlib.crc32(kind.encode()))
    original = make(tmp_path)
    data = _store(tmp_path) if kind == "recipe" else original
    failures = []
    with Sandbox(tmp_path, SECONDS) as sandbox:
        sound = sandbox.call(f"mutants:{question}", original, data)
        assert sound.code == 0, sound.output
        for number in range(count):
            change = changes[int(rng.integers(len(changes)))]
            mutant = _mutant(original, tmp_path / f"m{number}", change, rng)
            outcome = sandbox.call(f"mutants:{question}", mutant, data)
            if fault := _fault(outcome):
                failures.append(f"{kind} {number}, {change.__name__}: {fault}")
            else:
                _remove(mutant)
    assert not failures, f"{len(failures)} of {count}\n" + "\n".join(failures[:_EXAMPLES])


def _mutant(original: Path, mutant: Path, change: Change, rng: np.random.Generator) -> Path:
    """Damage a file, or one file of a folder."""
    if original.is_file():
        mutant = mutant.with_name(mutant.name + "".join(original.suffixes))
        mutant.write_bytes(change(original.read_bytes(), rng))
        return mutant
    shutil.copytree(original, mutant)
    names = sorted(path.name for path in mutant.iterdir())
    file = mutant / names[int(rng.integers(len(names)))]
    if rng.random() < 0.05:
        file.unlink()
    else:
        file.write_bytes(change(file.read_bytes(), rng))
    return mutant


def _remove(mutant: Path) -> None:
    for path in mutant.parent.glob(f"{mutant.name}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _fault(outcome: Outcome) -> str:
    """What is wrong with the answer; nothing if it is yes, or no with a reason."""
    wrong = {
        "hangs": outcome.code is None,
        f"takes {outcome.peak_mb:.0f} MB": outcome.peak_mb > MEGABYTES,
        "traceback": "Traceback" in outcome.output,
        f"ends with {outcome.code}": outcome.code not in (0, 2, None),
        "refused without a word": outcome.code == 2 and "caloforge: error:" not in outcome.output,
    }
    said = [what for what, so in wrong.items() if so]
    return f"{', '.join(said)}\n{outcome.output[-_SHOWN:]}" if said else ""


def test_the_sandbox_notices(tmp_path: Path) -> None:
    """The judge is judged: what ends, hangs, raises or answers wrongly is seen."""
    with Sandbox(tmp_path) as sandbox:
        assert _fault(sandbox.call("mutants:_dies"))
        assert sandbox.call("mutants:_dies").code == -9
        assert "traceback" in _fault(sandbox.call("mutants:_raises"))
        assert sandbox.call("mutants:_eats", 300).peak_mb > 300
        assert "ends with 99" in _fault(sandbox.call("mutants:_wrong", "x"))
        assert sandbox.call("mutants:_waits", seconds=0.5).code is None
