"""Study -> tree of content-addressed steps. Plain data, no torch.

A step's key is the hash of all that led to it: the context (data, model, seed, device, engine) and every
step before it. Equal keys are equal work, so trials share what they have in common, runs share it too, and
resuming is walking the tree again.
"""

from prunetui.plan.remaining_work import Images, missing, work
from prunetui.plan.steps import Calibrate, Latency, Load, Measure, Prune, Rewind, Step, Train, label, needs
from prunetui.plan.tree import Node, Plan, Trial, digest, step_key
from prunetui.plan.unroll import Units, build_plan, measurements

__all__ = [
    "Calibrate",
    "Images",
    "Latency",
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
    "label",
    "measurements",
    "missing",
    "needs",
    "step_key",
    "work",
]
