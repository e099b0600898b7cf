"""What trains with Ludwig: `python ludwig_llm.py CONFIG.yaml ROWS.csv OUTPUT METRICS.jsonl SEED` does what `ludwig train`
does and writes each step as a line of JSON, since its progress bar tells some steps with three digits. Stands alone:
started by ludwig.py by its path."""

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def main(config: str, rows: str, output: str, metrics: str, seed: str) -> None:
    """Trains by the configuration; each key must be one that Ludwig has. Answers such as "null" stay text."""
    from ludwig.utils import error_handling_utils

    # It would try to load a model that cannot be loaded for minutes.
    error_handling_utils.default_retry = lambda *_, **__: lambda function: function
    import pandas
    import yaml
    from ludwig.api import LudwigModel
    from ludwig.utils.misc_utils import set_random_seed

    given = yaml.safe_load(Path(config).read_text(encoding="utf-8"))
    set_random_seed(int(seed))
    model = LudwigModel(config=given, logging_level=logging.INFO, callbacks=[_callback(Path(metrics))])
    unknown = sorted(set(_paths(given)) - set(_paths(model.config)))
    if unknown:
        raise SystemExit(f"Ludwig does not know {', '.join(unknown)}.")
    table = pandas.read_csv(rows, dtype=str, keep_default_na=False)
    table["split"] = table["split"].astype(int)
    model.train(
        dataset=table,
        experiment_name="experiment",
        model_name="run",
        skip_save_progress=True,
        skip_save_log=True,
        skip_save_processed_input=True,
        output_directory=output,
        random_seed=int(seed),
    )


def _paths(config: Any, before: str = "") -> Iterator[str]:
    """The keys of a nested configuration, dotted; those in lists without their number."""
    for one in config if isinstance(config, list) else [config]:
        for key, value in one.items() if isinstance(one, dict) else ():
            yield f"{before}{key}"
            yield from _paths(value, f"{before}{key}.")


def _callback(metrics: Path) -> Any:
    """Tells each step of the optimizer with the mean loss of its batches, and the validation loss."""
    from ludwig.callbacks import Callback
    from ludwig.trainers.trainer import Trainer

    losses: list[float] = []
    step = Trainer.train_step

    def kept(self: Any, *given: Any, **named: Any) -> Any:
        told = step(self, *given, **named)
        losses.append(float(told[0].detach()) * self.gradient_accumulation_steps)
        return told

    Trainer.train_step = kept

    class Report(Callback):  # type: ignore[misc]
        steps = 0

        def on_batch_end(self, trainer: Any, tracker: Any, path: str, sync_step: bool = True) -> None:
            if not sync_step:
                return
            self.steps += 1
            mean = sum(losses) / len(losses)
            losses.clear()
            told = {"step": self.steps, "loss": mean, "learning_rate": tracker.learning_rate}
            _write(metrics, told | {"fraction": tracker.steps / trainer.total_steps})

        def on_validation_end(self, trainer: Any, tracker: Any, path: str) -> None:
            loss = tracker.validation_metrics["response"]["loss"][-1].value
            fraction = tracker.steps / trainer.total_steps
            _write(metrics, {"step": self.steps, "validation_loss": loss, "fraction": fraction})

    return Report()


def _write(file: Path, values: dict[str, Any]) -> None:
    with file.open("a", encoding="utf-8") as opened:
        opened.write(json.dumps(values, default=float) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
