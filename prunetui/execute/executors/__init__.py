"""Built-in executors, one file each, found by ``executor_registry``; ``workers`` is what ``processes`` is made of."""
