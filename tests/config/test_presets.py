"""The packaged studies: what they ask, and that the small ones stay small."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from prunetui.config import Study, load_study
from prunetui.config.read_study import preset_names, preset_summary, preset_text
from prunetui.errors import ConfigError
from prunetui.plan import Train, build_plan

STUDIES = ("five-methods", "kmeans", "ninety-nine", "ninety-nine-ours", "fine-vs-channel", "gradual-vs-instant")
SHARING = ("five-methods-small", "kmeans-small", "ninety-nine-small", "ninety-nine-ours-small", "fine-vs-channel-small")


@pytest.mark.parametrize(
    ("name", "trials"),
    [
        ("five-methods", 3 * (5 * 9 + 1)), ("five-methods-small", 3 * (5 * 3 + 1)),
        ("kmeans", 3 * (4 * 3 + 1)), ("kmeans-small", 3 * (4 * 3 + 1)),
        ("ninety-nine", 3 * 2), ("ninety-nine-small", 3 * 2),
        ("ninety-nine-ours", 3 * 2), ("ninety-nine-ours-small", 3 * 2),
        ("fine-vs-channel", 3 * (4 * 3 + 1)), ("fine-vs-channel-small", 3 * (3 * 3 + 1)),
        ("gradual-vs-instant", 10 * (10 * 2 + 1)), ("gradual-vs-instant-small", 10 * (2 + 1 + 2 + 1)),
        ("imp-rewinding", 3 * (4 + 1)),
        ("vit-heads", 3 * (4 * 2 + 1)), ("vit-heads-small", 3 * (4 * 2 + 1)),
        ("unet-segmentation", 3 * (5 * 3 + 1)), ("unet-segmentation-small", 3 * (4 * 2 + 1)),
        ("detection", 3 * (5 * 3 + 1)), ("detection-small", 3 * 2 + 1),
        ("tiny-language-model", 3 * (3 * 2 + 1 + 2 * 2 + 1)), ("tiny-language-model-small", 3 * 2 + 1 + 2 * 2 + 1),
    ],
)  # fmt: skip
def test_a_preset_has_this_many_trials(name: str, trials: int):
    assert len(build_plan(load_study(name)).trials) == trials


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_has_a_small_version_and_says_what_the_original_did(name: str):
    full, small = load_study(name), load_study(f"{name}-small")
    assert (full.data.name, full.data.limit) == ("cifar10", None)
    assert small.model.name == "resnet20"
    assert small.data.limit is not None
    assert small.data.limit <= 3000
    assert len(small.seeds) == len(full.seeds) >= 3
    assert "# Original: " in preset_text(name) or "# Original and comparison: " in preset_text(name)
    assert {method.name for method in small.methods} <= {method.name for method in full.methods}
    assert images_trained(small) <= 1_000_000  # ten minutes of two cores, at 1,760 images/s


def images_trained(study: Study) -> float:
    """Images that all trainings of a study pass forward and backward, at the size of the dense network."""
    assert study.data.limit is not None
    plan = build_plan(study)
    epochs = sum(node.step.epochs for node in plan.nodes.values() if isinstance(node.step, Train))
    return study.data.limit * (1 - study.data.validation) * epochs


def test_the_study_of_a_folder_is_streamed_and_says_where_the_images_are(tmp_path: Path):
    for size in ("", "-small"):
        assert load_study(f"resnet50-folder{size}").data.root in ("images", "cifar10")
        with pytest.raises(ConfigError, match=r"data\.root: no folder"):
            load_study(f"resnet50-folder{size}", [f"data.root={tmp_path}"])
    (tmp_path / "train").mkdir()
    full, small = (load_study(f"resnet50-folder{size}", [f"data.root={tmp_path}"]) for size in ("", "-small"))
    assert {(study.data.name, study.data.memory, study.model.name) for study in (full, small)} == {
        ("folder", "stream", "torchvision:resnet50")
    }
    assert (full.data.size, full.train.epochs) == (224, 0)
    assert {method.name for method in small.methods} <= {method.name for method in full.methods}
    assert images_trained(small) * (small.data.size or 0) ** 2 < 20_000 * 64**2  # ten minutes of two cores


def test_small_studies_share_their_dense_networks():
    studies = [load_study(name) for name in SHARING]
    assert len({(study.data, study.model, study.train, study.seeds) for study in studies}) == 1


@pytest.mark.parametrize("size", ["", "-small"])
def test_both_recipes_for_99_percent_end_at_one_size_after_as_many_epochs(size: str):
    theirs, ours = load_study(f"ninety-nine{size}"), load_study(f"ninety-nine-ours{size}")
    assert (theirs.data, theirs.model, theirs.train) == (ours.data, ours.model, ours.train)
    assert (theirs.target, theirs.sparsities) == (ours.target, ours.sparsities)
    assert [m.options["round_to"] for m in (*theirs.methods, *ours.methods)] == [2, 2]
    assert extra_epochs(theirs) == extra_epochs(ours)


@pytest.mark.parametrize("name", ["gradual-vs-instant", "gradual-vs-instant-small"])
def test_gradual_and_instant_train_for_as_long(name: str):
    study = load_study(name)
    assert len(study.seeds) == 10
    assert extra_epochs(study) == {study.finetune.epochs}


def extra_epochs(study: Study) -> set[int]:
    """Epochs of training after the dense network, of each kind of trial."""
    plan = build_plan(study)
    found = set()
    for trial in plan.trials:
        after = [node.step for node in plan.path(trial.after)[len(plan.path(trial.start)) :]]
        found.add(sum(step.epochs for step in after if isinstance(step, Train)))
    return found


def test_tickets_lose_a_fifth_of_their_weights_a_round():
    study = load_study("imp-rewinding")
    levels = study.schedule.levels  # type: ignore[union-attr]
    assert levels == tuple(round(1 - 0.8**i, 6) for i in range(1, 21))
    assert study.sparsities == (levels[4], levels[9], levels[14], levels[19])


def test_all_presets_are_told_apart_by_a_first_line_that_fits():
    summaries = Counter(preset_summary(name) for name in preset_names())
    assert max(summaries.values()) == 1
    assert all(20 < len(summary) <= 120 for summary in summaries)
    assert preset_summary("quickstart").startswith("The default study: real handwritten digits")


@pytest.mark.parametrize("name", ["vit-heads", "unet-segmentation", "detection", "tiny-language-model"])
def test_a_small_version_asks_the_same_of_the_same_kind_of_network(name: str):
    full, small = load_study(name), load_study(f"{name}-small")
    assert (small.model.name, small.task) == (full.model.name, full.task)
    assert {(method.title, method.exclude) for method in small.methods} <= {
        (method.title, method.exclude) for method in full.methods
    }


@pytest.mark.parametrize("name", ["vit-heads", "tiny-language-model"])
def test_heads_are_compared_with_hidden_widths_at_equal_macs(name: str):
    study = load_study(name)
    chosen = {method.label: method for method in study.methods if method.name == "taylor-structured"}
    heads, widths = chosen["heads"], chosen["hidden widths"]
    assert (heads.exclude, widths.exclude) == (("*.mlp.*",), ("*.attention.*",))
    assert {heads.target or study.target, widths.target or study.target} == {"macs"}
    assert heads.sparsities == widths.sparsities
