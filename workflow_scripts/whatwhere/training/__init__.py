"""Gradient training of all settings and seeds of one condition."""
