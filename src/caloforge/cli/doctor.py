"""`caloforge doctor`: what this machine can do, and what is missing with the cure."""

from __future__ import annotations

__all__ = ["doctor"]

from dataclasses import dataclass

from caloforge.cli.terminal import JsonOption, emit, raw, say, table


@dataclass(frozen=True)
class _Finding:
    """One thing that this machine has or lacks."""

    what: str
    ready: bool
    found: str
    cure: str | None = None


def doctor(json: JsonOption = False) -> None:
    """Say what this machine lacks, with the cure.

    Example: caloforge doctor
    """
    findings = _examine()
    marks = {True: "[green]yes[/green]", False: "[yellow]no[/yellow]"}
    table(
        "This machine",
        ("what", "ready", "found", "cure"),
        [(f.what, marks[f.ready], raw(f.found), raw(f.cure or "")) for f in findings],
    )
    missing = [f for f in findings if not f.ready]
    say(
        "Everything is here."
        if not missing
        else f"{len(missing)} of {len(findings)} not ready; see the cure."
    )
    emit({"findings": [f.__dict__ for f in findings], "ready": not missing})


def _examine() -> list[_Finding]:
    """Look at everything that a verb may need."""
    from caloforge.machine import processor

    return [
        _Finding("processor", True, processor()),
        _memory(),
        _package("torch", "pip install torch==2.13.0", needed_for="training"),
        _gpu(),
        _package("onnxruntime", "pip install onnxruntime", needed_for="bundles"),
        _openvino(),
        _package("calzone", "pip install 'caloforge[geant4]'", needed_for="simulate"),
        _geant4(),
        _package("tensorboard", "pip install 'caloforge[tensorboard]'", needed_for="train --tensorboard"),
        _package("distributed", "pip install 'caloforge[dask]'", needed_for="--cluster dask://..."),
        _package("ray", "pip install 'caloforge[ray]'", needed_for="--cluster ray:..."),
    ]


def _memory() -> _Finding:
    import psutil

    free = psutil.virtual_memory().available / 2**30
    cure = None if free > 2 else "close other programs; 2 GiB are needed"
    return _Finding("free memory", cure is None, f"{free:.1f} GiB", cure)


def _package(name: str, cure: str, needed_for: str) -> _Finding:
    from caloforge.machine import versions

    found = versions(name).get(name)
    return _Finding(
        f"{name} (for {needed_for})", found is not None, found or "not installed", None if found else cure
    )


def _gpu() -> _Finding:
    try:
        import torch
    except ImportError:
        return _Finding("GPU", True, "none seen: torch is not installed")
    if torch.cuda.is_available():
        return _Finding("GPU", True, torch.cuda.get_device_name(0))
    # A machine without a GPU is whole; training only takes longer.
    return _Finding("GPU", True, "none: training runs on the processor")


def _openvino() -> _Finding:
    from caloforge.deploy.runtimes.openvino import has_openvino, openvino_devices
    from caloforge.machine import versions

    what, cure = "openvino (a faster runtime for some bundles)", "pip install 'caloforge[openvino]'"
    if not has_openvino():
        return _Finding(what, False, "not installed", cure)
    devices = ", ".join(f"{name}: {full}" for name, full in openvino_devices().items())
    return _Finding(what, True, f"{versions('openvino')['openvino']}, {devices}")


def _geant4() -> _Finding:
    from caloforge.errors import CaloforgeError
    from caloforge.truth.environment import available, data_folder

    try:
        available()
    except CaloforgeError as error:
        got = error.details["got"]
        found = error.problem if got is None else f"{error.problem}: {got}"
        return _Finding("Geant4 with its data", False, found, str(error.details["cure"]))
    return _Finding("Geant4 with its data", True, str(data_folder()))
