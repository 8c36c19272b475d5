"""A run while it is executed."""
