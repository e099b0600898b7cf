"""Evaluation harnesses that labs already use: one file per harness. It writes an experiment's test items as a task that
asks the door, and reads the harness's log of single items back. Used by experiments.
"""

from app.harnesses._base import Harness, Logged, Question, TaskSet
from app.registry import load_kinds

__all__ = ["Harness", "Logged", "Question", "TaskSet", "harnesses"]


def harnesses() -> dict[str, Harness]:
    """All harnesses by name."""
    return load_kinds("app.harnesses", "HARNESS")
