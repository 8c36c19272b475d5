"""One pruning algorithm a file. Nothing imports these statically: `prunetui.plugins.method_catalogue` finds them."""
