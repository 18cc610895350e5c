"""Nothing leaves the machine or is written behind a user's back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from caloforge.deploy.runtimes.telemetry import without_telemetry
from deploy_toys import make_bundle

_HOMES = ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
_PROGRAM = """
import sys
import caloforge as cf
from caloforge.showers import Incident
for runtime in sys.argv[2:]:
    engine = cf.Engine(sys.argv[1], threads=1, runtime=runtime)
    assert len(engine.generate(Incident.of([5e3, 6e3], pdg=-11), seed=1)) == 2
assert "openvino_telemetry" not in sys.modules
"""


def _written(folder: Path, program: str = _PROGRAM, **more: str) -> list[str]:
    """Files that a program with engines leaves in its user's folders, the temporary one included."""
    bundle, home = make_bundle(folder / "bundle"), folder / "home"
    homes = {name: str(home / name) for name in _HOMES}
    for path in homes.values():
        Path(path).mkdir(parents=True)
    # OpenVINO does not report from continuous integration.
    own = {key: value for key, value in os.environ.items() if key not in ("ORT_DISABLE_TELEMETRY", "CI")}
    command = [sys.executable, "-c", program, bundle, "onnxruntime", "openvino"]
    subprocess.run(command, env=own | homes | more, check=True, timeout=120, cwd=home)
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())


def test_an_engine_writes_nothing(tmp_path: Path) -> None:
    assert _written(tmp_path) == []


def test_without_the_switch_the_same_test_would_fail(tmp_path: Path) -> None:
    """Shows that the test above looks in the right places."""
    written = _written(tmp_path, ORT_DISABLE_TELEMETRY="0")
    if not written:
        pytest.skip("this build of ONNX Runtime reports nothing")
    assert any("onnxruntime" in path for path in written)


def test_openvino_by_itself_would_write(tmp_path: Path) -> None:
    """Shows the same of OpenVINO: its import alone leaves an id in the home folder."""
    blocked = "import urllib.request as r\ndef no(*_a, **_k): raise OSError\nr.urlopen = no\nimport openvino"
    assert any("intel" in path for path in _written(tmp_path, program=blocked))


def test_whoever_wants_the_report_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that has imported the package that reports is not meddled with."""
    monkeypatch.delitem(
        sys.modules, "openvino_telemetry", raising=False
    )  # whatever ran before in this process
    with without_telemetry():
        assert sys.modules["openvino_telemetry"] is None
    assert "openvino_telemetry" not in sys.modules
    theirs = ModuleType("openvino_telemetry")
    monkeypatch.setitem(sys.modules, "openvino_telemetry", theirs)
    with without_telemetry():
        assert sys.modules["openvino_telemetry"] is theirs
    assert sys.modules["openvino_telemetry"] is theirs
