"""What a bundle of the built-in trainer needs, as a sentence of its README. Used by render.py."""

USES = {
    "baseline": "scikit-learn; it runs in seconds to minutes on any computer",
    "starter": "PyTorch and Transformers; no GPU and no download of weights",
    "hf": "PyTorch, Transformers, PEFT and TRL, and the base model: `model_path` in config.json is its name on "
    "the Hugging Face Hub or, where it begins with ./, a folder that belongs beside this file, whose weights are "
    "known by the SHA-256 in `out/resolved.json`. `MODEL=/its/folder sh run.sh` takes it from elsewhere",
}
