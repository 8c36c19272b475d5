"""What a task is: how a batch becomes a loss and figures, and which figures there are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from torch import Tensor

from prunetui.api.outputs import RecordedOutputs
from prunetui.api.source import Batch, Source, count_of
from prunetui.errors import Interrupted
from prunetui.metrics import LOSS, Metric, Metrics

Network = Callable[..., Any]
"""A network as a task calls it: ``model(inputs)``. In training its floating outputs are float32 in any arithmetic."""
T = TypeVar("T")


class Accumulator:
    """Running sums over batches, from which the figures of a split are computed at its end."""

    def __init__(self, kept: dict[str, Any] | None = None) -> None:
        self.sums: dict[str, Any] = {}
        self.counts: dict[str, int] = {}
        self.kept = {} if kept is None else kept

    def add(self, name: str, value: Tensor | float) -> None:
        """Add to the running sum called ``name``: a number, or a tensor of any shape, as a confusion matrix."""
        value = value.detach() if isinstance(value, Tensor) else value
        if name in self.sums:
            self.sums[name] = self.sums[name] + value
        else:  # a copy: a recorded step writes into its tensors again
            self.sums[name] = value.clone() if isinstance(value, Tensor) else value

    def mean(self, key: str, values: Tensor) -> None:
        """Add ``values``, one an example (or pixel, or token), whose mean over all batches is the figure ``key``."""
        self.add(key, values.double().sum())
        self.counts[key] = self.counts.get(key, 0) + values.numel()

    def keep(self, name: str, make: Callable[[], T]) -> T:
        """An object that adds up by itself, as those of torchmetrics do: made once, then the same for every batch."""
        if name not in self.kept:
            self.kept[name] = make()
        found: T = self.kept[name]
        return found

    def merge(self, other: Accumulator) -> None:
        """Add all sums of another one."""
        for name, value in other.sums.items():
            self.add(name, value)
        for key, count in other.counts.items():
            self.counts[key] = self.counts.get(key, 0) + count

    def means(self) -> dict[str, float]:
        """The mean of everything that was added by ``mean``."""
        return {key: float(self.sums[key]) / count for key, count in self.counts.items() if count}


@dataclass(frozen=True)
class Evaluation:
    """What a network is evaluated on, and how."""

    source: Source
    split: str
    batch_size: int
    loss: bool
    """Whether the mean loss is asked for."""
    bf16: bool
    """Whether the hardware is fast in bfloat16. A task may use that where its figures stay those of float32."""
    should_stop: Callable[[], bool]

    def batches(self) -> Iterator[Batch]:
        """All batches of the split.

        Raises:
            Interrupted: ``should_stop`` said so, at the latest after one batch.
        """
        for batch in self.source.batches(self.split, self.batch_size):
            yield batch
            self.check_stop()

    def check_stop(self) -> None:
        """Raise ``Interrupted`` if it is to stop."""
        if self.should_stop():
            raise Interrupted("stopped while measuring")


class Task(ABC):
    """How a batch becomes a loss and figures.

    A class that is registered by ``@task`` needs ``loss``, ``metrics`` and ``measures``; all else may stay as it is
    here. It need not derive from this class: what it lacks is taken from here.
    """

    name: ClassVar[str] = "task"
    """As a study names it; the program fills it in."""
    measures: ClassVar[Sequence[Metric]] = ()
    """Its metrics, the primary one first; the loss is always measured besides."""
    outputs: ClassVar[int | None] = None
    """How many outputs the network is built with; None: one a class of the data."""

    @abstractmethod
    def loss(self, model: Network, batch: Batch) -> Tensor:
        """The mean loss of a batch, which training lowers and whose gradients methods look at."""

    @abstractmethod
    def metrics(self, model: Network, batch: Batch, accumulator: Accumulator) -> None:
        """Add what the metrics of a split are computed from; never all outputs."""

    def figures(self, accumulator: Accumulator) -> Mapping[str, float]:
        """The metrics by key, after all batches."""
        return accumulator.means()

    def inputs(self, batch: Batch) -> Any:
        """What of a batch goes into the network: one tensor, several in a tuple, or by name in a mapping."""
        return batch[0]

    def training_loss(self, model: Network, batch: Batch, label_smoothing: float) -> Tensor:
        """The loss in training; a task that overrides this knows what to do with the recipe's label smoothing."""
        return self.loss(model, batch)

    def training_metrics(self, model: Network, batch: Batch, accumulator: Accumulator) -> None:
        """What training shows of its progress: the primary metric of the batches so far is enough."""
        self.metrics(model, batch, accumulator)

    def imitation(self, loss: Tensor, outputs: Any, taught: Any, weight: float, temperature: float) -> Tensor:
        """The loss with a part, by ``weight``, for differing from ``taught``, the outputs of the dense network."""
        raise NotImplementedError(f"the task {self.name} has no method imitation")

    def check_outputs(self, outputs: Any, examples: int, classes: int | None) -> str:
        """What is wrong with a network's outputs of so many examples, as a sentence; empty where nothing is.

        ``classes`` is how many outputs it was built with, where the data or the task says.
        """
        return ""

    def evaluate(self, model: Network, evaluation: Evaluation) -> Mapping[str, float | None]:
        """The metrics by key, and the mean loss if it is asked for.

        A task may override this with something faster that finds the same figures.
        """
        accumulator, losses = Accumulator(), Accumulator()
        for batch in evaluation.batches():
            recorded = RecordedOutputs(model)
            self.metrics(recorded, batch, accumulator)
            if evaluation.loss and not self.measures_loss:
                losses.mean(LOSS.key, self.loss(recorded.again(), batch).expand(count_of(batch)))
        return {LOSS.key: losses.means().get(LOSS.key), **self.figures(accumulator)}

    @property
    def measures_loss(self) -> bool:
        """Whether the loss is one of its own metrics."""
        return LOSS.key in {metric.key for metric in self.measures}

    @property
    def table(self) -> Metrics:
        """Its metrics as tables, files and charts take them."""
        return Metrics(self.measures[0], tuple(self.measures[1:]))
