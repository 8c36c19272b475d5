"""The built-in data sets, one file each or one for what is read alike; they return ``Splits``."""
