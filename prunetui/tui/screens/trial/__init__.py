"""One trial of a run."""
