"""Locations of receptive fields by inference, and starts of networks from them."""
