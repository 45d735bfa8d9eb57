"""Experiments on a fitted model: most exciting images, artificial stimuli and tuning curves."""
