"""Mathematics of the comparisons: arrays in, numbers out."""
