"""Models of a population, from images to predicted responses."""
