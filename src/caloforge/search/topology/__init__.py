"""Topology and weights of generators in one step: a population of both, and its Pareto front."""
