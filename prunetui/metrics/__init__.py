"""What is measured, as data: the key, title, unit, direction and format of every figure of a row of results.

A task names a primary metric and others. The columns of results.csv, tables, axes, charts, reports and status.json all
derive from them and from the figures of any run below, so that a new metric is declared once. Torch-free.
"""

from prunetui.metrics.known_metrics import COSTS, LOSS, OF_ANY_RUN, SECONDS, SIZES, WORD_COLUMNS
from prunetui.metrics.metric import KEY, SIZE, Metric
from prunetui.metrics.task_metrics import CLASSIFICATION, DROP, MOST, Metrics, joined

__all__ = [
    "CLASSIFICATION", "COSTS", "DROP", "KEY", "LOSS", "MOST", "OF_ANY_RUN", "SECONDS", "SIZE", "SIZES", "WORD_COLUMNS",
    "Metric", "Metrics", "joined",
]  # fmt: skip
