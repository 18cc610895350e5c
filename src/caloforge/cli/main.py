"""The `caloforge` command: registers the verbs and turns what ends them into one block and an exit code."""

from __future__ import annotations

__all__ = ["app", "main"]

import os
import signal
import sys
import traceback
from typing import Annotated

import typer

from caloforge import __version__
from caloforge.cli.adopt import adopt
from caloforge.cli.bench import bench
from caloforge.cli.bundle import app as bundle_app
from caloforge.cli.convert import convert
from caloforge.cli.demo import demo
from caloforge.cli.detector import app as detector_app
from caloforge.cli.doctor import doctor
from caloforge.cli.event import event
from caloforge.cli.evolve import evolve
from caloforge.cli.export import export
from caloforge.cli.fastsim import fastsim
from caloforge.cli.faults import explain
from caloforge.cli.generate import generate
from caloforge.cli.inspect import inspect
from caloforge.cli.merge import merge
from caloforge.cli.recommend import recommend
from caloforge.cli.simulate import simulate
from caloforge.cli.streams import StandardOutput, complain, finish, prepare
from caloforge.cli.train import train
from caloforge.cli.tune import tune
from caloforge.cli.validate import validate
from caloforge.cli.zoo import zoo
from caloforge.errors import CaloforgeError, StoppedError

STOPPED = StoppedError.exit_code
OUR_FAULT = 70  # of sysexits.h: not 1, which says that the answer is no

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    # Rich would make the page of --help prettier and three times slower.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Build, prove and ship a fast simulation for any calorimeter.",
    epilog="Start with `caloforge demo`. Units: 25GeV, 2mm, 30deg, 1:100GeV.",
)
for _verb in (
    demo,
    simulate,
    train,
    tune,
    evolve,
    adopt,
    generate,
    validate,
    export,
    bench,
    zoo,
    recommend,
    fastsim,
    event,
    convert,
    merge,
    inspect,
    doctor,
):
    app.command()(_verb)
app.add_typer(detector_app, name="detector")
app.add_typer(bundle_app, name="bundle")


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
    """Run the command line; exit 0 when done, 1 when the answer is no, 2 on bad input, 130 on Ctrl-C.

    70 means a fault of this package, and 141 that the reader of a pipe went away, as with `| head`.
    """
    try:
        output = prepare()
    except CaloforgeError as error:
        sys.exit(_failed(error))
    code = _run(output)
    # A second Ctrl-C while Python ends would only add its traceback.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(finish(output, code))


def _run(output: StandardOutput) -> int:
    try:
        app()
    except SystemExit as done:  # typer always ends so
        code = done.code if isinstance(done.code, int) else int(done.code is not None)
    except KeyboardInterrupt:
        code = STOPPED
    except BaseException as error:
        # A lost answer is not the verb's fault: `finish` says it.
        return 2 if error is output.lost else _failed(error)
    if code == STOPPED:
        complain("caloforge: stopped")
    return code


def _failed(error: BaseException) -> int:
    known = explain(error)
    if known is None or os.environ.get("CALOFORGE_DEBUG"):
        complain("".join(traceback.format_exception(error)))
    if known is None:
        complain(
            f"caloforge: this is a fault of caloforge {__version__}: please report it with the lines above"
        )
        return OUR_FAULT
    label = "stopped" if known.exit_code == STOPPED else "error"
    complain(f"caloforge: {label}: {known}")
    return known.exit_code
