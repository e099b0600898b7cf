"""The body that creates a fine-tuning job at Mistral, as a schema made from its published description."""

ID = {"type": "string", "format": "uuid"}
FILE = {
    "type": "object",
    "properties": {"file_id": ID, "weight": {"type": "number", "exclusiveMinimum": 0}},
    "required": ["file_id"],
    "additionalProperties": False,
}
VALUES = {
    "type": "object",
    "properties": {
        "training_steps": {"type": ["integer", "null"], "minimum": 1},
        "learning_rate": {"type": "number", "minimum": 1e-8, "maximum": 1},
        "weight_decay": {"type": "number", "minimum": 0, "maximum": 1},
        "warmup_fraction": {"type": "number", "minimum": 0, "maximum": 1},
        "epochs": {"type": "number", "exclusiveMinimum": 0},
        "seq_len": {"type": "integer", "minimum": 100},
        "fim_ratio": {"type": "number"},
    },
    "additionalProperties": False,
}
JOB = {
    "type": "object",
    "properties": {
        "model": {"type": "string"},
        "training_files": {"type": "array", "items": FILE},
        "validation_files": {"type": ["array", "null"], "items": ID},
        "suffix": {"type": ["string", "null"], "maxLength": 18},
        "auto_start": {"type": "boolean"},
        "invalid_sample_skip_percentage": {"type": "number", "minimum": 0, "maximum": 0.5},
        "job_type": {"enum": ["completion", "classifier", None]},
        "hyperparameters": VALUES,
    },
    "required": ["model", "hyperparameters"],
    "additionalProperties": False,
}
