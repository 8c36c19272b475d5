"""The keys of a screen that has a plot."""

from __future__ import annotations

from textual.binding import Binding, BindingType

AXES = Binding.Group("Axes")
KEYS: list[BindingType] = [
    Binding("x", "plot('x', 1)", "X axis", group=AXES),
    Binding("y", "plot('y', 1)", "Y axis", group=AXES),
    Binding("Y", "plot('y', -1)", "Y axis, backwards", show=False),
    Binding("X", "plot('x', -1)", "X axis, backwards", show=False),
    Binding("o,L", "plot('log')", "Log x", show=False),
    Binding("f", "plot('front')", "Front: what no other result beats", show=False),
    Binding("a", "plot('all')", "All methods", show=False),
    Binding("plus,equals_sign", "plot('zoom', 0.8)", "Zoom in", show=False, key_display="+"),
    Binding("minus", "plot('zoom', 1.25)", "Zoom out", show=False, key_display="-"),
    Binding("0", "plot('reset')", "Show everything", show=False),
]
"""For screens that have a plot: they give ``action_plot`` on to it, whatever has the focus."""
