"""The screens: a folder for each that has widgets of its own, a file for each of the others."""
