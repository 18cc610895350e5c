"""Cluster: work in pieces, on the processes of this machine or on a cluster of others."""

from __future__ import annotations

__all__ = ["Chunk", "Cluster", "Fault", "Outcome", "in_order", "open_cluster"]

from caloforge.cluster.base import Chunk, Cluster, Fault, Outcome
from caloforge.cluster.opening import open_cluster
from caloforge.cluster.ordered import in_order
