"""The Trainer of Transformers with our batches, and the loss on the answers alone. Made by hub.py."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer

from .hub_batch import IGNORED, Example, behind, examples, padded
from .hub_rows import Batches
from .starter_training import Row

# Logits of more values than this are turned into a loss piece by piece: in 32 bits they would fill the memory.
MOST_LOGITS = 2**27


class AnswerTrainer(Trainer):
    """Trains on `rows`; `held_out` rows give the validation loss. The loss is the mean over the answers' tokens of a
    step, however they are spread over batches and devices."""

    def __init__(
        self, *, rows: list[Row], held_out: list[Row], values: dict[str, Any], pad: int, **given: Any
    ) -> None:
        super().__init__(eval_dataset=held_out or None, **given)
        own: Any = self.model
        own.train()
        # The loss below divides by the tokens of the whole step itself.
        self.model_accepts_loss_kwargs = True
        self.values, self.pad = values, pad
        self.examples = [
            *examples(rows),
            (torch.tensor(rows[0][0]), torch.zeros(len(rows[0][0]), dtype=torch.bool)),
        ]
        self.held_out = sorted(examples(held_out), key=lambda example: len(example[0]))
        lengths = [len(ids) for ids, _ in rows]
        self.batches = Batches(lengths, values, self.args.seed, self.args.process_index, self._epoch)
        self.tokens = 0
        self.answers = Answers(self.model)
        self.remove_callback(PrinterCallback)
        # What is done at every step goes through the trained weights alone: a small model with an adapter has hundreds
        # of layers that have none, and walking them takes as long as some of the mathematics.
        self.trained = [part for part in own.parameters() if part.requires_grad]
        own.zero_grad = self._zero_grad

    def _epoch(self) -> int:
        return int(self.state.epoch or 0)

    def train(self, *given: Any, **options: Any) -> Any:
        """Trains; what is loaded by now stays, so that nothing looks through it for garbage at every turn."""
        gc.freeze()
        try:
            return super().train(*given, **options)
        finally:
            gc.unfreeze()

    def get_train_dataloader(self) -> Any:
        """Batches by our own plan, shared among the devices by it too."""
        return DataLoader(
            self.examples,  # type: ignore[arg-type]
            batch_sampler=self.batches,  # type: ignore[arg-type]
            collate_fn=self.collate,
            pin_memory=self.args.dataloader_pin_memory,
        )

    def collate(self, batch: list[Example]) -> dict[str, Any]:
        """A batch as tensors; counts its tokens."""
        self.tokens += sum(len(ids) for ids, _ in batch)
        return self._tensors(batch)

    def _tensors(self, batch: list[Example]) -> dict[str, Any]:
        if not self.values["padding_free"]:
            return padded(batch, self.pad)
        return behind(batch, named=self.values["attention"] == "sdpa")

    def training_step(
        self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Forward and backward of one batch. The model is in training mode: evaluate() puts it back."""
        inputs = self._prepare_inputs(inputs)
        with self.compute_loss_context_manager():
            loss = self.compute_loss(model, inputs, num_items_in_batch=num_items_in_batch)
        # As accelerate does it, which looks for an optional package each time.
        loss.backward()
        return loss.detach()

    def _zero_grad(self, set_to_none: bool = True) -> None:
        for part in self.trained:
            part.grad = None

    def _clip_grad_norm(self, model: Any) -> Any:
        if self.is_fsdp_enabled:
            return super()._clip_grad_norm(model)
        return torch.nn.utils.clip_grad_norm_(self.trained, self.args.max_grad_norm)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The sum over the answers' tokens of this batch, as a part of the mean over the step."""
        total = self._sum(model, inputs)
        count = inputs["labels"].ne(IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
        loss = total / count
        # The devices' gradients are averaged.
        return loss * self.accelerator.num_processes if num_items_in_batch is not None else loss

    def _sum(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        given = {
            name: value for name, value in inputs.items() if name not in ("places", "labels", "shift_labels")
        }
        with self.answers.at(inputs["places"]):
            logits = model(**given, use_cache=False).logits
        return loss_sum(self.answers.of(logits, inputs["places"]), inputs["labels"])

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """The mean loss per answer token of the held-out rows, each device doing its share."""
        model: Any = self.model_wrapped if self.is_fsdp_enabled else self.model
        size, devices = self.args.per_device_eval_batch_size, self.accelerator.num_processes
        found = torch.zeros(2, device=self.args.device)
        model.eval()
        for number, start in enumerate(range(0, len(self.held_out), size)):
            mine = number % devices == self.args.process_index
            # With sharded weights each device waits for the others at every batch.
            if mine or self.is_fsdp_enabled:
                inputs = self._prepare_inputs(self._tensors(self.held_out[start : start + size]))
                with torch.no_grad(), self.compute_loss_context_manager():
                    total = self._sum(model, inputs)
                found += torch.stack([total.float(), inputs["labels"].ne(IGNORED).sum().float()]) * mine
        model.train()
        loss, count = self.accelerator.reduce(found).tolist()
        metrics = {"eval_loss": loss / max(1.0, count)}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds how many tokens were read so far."""
        super().log({**logs, "num_tokens": float(self.tokens * self.accelerator.num_processes)}, start_time)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Not counted: nobody reads it, and counting goes through all weights at every batch."""
        return 0


class Answers:
    """Cuts what goes into the model's last layer down to the places of the answers."""

    def __init__(self, model: Any) -> None:
        self._places: torch.Tensor | None = None
        head = model.get_output_embeddings()
        head.register_forward_pre_hook(self._cut)

    def _cut(self, _: Any, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if self._places is None:
            return None
        hidden = given[0]
        return (hidden.reshape(-1, hidden.shape[-1]).index_select(0, self._places).unsqueeze(0), *given[1:])

    @contextmanager
    def at(self, places: torch.Tensor) -> Iterator[None]:
        """While this is entered the model gives logits (1, places, vocabulary)."""
        self._places = places
        try:
            yield
        finally:
            self._places = None

    def of(self, logits: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """The logits (places, vocabulary), also of a model whose last layer is worked out without being called."""
        if logits.shape[0] == 1 and logits.shape[1] == len(places):
            return logits[0]
        return logits.reshape(-1, logits.shape[-1]).index_select(0, places)


def loss_sum(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The sum of the cross entropy over all places, in 32 bits."""
    if logits.numel() <= MOST_LOGITS:
        return _loss_sum(logits, labels)
    size = max(1, MOST_LOGITS // logits.shape[-1])
    pieces = zip(logits.split(size), labels.split(size), strict=True)
    parts = [checkpoint(_loss_sum, *piece, use_reentrant=False) for piece in pieces]
    return torch.stack(parts).sum()


def _loss_sum(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return cross_entropy(logits.float(), labels, ignore_index=IGNORED, reduction="sum")
