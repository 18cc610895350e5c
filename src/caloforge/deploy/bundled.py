"""A bundle of whatever a user names: one that is there, or a run, of which one is made for the while."""

from __future__ import annotations

__all__ = ["bundled"]

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from caloforge.deploy.bundle import Bundle, is_bundle
from caloforge.progress import Progress
from caloforge.training.pretrained import run_folder


@contextmanager
def bundled(source: str | Path | Bundle, progress: Progress | None = None) -> Iterator[Bundle]:
    """Open a bundle, or export a run into one that lasts as long as the context.

    Args:
        source: A bundle, its folder, the folder of a run, or the name of one that comes with caloforge.
        progress: Told what the export of a run does.

    Raises:
        BundleError, RunError: It is none of these, or damaged.
    """
    if isinstance(source, Bundle):
        yield source
        return
    path = run_folder(source)
    if not (path / "recipe.yaml").is_file() or is_bundle(path):
        yield Bundle.open(path)
        return
    from caloforge.deploy.export import export

    with TemporaryDirectory(prefix="caloforge-") as folder:
        yield export(path, Path(folder) / path.name, progress=progress)
