"""What scripts and notebooks call: prune a network in memory, save it, run studies, look at runs."""
