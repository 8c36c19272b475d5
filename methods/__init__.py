"""One pruning algorithm a file. Nothing imports these statically: `prunetui.plugins` finds them."""
