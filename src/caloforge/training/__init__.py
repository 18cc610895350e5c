"""Recipes, the training loop, and runs. Importing this does not import torch."""

from __future__ import annotations

__all__ = ["Recipe", "Run", "adopt", "load_recipe", "recipe_names", "train"]

from caloforge.training.adopt import adopt
from caloforge.training.recipe import Recipe, load_recipe, recipe_names
from caloforge.training.run import Run
from caloforge.training.train import train
