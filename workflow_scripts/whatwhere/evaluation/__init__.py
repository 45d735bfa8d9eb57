"""Evaluation of the fits of one model to one dataset: scores, parameters, types, neurons."""
