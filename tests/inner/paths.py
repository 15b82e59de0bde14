"""One architecture of a search network as a derived network of its own."""

from __future__ import annotations

from moonas.architecture import Architecture
from moonas.inner.supernets.fused import FusedSupernet
from moonas.networks.network import Network


def with_weights_of(searched: FusedSupernet, derived: Network, architecture: Architecture) -> Network:
    """`derived`, in float64, with the weights that `searched` has on the path of `architecture`.

    Batch norms keep their scale of 1 and shift of 0, which those of the search network do not have. A bias before a batch norm,
    which only search networks have, is left out: it cancels while batch statistics normalise.
    """
    for own, cell in zip(derived.cells, searched.cells, strict=True):
        live = [edge for edge in architecture.groups[cell.group] if edge[2] != "none"]
        for module, edge in zip(own.operations, live, strict=True):
            row, column = cell.place(edge)
            module.load_state_dict(cell.operations[row][column].state_dict(), strict=False)
        own.preprocess.load_state_dict(cell.preprocess.state_dict(), strict=False)
        for place, _, name in architecture.links.get(cell.group, ()):
            candidates = cell.connections[place]
            own.connections[place].load_state_dict(candidates[candidates.names.index(name)].state_dict(), strict=False)
    for part in ("stem", "before", "head", "classifier"):
        getattr(derived, part).load_state_dict(getattr(searched, part).state_dict())
    return derived.double()
