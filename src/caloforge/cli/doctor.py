"""`caloforge doctor`: what this machine can do, and what is missing with the cure."""

from __future__ import annotations

__all__ = ["doctor"]

from caloforge.cli.terminal import JsonOption, emit, say, table


def doctor(json: JsonOption = False) -> None:
    """Say what this machine lacks, with the cure.

    Example: caloforge doctor
    """
    from caloforge.machine import examine

    findings = examine()
    marks = {True: "[green]yes[/green]", False: "[yellow]no[/yellow]"}
    table(
        "This machine",
        ("what", "ready", "found", "cure"),
        [(f.what, marks[f.ready], f.found, f.cure or "") for f in findings],
    )
    missing = [f for f in findings if not f.ready]
    say(
        "Everything is here."
        if not missing
        else f"{len(missing)} of {len(findings)} not ready; see the cure."
    )
    emit({"findings": [f.__dict__ for f in findings], "ready": not missing})
