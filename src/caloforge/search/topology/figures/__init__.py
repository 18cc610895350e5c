"""Figures of an evolution of topology, one file each: functions of its state."""
