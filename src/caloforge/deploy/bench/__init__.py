"""What showers cost: ms, memory and energy, beside what the machine could do at best and beside Geant4."""

from __future__ import annotations

__all__ = ["Bench", "BenchTable", "Card", "Geant4Cost", "bench", "bench_table"]

from caloforge.deploy.bench.card import Card
from caloforge.deploy.bench.geant4_cost import Geant4Cost
from caloforge.deploy.bench.measure import bench
from caloforge.deploy.bench.result import Bench
from caloforge.deploy.bench.table import BenchTable, bench_table
