"""The results of one run."""
