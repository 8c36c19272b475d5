"""Which channels of any network may go: proposed by a graph, proved on that network, applied to it."""
