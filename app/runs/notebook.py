"""A run's bundle as one Jupyter notebook, for Colab or any machine with Jupyter: unpacks, runs, gives back out.zip."""

import base64
import json
import tempfile
from pathlib import Path

from app.errors import TooLarge
from app.format import size as readable
from app.runs.bundle import zip_bundle

# Colab opens notebooks up to about this size.
LARGEST = 20_000_000
INTRODUCTION = """# Run {run}: {model}

This notebook repeats one run of Tunebook on the machine where it is opened. Choose a machine with a GPU if the model is
large (in Colab: *Runtime, Change runtime type*), then run all cells. The last one gives `out.zip`: upload it on the page
of run {run}, and Tunebook scores it beside the others.

Launch key: `{key}`
"""
UNPACK = """import base64, io, zipfile
BUNDLE = "{bundle}"
zipfile.ZipFile(io.BytesIO(base64.b64decode(BUNDLE))).extractall("run-{run}")
"""
TRAIN = """import subprocess
# The environment is made first; that takes minutes the first time.
subprocess.run(["sh", "run.sh", "--here"], cwd="run-{run}", check=True)
"""
GIVE = """import shutil
shutil.make_archive("out", "zip", "run-{run}", "out")
try:
    from google.colab import files
    files.download("out.zip")
except ImportError:
    print("out.zip lies beside this notebook.")
"""


def notebook(folder: Path, run_id: int, model: str, launch_key: str) -> str:
    """The notebook as JSON (nbformat 4.5); raises TooLarge for a bundle that no notebook can hold."""
    with tempfile.TemporaryFile() as file:
        zip_bundle(folder, file)
        if file.tell() > LARGEST:
            raise TooLarge(
                f"The bundle has {readable(file.tell())}, too much for a notebook.",
                "Download the bundle itself and unpack it there.",
            )
        file.seek(0)
        packed = base64.b64encode(file.read()).decode()
    cells = [
        _cell("markdown", "about", INTRODUCTION.format(run=run_id, model=model, key=launch_key)),
        _cell("code", "unpack", UNPACK.format(bundle=packed, run=run_id)),
        _cell("code", "train", TRAIN.format(run=run_id)),
        _cell("code", "give", GIVE.format(run=run_id)),
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "accelerator": "GPU"},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _cell(kind: str, name: str, text: str) -> dict[str, object]:
    cell: dict[str, object] = {"cell_type": kind, "id": name, "metadata": {}, "source": text.splitlines(True)}
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})
