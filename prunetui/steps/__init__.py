"""The kinds of steps, one file each: what it is called, how much work it is, what it needs, and how it is done.

A step is plain data, and no module here imports torch or the engine before a step is done: views make plans too.
The folder stands above the engine, since how a step is done is engine code put together, and below ``plan``, which
makes steps of a study. The engine knows steps only by ``tree.Step``, so it walks kinds that it has never heard of.
"""

from prunetui.steps.calibrate import Calibrate
from prunetui.steps.checkpoint import Checkpoint
from prunetui.steps.latency import Latency
from prunetui.steps.lift import Lift
from prunetui.steps.load import Load
from prunetui.steps.measure import Measure
from prunetui.steps.prune import Prune
from prunetui.steps.rewind import Rewind
from prunetui.steps.train import Train

__all__ = ["Calibrate", "Checkpoint", "Latency", "Lift", "Load", "Measure", "Prune", "Rewind", "Train"]
