"""Tunebook from Python: `from tunebook import Client`. It talks to a running Tunebook and imports nothing of its server.

>>> from tunebook import Client
>>> lab = Client()
>>> dataset = lab.dataset(1)
>>> plan = lab.plan(dataset, ["baseline/majority", "baseline/tfidf-linear"])
>>> plan.cost_usd
0.0
"""

from .client import Client
from .comparisons import Comparison
from .datasets import Dataset
from .door import Answer
from .errors import (
    Answered,
    Conflict,
    DatasetRefused,
    ExportFailed,
    Forbidden,
    Invalid,
    MissingLibrary,
    NotFound,
    NoToken,
    ServerFault,
    SignInNeeded,
    TooDear,
    TooLarge,
    TooMany,
    TunebookError,
    Unconfirmed,
    Unreachable,
    UnusableFile,
    WaitedTooLong,
)
from .experiments import Experiment, Plan
from .files import Figure
from .records import GridModel, Hyperparameter, LedgerLine, Model, PairedTest, PlanLine, RunLine, Score, Split
from .rows import Rows
from .runs import Run

__all__ = [
    "Answer",
    "Answered",
    "Client",
    "Comparison",
    "Conflict",
    "Dataset",
    "DatasetRefused",
    "Experiment",
    "ExportFailed",
    "Figure",
    "Forbidden",
    "GridModel",
    "Hyperparameter",
    "Invalid",
    "LedgerLine",
    "MissingLibrary",
    "Model",
    "NoToken",
    "NotFound",
    "PairedTest",
    "Plan",
    "PlanLine",
    "Rows",
    "Run",
    "RunLine",
    "Score",
    "ServerFault",
    "SignInNeeded",
    "Split",
    "TooDear",
    "TooLarge",
    "TooMany",
    "TunebookError",
    "Unconfirmed",
    "Unreachable",
    "UnusableFile",
    "WaitedTooLong",
]
