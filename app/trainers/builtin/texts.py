"""The fixed texts of a bundle: its script and its README. Used by render.py."""

RUN_SH = """#!/bin/sh
# Repeats this run:       sh run.sh            writes again/out/predictions.jsonl
# Repeats and compares:   sh run.sh --check    says how many answers agree with out/predictions.jsonl
# PYTHON=/path/to/python  uses that Python as it is; without it a venv is made from environment.txt.
# MODEL=/path/or/name     takes the base model from there.
set -eu
cd "$(dirname "$0")"
if [ -z "${PYTHON:-}" ]; then
  PYTHON=venv/bin/python
  if [ ! -f venv/complete ]; then
    python3 -m venv venv
    "$PYTHON" -m pip install -r environment.txt
    touch venv/complete
  fi
fi
mkdir -p again
cp config.json train.jsonl validation.jsonl test.jsonl again/
# What failed the last time is tried again.
[ "$(cat again/out/exit_code 2>/dev/null)" = 0 ] || rm -f again/out/exit_code again/out/error.json
export PYTHONPATH=code OMP_WAIT_POLICY=PASSIVE PYTHONDONTWRITEBYTECODE=1
"$PYTHON" -m training again --model "${MODEL:-}"
if [ "${1:-}" = "--check" ]; then
  "$PYTHON" -m training.check out/predictions.jsonl again/out/predictions.jsonl
fi
"""

USES = {
    "baseline": "scikit-learn; it runs in seconds to minutes on any computer",
    "starter": "PyTorch and Transformers; no GPU and no download of weights",
    "hf": "PyTorch, Transformers, PEFT and TRL, and the base model: `model_path` in config.json is its name on "
    "the Hugging Face Hub or, where it begins with ./, a folder that belongs beside this file, whose weights are "
    "known by the SHA-256 in `out/resolved.json`. `MODEL=/its/folder sh run.sh` takes it from elsewhere",
}

README = """# {model}, seed {seed}, on {dataset}

This folder repeats one run of a fine-tuning experiment: the data as the model saw it, every
hyperparameter, the code that trained and predicted, and in `out/` what came of it.

## Repeat it

    sh run.sh

This makes an environment from `environment.txt` (or uses the Python named by `PYTHON=`), trains on
`train.jsonl`, and writes the answers to the test items to `again/out/predictions.jsonl`. A run that was
interrupted goes on where it stopped; remove `again/` to start over.

    sh run.sh --check

does the same and then says how many answers agree, item by item, with those of the original run in
`out/predictions.jsonl`. It needs {uses}.

The same seed, thread count, package versions and kind of processor give the same answers; another
processor or version can differ in a few items, as sums are rounded in another order.

## What is here

| File | What it is |
|---|---|
| `config.json` | model, seed, threads, labels, all hyperparameters |
| `train.jsonl`, `validation.jsonl`, `test.jsonl` | one item a line: `item`, `number`, `line`, and the messages |
| `code/` | the training program; it needs nothing else of ours |
| `environment.txt` | package versions |
| `out/predictions.jsonl` | one answer a test item: `answer`, `p` (probability per class), `logprob`, `latency_ms`, `tokens` |
| `out/resolved.json` | the values that really ran |
| `out/environment.json`, `out/usage.json` | machine, versions, time, tokens, energy |
| `out/metrics.jsonl`, `out/log.txt` | loss by step (where a step stands twice, the later line counts), log |
| `out/adapter/` or `out/model/` | trained weights (safetensors), where there are any |

## What ran

| | |
|---|---|
| Data set | {dataset}, SHA-256 `{dataset_sha256}` |
| Split | {split}, SHA-256 `{split_sha256}` |
| Items | {train} train, {validation} validation, {test} test |
| Seed, threads | {seed}, {threads} |

| Hyperparameter | Value |
|---|---|
{values}
"""
