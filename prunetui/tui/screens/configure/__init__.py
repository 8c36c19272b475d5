"""A study in the making: its form, its mistakes, its plan and its TOML."""
