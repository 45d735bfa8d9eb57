"""Simulated populations: what they see, their receptive fields, types, responses and noise."""
