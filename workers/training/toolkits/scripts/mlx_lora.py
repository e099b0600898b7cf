"""What trains with MLX: `python mlx_lora.py CONFIG.yaml METRICS.jsonl` does what `mlx_lm.lora -c CONFIG.yaml` does and
writes each report as a line of JSON, since its command offers no callback. Stands alone: started by mlx.py by its path."""

import json
import sys
import types
from pathlib import Path
from typing import Any


def main(config: str, metrics: str) -> None:
    """Trains by the configuration; each key must be one that mlx_lm.lora has."""
    import numpy as np
    import yaml
    from mlx_lm.lora import CONFIG_DEFAULTS, train_model
    from mlx_lm.tuner.datasets import load_dataset
    from mlx_lm.utils import load

    given = yaml.safe_load(Path(config).read_text(encoding="utf-8"))
    unknown = sorted(set(given) - set(CONFIG_DEFAULTS) - {"hf_dataset"})
    if unknown:
        raise SystemExit(f"mlx_lm.lora does not know {', '.join(unknown)}.")
    args = types.SimpleNamespace(**{**CONFIG_DEFAULTS, **given})
    np.random.seed(args.seed)
    model, tokenizer = load(args.model, tokenizer_config={"trust_remote_code": False})
    train, validation, _ = load_dataset(args, tokenizer)
    train_model(args, model, train, validation, _callback(Path(metrics), args.iters))


def _callback(metrics: Path, iters: int) -> Any:
    from mlx_lm.tuner.callbacks import TrainingCallback

    class Report(TrainingCallback):  # type: ignore[misc]
        def on_train_loss_report(self, train_info: dict[str, Any]) -> None:
            _write(metrics, {"iters": iters, **train_info})

        def on_val_loss_report(self, val_info: dict[str, Any]) -> None:
            _write(metrics, {"iters": iters, **val_info})

    return Report()


def _write(file: Path, values: dict[str, Any]) -> None:
    with file.open("a", encoding="utf-8") as opened:
        opened.write(json.dumps(values, default=float) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
