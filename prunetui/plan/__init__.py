"""Study -> tree of content-addressed steps. Plain data, no torch.

A step's key is the hash of all that led to it: the context (data, model, seed, device), every step before it, and the
code that computes it. Equal keys are equal work, so trials share what they have in common, runs share it too, and
resuming is walking the tree again.
"""

from prunetui.plan.measurements import measurements
from prunetui.plan.remaining_work import missing
from prunetui.plan.unroll import build_plan
from prunetui.steps import Calibrate, Latency, Lift, Load, Measure, Prune, Rewind, Train
from prunetui.tree import Node, Plan, SplitSizes, Step, Trial, Units, digest, step_key

__all__ = [
    "Calibrate",
    "SplitSizes",
    "Latency",
    "Lift",
    "Load",
    "Measure",
    "Node",
    "Plan",
    "Prune",
    "Rewind",
    "Step",
    "Train",
    "Trial",
    "Units",
    "build_plan",
    "digest",
    "measurements",
    "missing",
    "step_key",
]
