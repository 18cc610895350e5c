"""A model that is fitted to real showers, without a network: see docs/fitted.md."""
