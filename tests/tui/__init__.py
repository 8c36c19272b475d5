"""The terminal application, driven by its keys."""
