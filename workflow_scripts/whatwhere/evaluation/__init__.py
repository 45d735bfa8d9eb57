"""Evaluation of the fits of one model to one dataset: selection, scores, parameters, types, neurons."""
