"""Reports of runs for others to read: one page, table, picture or object from what the runs hold. Torch-free."""
