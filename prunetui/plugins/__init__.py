"""One catalogue for every kind of contribution: what there is, read from source without importing it."""
