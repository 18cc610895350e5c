"""Nothing leaves the machine or is written behind a user's back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy_toys import make_bundle

_HOMES = ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
_PROGRAM = """
import sys
import caloforge as cf
from caloforge.showers import Incident
engine = cf.Engine(sys.argv[1], threads=1)
assert len(engine.generate(Incident.of([5e3, 6e3], pdg=-11), seed=1)) == 2
"""


def _written(folder: Path, **more: str) -> list[str]:
    """Files that a program with an engine leaves in its user's folders, the temporary one included."""
    bundle, home = make_bundle(folder / "bundle"), folder / "home"
    homes = {name: str(home / name) for name in _HOMES}
    for path in homes.values():
        Path(path).mkdir(parents=True)
    own = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    subprocess.run(
        [sys.executable, "-c", _PROGRAM, bundle], env=own | homes | more, check=True, timeout=120, cwd=home
    )
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())


def test_an_engine_writes_nothing(tmp_path: Path) -> None:
    assert _written(tmp_path) == []


def test_without_the_switch_the_same_test_would_fail(tmp_path: Path) -> None:
    """Shows that the test above looks in the right places."""
    written = _written(tmp_path, ORT_DISABLE_TELEMETRY="0")
    if not written:
        pytest.skip("this build of ONNX Runtime reports nothing")
    assert any("onnxruntime" in path for path in written)
