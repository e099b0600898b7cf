"""The schema of the one trainer that the emulated Replicate has, as Cog writes it."""

PROPERTIES = {
    "train_data": {"type": "string", "format": "uri", "title": "Train Data", "x-order": 0},
    "num_train_epochs": {"type": "integer", "default": 1, "minimum": 1, "title": "Epochs", "x-order": 1},
    "train_batch_size": {"type": "integer", "default": 4, "minimum": 1, "title": "Batch size", "x-order": 2},
    "learning_rate": {"type": "number", "default": 1e-4, "title": "Learning rate", "x-order": 3},
    "lora_rank": {"type": "integer", "default": 8, "title": "LoRA rank", "x-order": 4},
    "pack_sequences": {"type": "boolean", "default": False, "title": "Pack sequences", "x-order": 5},
    "peft_method": {"allOf": [{"$ref": "#/components/schemas/peft_method"}], "default": "lora", "x-order": 6},
    "seed": {"type": "integer", "default": 42, "title": "Seed", "x-order": 7},
}
SCHEMA = {
    "openapi": "3.0.2",
    "components": {
        "schemas": {
            "TrainingInput": {"type": "object", "required": ["train_data"], "properties": PROPERTIES},
            "peft_method": {"enum": ["lora", "qlora"], "type": "string", "title": "peft_method"},
            "Input": {"type": "object", "properties": {"prompt": {"type": "string"}}},
        }
    },
}
