"""Is a bundle whole, does it still make its showers, and may it be shared as it is?"""

from __future__ import annotations

__all__ = ["Checked", "check_bundle"]

from dataclasses import dataclass
from pathlib import Path

from caloforge.deploy.bundle import MANIFEST_FILE, Bundle, contents_of
from caloforge.deploy.bundle.privacy import Removed
from caloforge.deploy.bundle.sanitise import private_in
from caloforge.deploy.engine import Engine
from caloforge.deploy.probe import check_probe
from caloforge.deploy.runtimes import runtimes_for


@dataclass(frozen=True)
class Checked:
    """A bundle that is good.

    Attributes:
        bundle: Itself.
        differences: For each precision that can run here, the greatest difference of a layer to the showers
            that the graph made when it was exported, relative to the energy of the shower.
        not_run: Precisions that no installed runtime can run.
        unlisted: Files that lie beside those of the manifest; nothing reads them.
        private: What tells where it was made and by whom; `sanitise_bundle` takes it out.
    """

    bundle: Bundle
    differences: dict[str, float]
    not_run: tuple[str, ...]
    unlisted: tuple[str, ...]
    private: tuple[Removed, ...]


def check_bundle(path: str | Path) -> Checked:
    """Check all that can be checked of a bundle, and make a few showers with each of its graphs.

    Args:
        path: Its folder, or its zip.

    Raises:
        BundleError: It is none, is damaged, or makes other showers than it did.
    """
    bundle = Bundle.open(path)
    graphs = bundle.manifest.graphs
    able = [precision for precision in graphs if runtimes_for(bundle, precision)]
    known = {MANIFEST_FILE, *bundle.manifest.files}
    return Checked(
        bundle=bundle,
        differences={
            precision: check_probe(Engine(bundle, 1, precision=precision), graphs[precision].probe)
            for precision in able
        },
        not_run=tuple(precision for precision in graphs if precision not in able),
        unlisted=tuple(name for name in contents_of(path).names() if name not in known),
        private=tuple(private_in(bundle)),
    )
