"""TOML -> frozen ``Study``. The only way a study comes into being; never imports torch."""

from prunetui.config.read_study import find_study, load_study, parse_study
from prunetui.config.recipes import Recipe
from prunetui.config.schedule import AnySchedule, AtInit, Iterative, OneShot
from prunetui.config.schema import DataTable, LayersTable, MeasureTable, MethodTable, ModelTable, Study, Target
from prunetui.config.write import commented_study, study_toml

__all__ = [
    "AnySchedule",
    "AtInit",
    "DataTable",
    "Iterative",
    "LayersTable",
    "MeasureTable",
    "MethodTable",
    "ModelTable",
    "OneShot",
    "Recipe",
    "Study",
    "Target",
    "commented_study",
    "find_study",
    "load_study",
    "parse_study",
    "study_toml",
]
