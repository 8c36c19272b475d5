"""What views show of runs, without a screen: rows summed up, comparisons, tables, charts, progress. Torch-free."""
