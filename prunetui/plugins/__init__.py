"""Contributions: what there is, read from source without importing it."""
