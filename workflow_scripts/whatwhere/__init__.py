"""Convolutional models of large neural populations that separate 'what' and 'where'."""
