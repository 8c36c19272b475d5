from prunetui.api import dataclass, register


@register("hybrid", source="a sequence of the others", schedules=("one-shot", "lr-rewinding", "at-init"))
@dataclass(frozen=True)
class Hybrid:
    """Apply several methods one after the other, each for its share of what is removed.

    `parts` is a list of methods, by name or as tables with their options and a `share` (together 1; those that say
    nothing share the rest): parts = [{ name = "l1-structured", share = 0.6 }, "global-unstructured"]. A sparsity of 0.9
    is then reached by removing channels until 0.54 of the weights are gone, and masking what is left up to 0.9. Orders
    that would undo each other are refused: channels come before weights.
    """

    parts: tuple[str, ...] = ()
    """The methods, in the order they are applied."""
