"""Noise is moved to where the noise behind real showers is, and the fit makes showers of it."""
