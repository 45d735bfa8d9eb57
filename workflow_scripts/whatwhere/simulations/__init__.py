"""Simulated populations: images, receptive fields, types, responses and noise."""
