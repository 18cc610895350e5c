"""The `caloforge` command: registers the verbs and turns errors into one block and an exit code."""

from __future__ import annotations

__all__ = ["app", "main"]

import os
import sys
from typing import Annotated

import typer

from caloforge import __version__
from caloforge.cli.adopt import adopt
from caloforge.cli.bench import bench
from caloforge.cli.convert import convert
from caloforge.cli.demo import demo
from caloforge.cli.detector import app as detector_app
from caloforge.cli.doctor import doctor
from caloforge.cli.export import export
from caloforge.cli.generate import generate
from caloforge.cli.inspect import inspect
from caloforge.cli.simulate import simulate
from caloforge.cli.train import train
from caloforge.cli.validate import validate
from caloforge.errors import CaloforgeError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    # Rich would make the page of --help prettier and three times slower.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Build, prove and ship a fast simulation for any calorimeter.",
    epilog="Start with `caloforge demo`. Units: 25GeV, 2mm, 30deg, 1:100GeV.",
)
for _verb in (demo, simulate, train, adopt, generate, validate, export, bench, convert, inspect, doctor):
    app.command()(_verb)
app.add_typer(detector_app, name="detector")


def _version(value: bool) -> None:
    if value:
        sys.stdout.write(f"caloforge {__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Set what all verbs share."""
    if debug:
        os.environ["CALOFORGE_DEBUG"] = "1"


def main() -> None:
    """Run the command line; exit 0 when done, 1 when the answer is no, 2 on bad input."""
    try:
        app()
    except CaloforgeError as error:
        if os.environ.get("CALOFORGE_DEBUG"):
            raise
        sys.exit(_print(error))
    except KeyboardInterrupt:
        sys.stderr.write("\ncaloforge: stopped\n")
        sys.exit(130)
    except BrokenPipeError:
        # `caloforge ... | head` closes the pipe: not an error.
        sys.stdout = None
        sys.exit(0)


def _print(error: CaloforgeError) -> int:
    label = "no" if error.exit_code == 1 else "error"
    sys.stderr.write(f"caloforge: {label}: {error}\n")
    return error.exit_code
