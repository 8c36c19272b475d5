"""The task of a study, made from the class that the catalogue knows by its name."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from typing import Any

from prunetui.api import Metric, Task
from prunetui.config import Recipe, Study
from prunetui.config.recipes import FinetuneTable
from prunetui.errors import UsageError
from prunetui.plugins.catalogue import contribution
from prunetui.plugins.import_file import load_object
from prunetui.plugins.own_files import short


def load_task(name: str, options: Mapping[str, Any] | None = None) -> Task:
    """A task by the name a study says.

    Raises:
        UsageError: it cannot be made, lacks a method, or its metrics are not what its decorator says.
    """
    found = contribution("task", name)
    made = load_object(found)
    if not isinstance(made, type):
        raise UsageError(f"the task {short(name)} is a function; a task is a class with the methods loss and metrics")
    primary = found.given.get("primary")
    try:
        measures = tuple(getattr(made, "measures", ())) or (Metric(str(primary), str(primary)),)
        # What the class does not say is as ``Task`` has it, whether it derives from that or not.
        bases = (made,) if issubclass(made, Task) else (made, Task)
        whole: Any = type(made.__name__, bases, {"measures": measures, "name": short(name)})
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for data
            task: Task = whole(**(options or {}))
        keys = [metric.key for metric in task.table.measured if metric in measures]
    except Exception as error:
        raise UsageError(f"the task {short(name)} cannot be made: {type(error).__name__}: {error}") from error
    if measures[0].key != primary:
        raise UsageError(
            f'the task {short(name)} says primary="{primary}", and its measures are {", ".join(keys)}: '
            "the primary metric stands first in measures"
        )
    return task


def check_recipes(task: Task, study: Study) -> None:
    """Refuse settings that the task would ignore.

    Raises:
        UsageError: labels are to be smoothed, or a network is to be imitated, and the task does not know how.
    """
    recipes: dict[str, Recipe] = {"train": study.train, "finetune": study.finetune}
    for table, recipe in recipes.items():
        if recipe.label_smoothing and type(task).training_loss is Task.training_loss:
            raise UsageError(
                f"{table}.label_smoothing = {recipe.label_smoothing:g}: the task {task.name} has no method "
                "training_loss, which would smooth labels; set it to 0"
            )
        if isinstance(recipe, FinetuneTable) and recipe.distill and type(task).imitation is Task.imitation:
            raise UsageError(
                f"{table}.distill = {recipe.distill:g}: the task {task.name} has no method imitation; set it to 0"
            )
