"""One pruning algorithm a file. Nothing imports these statically: `prunetui.plugins.catalogue` finds them."""
