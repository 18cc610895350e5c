"""The columns of the incident particle: some that a host gives, the others as the training had them."""

from __future__ import annotations

__all__ = ["incident_of", "only_particle"]

from collections.abc import Mapping

from caloforge.deploy.bundle import Bundle
from caloforge.deploy.bundle.validity import Span
from caloforge.deploy.native.hosts.wrapper import Wrapper
from caloforge.errors import BundleError, RangeError
from caloforge.particles import particle_name, pdg_id


def incident_of(wrapper: Wrapper, given: Mapping[str, str], pdg: int) -> str:
    """Return the columns of the bundle's conditions, `(1, columns)`.

    Args:
        wrapper: The graph to add to.
        given: Tensors `(1, 1)` in MeV, rad and mm that the host gives.
        pdg: The particle.

    Raises:
        BundleError: The showers depend on a column that the host does not give, over a range without 0.
    """
    columns = []
    for name in wrapper.bundle.manifest.inputs[1].columns or ():
        if name in given:
            columns.append(given[name])
        else:
            value = float(pdg) if name == "pdg" else _fixed(wrapper.bundle, name, wrapper.span(name))
            columns.append(wrapper.constant([[value]]))
    return wrapper.node("Concat", *columns, axis=1)


def only_particle(bundle: Bundle, particle: str | int | None) -> int:
    """Return the PDG id of the particle that a host's graph is for; hosts do not say it.

    Raises:
        RangeError: The bundle knows several and none is named, or does not know the one that is.
    """
    known = bundle.manifest.valid.particles
    asked = None if particle is None else pdg_id(particle)
    if asked is None and len(known) == 1:
        return known[0]
    if asked in known:
        return int(asked)
    names = list(map(particle_name, known))
    raise RangeError(
        "a host's graph is for one particle, which the host does not say: which one is wanted?"
        if asked is None
        else "the generator does not know this particle",
        got=None if asked is None else particle_name(asked),
        expected=", ".join(names),
        cure=f"say it with --particle (Python: particle={names[0]!r})" if len(names) > 1 else None,
    )


def _fixed(bundle: Bundle, name: str, span: Span) -> float:
    if span.min == span.max:
        return span.min
    if span.min <= 0 <= span.max:
        return 0.0
    raise BundleError(
        f"the showers depend on {name}, which this host does not give",
        where=bundle.manifest.name,
        got=str(span),
        expected="one value, or a range that includes 0",
        cure="use the C++ sampler (--cpp) instead",
    )
