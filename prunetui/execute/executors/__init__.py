"""Built-in executors, one module each; ``executor_registry`` finds them by their names."""
