"""The tree that a plan is and that the engine walks: steps, nodes, trials and their keys, without any kind of step.

It stands below the engine, which walks it, and below ``steps``, whose classes use the engine to be done; ``plan``
stands above all of them and makes a study into a tree. So imports go one way, and a kind of step is still one file.
"""

from prunetui.tree.kept import is_kept
from prunetui.tree.nodes import Node, Plan, Trial, Units, digest, step_key
from prunetui.tree.step import SplitSizes, Step

__all__ = ["SplitSizes", "Node", "Plan", "Step", "Trial", "Units", "digest", "is_kept", "step_key"]
