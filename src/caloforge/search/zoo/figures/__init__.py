"""Figures of a zoo, one file each: functions of its members."""
