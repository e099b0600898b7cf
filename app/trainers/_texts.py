"""The fixed texts of a bundle: its script and its README. Used by _bundle.py."""

RUN_SH = """#!/bin/sh
# Repeats this run:       sh run.sh            writes again/out/predictions.jsonl
# Repeats and compares:   sh run.sh --check    says how many answers agree with out/predictions.jsonl
# Runs in this folder:    sh run.sh --here     writes out/predictions.jsonl, for a first run
# PYTHON=/path/to/python  uses that Python as it is; without it an environment is made from environment.txt.
# ENVIRONMENTS=/folder    keeps the environments there, for several bundles.
# MODEL=/path/or/name     takes the base model from there.
set -eu
cd "$(dirname "$0")"
if [ -z "${PYTHON:-}" ]; then
  export ENVIRONMENTS="${ENVIRONMENTS:-$PWD/environments}"
fi
if [ "${1:-}" = "--here" ]; then
  folder=.
else
  folder=again
  mkdir -p again
  for file in *; do
    case "$file" in run.sh | README.md) ;; *) [ -f "$file" ] && cp "$file" again/ ;; esac
  done
  # What failed the last time is tried again.
  [ "$(cat again/out/exit_code 2>/dev/null)" = 0 ] || rm -f again/out/exit_code again/out/error.json
fi
export PYTHONPATH="$PWD/code" OMP_WAIT_POLICY=PASSIVE PYTHONDONTWRITEBYTECODE=1
"${PYTHON:-python3}" -m training "$folder" --model "${MODEL:-}"
if [ "${1:-}" = "--check" ]; then
  "${PYTHON:-python3}" -m training.check out/predictions.jsonl again/out/predictions.jsonl
fi
"""

README = """# {model}, seed {seed}, on {dataset}

This folder repeats one run of a fine-tuning experiment: the data as the model saw it, every
hyperparameter, the code that trained and predicted, and in `out/` what came of it.

## Repeat it

    sh run.sh

This makes an environment from `environment.txt` in `environments/` (or uses the Python named by `PYTHON=`), trains on
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
{files}| `train.jsonl`, `validation.jsonl`, `test.jsonl` | one item a line: `item`, `number`, `line`, and the messages |
| `code/` | the training program; it needs nothing else of ours |
| `environment.txt`, `environment.json` | package versions, and the Python that they need |
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
