"""`caloforge`, and `python -m caloforge`, which `torchrun -m` starts in several processes."""

from __future__ import annotations

__all__ = ["main"]

import sys


def main() -> None:
    """Run the command line; Ctrl-C while it is still being loaded is one line, too."""
    try:
        from caloforge.cli.main import main as run
    except KeyboardInterrupt:
        sys.stderr.write("caloforge: stopped\n")
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
