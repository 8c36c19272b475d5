"""What views show of runs, without a screen: rows summed up, comparisons, tables, axes, charts, progress. Torch-free."""
