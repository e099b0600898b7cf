"""The stated run's configuration of every toolkit, as files. `python -m tests.trainers.golden` rewrites them."""

import shutil
from pathlib import Path

from app.trainers._base import Toolkit
from tests.trainers.toolkits import stated_job, toolkits

FOLDER = Path(__file__).parent / "golden"


def rendered(toolkit: Toolkit) -> dict[str, str]:
    """{file: text} of the stated run on a processor."""
    return dict(toolkit.config(stated_job(toolkit)))


def kept(name: str) -> dict[str, str]:
    """{file: text} as it is kept here."""
    return {file.name: file.read_text(encoding="utf-8") for file in sorted((FOLDER / name).glob("*"))}


if __name__ == "__main__":
    shutil.rmtree(FOLDER, ignore_errors=True)
    for each_name, each in toolkits().items():
        (FOLDER / each_name).mkdir(parents=True)
        for file_name, text in rendered(each).items():
            (FOLDER / each_name / file_name).write_text(text, encoding="utf-8")
