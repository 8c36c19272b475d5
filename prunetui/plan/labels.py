"""What tables and charts call the methods of a study."""

from __future__ import annotations

from prunetui.config import Method, Study
from prunetui.config.choices import schedule_of, target_of
from prunetui.schedules import schedule_name


def labels_of(study: Study) -> list[str]:
    """The label of each method; several entries of one method show as much as tells them apart."""
    names = [method.label or method.name for method in study.methods]
    labels = []
    for i, name in enumerate(names):
        twins = [j for j, other in enumerate(names) if other == name and j != i]
        labels.append(name if not twins else _distinct(study, i, twins, name))
    return [label if labels.count(label) == 1 else f"{label} #{i + 1}" for i, label in enumerate(labels)]


def _distinct(study: Study, index: int, twins: list[int], name: str) -> str:
    """``name`` with the fewest settings, schedule first, that no twin has all of."""
    mine = _settings(study, study.methods[index])
    rivals = [_settings(study, study.methods[j]) for j in twins]
    words = [name]
    for key, word in mine.items():
        differing = [rival for rival in rivals if rival.get(key) != word]
        if differing:
            words.append(word)
            rivals = [rival for rival in rivals if rival not in differing]
    return " ".join(words)


def _settings(study: Study, method: Method) -> dict[str, str]:
    options = {key: f"{key}={value}" for key, value in method.options.items()}
    schedule = schedule_name(schedule_of(study, method))
    return {"schedule": schedule, "target": target_of(study, method), **options}
