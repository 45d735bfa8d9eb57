"""Configurations: reading, variants, schemas, checks, what families can do, and the run as tables."""
