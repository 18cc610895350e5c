"""Models as they are exported: the same showers from few large operations."""
