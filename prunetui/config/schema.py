"""What a study may say: every key, its range, its default and one line of help.

The docstring under a field is its help: in ``prunetui init``, in the JSON Schema and in the terminal app.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from prunetui.config.named import Named
from prunetui.config.recipes import FinetuneTable, TrainTable
from prunetui.config.schedule import OneShot, Schedule
from prunetui.config.table import Fraction, TomlTable, Values, unique
from prunetui.plugins.own_files import short

Target = Literal["sparsity", "channels", "params", "macs", "threshold", "pattern"]
Options = dict[str, Any]


def as_table(raw: object) -> object:
    """A method given by its name alone is a table with a name."""
    return {"name": raw} if isinstance(raw, str) else raw


def _open_table(schema: dict[str, Any]) -> None:
    """In the JSON Schema a method's own options are further keys of its table."""
    schema["properties"].pop("options")
    schema["additionalProperties"] = True


def _augment(raw: object) -> object:
    return {True: "auto", False: "none"}.get(raw, raw) if isinstance(raw, bool) else raw


class StatisticsTable(TomlTable):
    """Mean and standard deviation of each channel, of pixels scaled to [0, 1]."""

    mean: Annotated[tuple[float, ...], Field(strict=False, min_length=1)]
    """Mean of each channel."""
    std: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(strict=False, min_length=1)]
    """Standard deviation of each channel."""

    @model_validator(mode="after")
    def _one_of_each(self) -> StatisticsTable:
        if len(self.mean) != len(self.std):
            raise ValueError(f"one mean and one deviation a channel: there are {len(self.mean)} and {len(self.std)}")
        return self


class DataTable(TomlTable):
    """The images, or other examples, that a study trains and measures on."""

    name: Annotated[str, Named("data")] = "digits"
    """Data set; `folder` is an image tree root/{train,test|val}/<class>/<image>."""
    root: str = "data"
    """Where downloaded data is kept, or the image tree of `folder`."""
    validation: Fraction = 0.1
    """Part of the training images held out for choices, stratified by class."""
    normalize: Literal["auto", "imagenet", "half"] | StatisticsTable = "auto"
    """Input normalisation: `auto` measures the training images, `half` maps to [-1, 1], or {mean, std}."""
    augment: Annotated[
        Literal["auto", "none", "crop", "flip", "crop+flip", "resized-crop+flip"], BeforeValidator(_augment)
    ] = "auto"
    """Augmentation of training images; `auto` picks what suits the data set. true = auto, false = none."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """Use at most this many training and this many test images, drawn evenly from the classes."""
    size: Annotated[int, Field(ge=4, le=1024)] | None = None
    """Side in pixels that images are resized to; default: their own, in a `folder` the commonest shorter side."""
    corrupt: Literal["refuse", "skip"] = "refuse"
    """What to do when an image of `folder` cannot be decoded."""
    memory: Literal["auto", "device", "stream"] = "auto"
    """Where examples lie: on the device, or made anew for each batch by workers; `auto` streams what would not fit."""
    workers: Annotated[int, Field(ge=0, le=256)] | Literal["auto"] = "auto"
    """Processes that make streamed examples, for each one that computes; `auto` shares the cores, 0 starts none."""
    options: Options | None = None
    """Further options of a data set of your own, as its function takes them."""


class ModelTable(TomlTable):
    """The network, built for the data's image size, channels and classes."""

    name: Annotated[str, Named("model")] = "resnet20"
    """Architecture: a built-in one in its CIFAR form, `net.py:make_net`, `torchvision:resnet50`, `timm:...`, ..."""
    shortcut: Literal["A", "B"] | None = None
    """Where a resnet20 changes shape: A pads with zeros, B is a convolution; default: the checkpoint's, or B."""
    width: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Channels of the first stage; default: the checkpoint's, else 16 for the resnet20 family, 64 for the others."""
    checkpoint: str | None = None
    """Weights to start from (a file, or `torchvision:DEFAULT`); dense training is then off unless asked for."""
    key: str | None = None
    """Where in the checkpoint the weights are, if they are there several times, as in "state_dict_ema"."""
    keep_zeros: bool = True
    """Zeros of the checkpoint beyond chance count as pruned and stay, but in dynamic schedules; false lets grow."""
    options: Options | None = None
    """Further options of a model that is not built in, as its function takes them."""
    config: Options | None = None
    """Of a model `transformers:CLASS` instead: keys of its configuration."""


class TaskTable(TomlTable):
    """What the network is for: the loss it is trained with, and the metrics that are measured."""

    name: Annotated[str, Named("task")] = "classification"
    """Task; `my_task.py:name` is one in a file of your own."""
    options: Options | None = None
    """Further options of a task of your own, as its class takes them."""


class PartTable(TomlTable):
    """One method of a hybrid; other keys of the table are the method's own options."""

    model_config = ConfigDict(json_schema_extra=_open_table)

    name: str
    """Name as `prunetui methods` lists it."""
    share: Annotated[float, Field(gt=0, le=1)] | None = None
    """Its part of what the hybrid removes; those that say nothing share the rest evenly."""
    options: Options = Field(default_factory=dict)
    """The method's own options (written straight into the table)."""


class MethodTable(TomlTable):
    """One pruning method of the study; what it leaves open it takes from the study."""

    model_config = ConfigDict(json_schema_extra=_open_table)

    name: str
    """Name as `prunetui methods` lists it; other keys of the table are the method's own options."""
    label: Annotated[str, Field(max_length=200)] | None = None
    """How charts and tables call it; default: its name."""
    schedule: Schedule | None = None
    """Its own schedule, if it differs from the study's."""
    parts: Annotated[
        tuple[Annotated[PartTable, BeforeValidator(as_table, json_schema_input_type=str | PartTable)], ...],
        Field(strict=False),
    ] = ()
    """The methods of a `hybrid`, in the order they are applied."""
    target: Target | None = None
    """Its own target, if it differs from the study's."""
    sparsities: Values | None = None
    """Its own sparsities (or thresholds, with the target `threshold`), if they differ from the study's."""
    exclude: Annotated[tuple[str, ...], Field(strict=False)] | None = None
    """Layers that it leaves alone besides those of [layers], as in "*.mlp.*"; coupled channels stay together."""
    options: Options = Field(default_factory=dict)
    """The method's own options (written straight into the table)."""

    @property
    def title(self) -> str:
        """What it is called where people read: its label, else its name without the path to a file of the user's."""
        return self.label or short(self.name)


class LayersTable(TomlTable):
    """Which layers are left as they are."""

    exclude: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Names of layers to leave alone, with wildcards as in "layer1.*"; coupled channels stay together."""
    first: Literal["keep", "prune"] = "keep"
    """The first layer's weights. Its channels go with those they are coupled to, unless it is excluded."""
    last: Literal["keep", "prune"] = "keep"
    """The classifier's weights; its outputs always stay."""
    floor: Fraction = 0.0
    """Fraction of its weights, or channels, that every layer keeps whatever its scores."""


class MeasureTable(TomlTable):
    """What is measured of every trial."""

    control: bool = True
    """Train the dense net for the same extra epochs too; false saves that, and nothing tells what they are worth."""
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 512
    """Images a step of evaluation."""
    loss: bool = True
    """The mean loss on the test split. It takes float32 of more images than accuracies do, which are faster alone."""
    recalibrate: Annotated[int, Field(ge=0)] = 2048
    """Training images that re-estimate batch-norm statistics after an edit; 0 leaves the statistics alone."""
    calibrate: Annotated[int, Field(ge=1)] = 512
    """Training images that data-driven methods may look at."""
    latency: bool = True
    """Time a forward pass of 1 and of 128 images, on one CPU thread and on the run's GPU; masked nets are not timed."""
    keep_models: bool = True
    """Keep the final network of every trial under models/."""


class ExecutionTable(TomlTable):
    """How a study is executed; it does not change what is asked."""

    parallel: Annotated[int, Field(ge=1, le=256)] | Literal["auto"] = 1
    """Trials at once on one device, each in its process: a number, or `auto` (one a core; few on CUDA)."""
    threads: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] = "auto"
    """CPU threads of each process; `auto` shares the cores. Sums, and so last digits, depend on how many there are."""
    cuda_graphs: bool = False
    """Record training steps on CUDA and replay them: small nets no longer wait for the CPU. Not yet measured."""


class Study(TomlTable):
    """A question: model x data x methods x sparsities x schedule x seeds."""

    name: Annotated[str, Field(min_length=1, max_length=80)] = "study"
    """What the study is called."""
    kind: Literal["compare", "sensitivity"] = "compare"
    """`sensitivity` prunes one layer, or one group of coupled channels, at a time."""
    seeds: Annotated[
        tuple[Annotated[int, Field(ge=0, lt=2**31)], ...],
        Field(strict=False, min_length=1),
        AfterValidator(unique),
    ] = (0,)
    """One independent repetition each; spreads are taken over them."""
    sparsities: Values = (0.5, 0.7, 0.8, 0.9, 0.95)
    """Fractions to remove, in [0, 1): a list, or a range as in "0.1..0.9/0.1"."""
    target: Target = "sparsity"
    """What the fractions are fractions of: prunable weights, channels of each layer, parameters or MACs."""
    schedule: Schedule = OneShot()
    """`one-shot`, `iterative`, `gradual`, `lottery-ticket`, `lr-rewinding`, `at-init`, `dynamic`, `during-training`,
    `dense-sparse-dense`, or a table."""
    data: DataTable = DataTable()
    model: ModelTable = ModelTable()
    task: TaskTable = TaskTable()
    train: TrainTable = TrainTable()
    finetune: FinetuneTable = FinetuneTable()
    measure: MeasureTable = MeasureTable()
    layers: LayersTable = LayersTable()
    run: ExecutionTable = ExecutionTable()
    methods: Annotated[
        tuple[Annotated[MethodTable, BeforeValidator(as_table, json_schema_input_type=str | MethodTable)], ...],
        Field(strict=False, min_length=1, max_length=1000),
    ] = (MethodTable(name="global-unstructured"),)
    """The methods to compare: names, or tables with options."""
