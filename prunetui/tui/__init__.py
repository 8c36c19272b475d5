"""The terminal application: reads the store, asks things of runs, never imports torch."""
