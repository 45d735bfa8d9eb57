"""Fitted models: fits of one seed, ensembles, files, runs, selection, and the space of their images."""
