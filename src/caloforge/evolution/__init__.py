"""Generators that evolve: chromosomes and what they decode to, populations, their fitness."""
