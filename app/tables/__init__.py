"""Every database table, one file each. Importing this package registers them all (migrations, tests)."""

from app.tables.audit import AuditEntry
from app.tables.budget import Budget, Period, Reservation
from app.tables.credential import Credential, CredentialState, ProviderSetting, StoredOffer
from app.tables.dataset import Dataset, DatasetState
from app.tables.door import (
    AskedQuestion,
    DoorBatch,
    DoorBatchState,
    DoorCall,
    DoorFile,
    DoorJob,
    DoorJobState,
    ModelAlias,
)
from app.tables.endpoint import Endpoint, EndpointState
from app.tables.evaluation import Evaluation
from app.tables.experiment import Experiment, Look
from app.tables.export import Export, ExportState
from app.tables.item import Item
from app.tables.judging import HandLabel, JudgeMark, Judging, JudgingState, MarkState
from app.tables.machine import JobState, Machine, MachineJob, MachineState
from app.tables.member import Member, Project, ProjectMember, Role, SignInTry
from app.tables.notification import BudgetRequest, Channel, Delivery, DeliveryState, Notification
from app.tables.outcomes import Outcomes
from app.tables.pair_test import PairTest, PairTestState
from app.tables.prediction import Prediction
from app.tables.remote import (
    DeploymentRow,
    DeploymentState,
    OrphanJob,
    OrphanState,
    RemoteBatchRow,
    RemoteJobRow,
    ReplyRow,
    ReplyState,
    RescueRow,
    RescueState,
    Sent,
)
from app.tables.run import ACTIVE, FINAL, LOOKED_AT, Run, RunState
from app.tables.run_metric import RunMetric
from app.tables.scoring import Reading, Score, Scoring
from app.tables.slot import Slot
from app.tables.split import Split
from app.tables.stored_file import StoredFile, StoredState
from app.tables.token import Scope, Token, TokenKind
from app.tables.worker import Worker

__all__ = [
    "ACTIVE",
    "FINAL",
    "LOOKED_AT",
    "AskedQuestion",
    "AuditEntry",
    "Budget",
    "BudgetRequest",
    "Channel",
    "Credential",
    "CredentialState",
    "Dataset",
    "DatasetState",
    "Delivery",
    "DeliveryState",
    "DeploymentRow",
    "DeploymentState",
    "DoorBatch",
    "DoorBatchState",
    "DoorCall",
    "DoorFile",
    "DoorJob",
    "DoorJobState",
    "Endpoint",
    "EndpointState",
    "Evaluation",
    "Experiment",
    "Export",
    "ExportState",
    "HandLabel",
    "Item",
    "JobState",
    "JudgeMark",
    "Judging",
    "JudgingState",
    "Look",
    "Machine",
    "MachineJob",
    "MachineState",
    "MarkState",
    "Member",
    "ModelAlias",
    "Notification",
    "OrphanJob",
    "OrphanState",
    "Outcomes",
    "PairTest",
    "PairTestState",
    "Period",
    "Prediction",
    "Project",
    "ProjectMember",
    "ProviderSetting",
    "Reading",
    "RemoteBatchRow",
    "RemoteJobRow",
    "ReplyRow",
    "ReplyState",
    "RescueRow",
    "RescueState",
    "Reservation",
    "Role",
    "Run",
    "RunMetric",
    "RunState",
    "Scope",
    "Score",
    "Scoring",
    "Sent",
    "SignInTry",
    "Slot",
    "Split",
    "StoredFile",
    "StoredOffer",
    "StoredState",
    "Token",
    "TokenKind",
    "Worker",
]
