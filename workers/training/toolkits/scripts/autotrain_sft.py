"""What trains with AutoTrain: `python autotrain_sft.py CONFIG.yaml` does what `autotrain --config CONFIG.yaml` does, with
the seed of the file: AutoTrain 0.8.36 hands it on to Unsloth alone. It runs in the file's folder, for the output's name
may hold no slash. Stands alone: started by autotrain.py by its path, and once more by AutoTrain for the training itself."""

import json
import os
import sys
from pathlib import Path
from typing import Any

FLAG = "--training_config"


def main(config: str) -> None:
    """Reads the file and starts the training. Exits with a sentence where AutoTrain does not know a key of it."""
    import autotrain.utils
    from autotrain.parser import AutoTrainConfigParser
    from autotrain.trainers.clm.params import LLMTrainingParams

    file = Path(config).resolve()
    # AutoTrain starts `accelerate` by its name.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    launch = autotrain.utils.launch_command
    autotrain.utils.launch_command = lambda params: _by_this(launch(params))
    os.chdir(file.parent)
    parser = AutoTrainConfigParser(file.name)
    top = {"task", "base_model", "project_name", "log", "backend", "data", "params", "hub"}
    unknown = sorted(
        (set(parser.config) - top) | (set(parser.parsed_config) - set(LLMTrainingParams.model_fields))
    )
    if unknown:
        raise SystemExit(f"AutoTrain does not know {', '.join(unknown)}.")
    parser.run()


def _by_this(command: list[str]) -> list[str]:
    """The command of the training with this file in the place of AutoTrain's own module."""
    place = command.index("-m")
    return [*command[:place], str(Path(__file__).resolve()), *command[place + 2 :]]


def train(file: str) -> None:
    """Trains with the seed of the parameters for the new matrices, the rows' order and dropout."""
    from autotrain.trainers import common
    from autotrain.trainers.clm import utils
    from autotrain.trainers.clm.__main__ import train as run
    from autotrain.trainers.clm.params import LLMTrainingParams
    from transformers import set_seed

    params = LLMTrainingParams(**json.loads(Path(file).read_text(encoding="utf-8")))
    configure = utils.configure_training_args

    def seeded(config: Any, logging_steps: int) -> dict[str, Any]:
        return {**configure(config, logging_steps), "seed": params.seed, "data_seed": params.seed}

    utils.configure_training_args = seeded
    common.LossLoggingCallback.on_log = _of_one_batch(common.LossLoggingCallback.on_log)
    set_seed(params.seed)
    run(params)


def _of_one_batch(told: Any) -> Any:
    """Transformers 4.48.0 logs the sum over accumulated batches for models that take further arguments, not the mean."""
    import inspect

    def on_log(self: Any, args: Any, state: Any, control: Any, logs: Any = None, **more: Any) -> None:
        model = more["model"]
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        kinds = [one.kind for one in inspect.signature(base.forward).parameters.values()]
        if "loss" in logs and inspect.Parameter.VAR_KEYWORD in kinds:
            logs = {**logs, "loss": logs["loss"] / args.gradient_accumulation_steps}
        told(self, args, state, control, logs, **more)

    return on_log


if __name__ == "__main__":
    if FLAG in sys.argv:
        train(sys.argv[sys.argv.index(FLAG) + 1])
    else:
        main(sys.argv[1])
