"""Our configuration of Unsloth in the shape of its own command, whose check is strict. Used by the test of it."""

from typing import Any


def command_config(settings: dict[str, Any], data: str) -> dict[str, Any]:
    """What `unsloth train -c` takes; what it has no key for (schedule, betas, optimizer, clipping) is left out."""
    model, lora, training = settings["model"], settings["lora"], settings["training"]
    return {
        "model": model["model_name"],
        "data": {"local_dataset": [data], "format_type": "chatml"},
        "training": {
            "training_type": "lora",
            "max_seq_length": model["max_seq_length"],
            "load_in_4bit": model["load_in_4bit"],
            "output_dir": training["output_dir"],
            "num_epochs": training["num_train_epochs"],
            "learning_rate": training["learning_rate"],
            "batch_size": training["per_device_train_batch_size"],
            "gradient_accumulation_steps": training["gradient_accumulation_steps"],
            "weight_decay": training["weight_decay"],
            "random_seed": training["seed"],
            "packing": training["packing"],
            "train_on_completions": True,
            "gradient_checkpointing": lora["use_gradient_checkpointing"] or "none",
        },
        "lora": {
            "lora_r": lora["r"],
            "lora_alpha": lora["lora_alpha"],
            "lora_dropout": lora["lora_dropout"],
            "target_modules": ",".join(lora["target_modules"]),
            "use_rslora": lora["use_rslora"],
        },
    }
