"""What tables and charts call the methods of a study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from prunetui.config import MethodTable, Study
from prunetui.config.choices import schedule_of, target_of
from prunetui.plan.schedules import schedule_name

Words = tuple[str | None, ...]


def labels_of(study: Study) -> list[str]:
    """The label of each method; several entries of one method show as much as tells them apart."""
    names = [method.title for method in study.methods]
    twins: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        twins.setdefault(name, []).append(i)
    labels = list(names)
    for name, places in twins.items():
        if len(places) > 1:
            settings = [_settings(study, study.methods[i]) for i in places]
            for i, words in zip(places, _distinct(settings), strict=True):
                labels[i] = " ".join([name, *words])
    counts = Counter(labels)
    return [label if counts[label] == 1 else f"{label} #{i + 1}" for i, label in enumerate(labels)]


def _distinct(settings: Sequence[Mapping[str, str]]) -> list[list[str]]:
    """For each of some methods the fewest of its settings, first ones first, that no other has all of."""
    alike: dict[tuple[str, ...], Counter[Words]] = {}
    """For settings in one order: how many methods begin with the same words."""
    found = []
    for mine in settings:
        order = tuple(mine)
        if order not in alike:
            alike[order] = Counter(start for one in settings for start in _starts([one.get(key) for key in order]))
        counts = [len(settings), *(alike[order][start] for start in _starts(list(mine.values())))]
        found.append([word for i, word in enumerate(mine.values()) if counts[i + 1] < counts[i]])
    return found


def _starts(words: list[str | None]) -> list[Words]:
    """The first word, the first two, and so on."""
    return [tuple(words[: i + 1]) for i in range(len(words))]


def _settings(study: Study, method: MethodTable) -> dict[str, str]:
    options = {key: f"{key}={value}" for key, value in method.options.items()}
    if method.exclude:
        options["exclude"] = f"without {', '.join(method.exclude)}"
    schedule = schedule_name(schedule_of(study, method))
    return {"schedule": schedule, "target": target_of(study, method), **options}
