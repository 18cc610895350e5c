"""What `train` and `evolve` say at the end."""

from __future__ import annotations

__all__ = ["number", "show_run", "stopped"]

from typing import TYPE_CHECKING

from caloforge.cli.terminal import emit, raw, say, table
from caloforge.errors import StoppedError

if TYPE_CHECKING:
    from pathlib import Path

    from caloforge.training import Run


def show_run(run: Run) -> None:
    """Print what a run has come to, and what can be done with it."""
    summary = run.summary()
    if summary["steps"]:
        _show_steps(summary)
    else:
        say("Measured; there is nothing to train")
    _show_look(summary["look"])
    say(f"Run: {raw(run.path)}  Next: [bold]caloforge export {raw(run.path)} --out BUNDLE[/bold]")
    emit(summary)


def stopped(out: Path) -> StoppedError:
    """Return what to raise when a user stopped the training in a folder."""
    from caloforge.training.run import CHECKPOINT

    if not (out / CHECKPOINT).is_file():
        return StoppedError("nothing is saved yet")
    return StoppedError(f"the training is saved in {out}", cure="go on with the same command and --resume")


def _show_steps(summary: dict[str, object]) -> None:
    say(
        f"{summary['steps']} steps, {summary['epochs']} of {summary['epochs_planned']} epochs, "
        f"{summary['seconds']:.0f} s, {summary['showers_per_second']:.0f} showers/s"
    )


def _show_look(look: object) -> None:
    if isinstance(look, dict):
        rows = [
            (
                name,
                *(
                    number(look[who][name][what])
                    for what in ("mean", "spread")
                    for who in ("geant4", "generated")
                ),
            )
            for name in look["geant4"]
        ]
        columns = ("observable", "Geant4", "generated", "Geant4 spread", "generated spread")
        at = f" at epoch {look['epoch']}" if look["epoch"] else ""
        table(f"Selection part{at}", columns, rows)


def number(value: float | None) -> str:
    """Return a number of the diary, where null is NaN, as text."""
    return "–" if value is None else f"{value:.4g}"
