"""Settings, read once from the environment (prefix TUNEBOOK_) or a `.env` file. Imported everywhere."""

import os
import socket
import sys
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

# What a worker can take: work of the processor, trainings that want a GPU, and calls to services and other machines.
CAPABILITIES = ("cpu", "gpu", "remote")


class Settings(BaseSettings):
    """Every setting; the README's table is tested against these fields."""

    model_config = SettingsConfigDict(env_prefix="TUNEBOOK_", env_file=".env", extra="ignore")

    data: Path = Field(Path("data"), description="folder for the database, uploads, runs and the queue")
    host: str = Field("127.0.0.1", description="address the web server listens on")
    port: int = Field(8000, description="port of the web server")
    database_url: str = Field("", description="PostgreSQL address; empty: SQLite in the data folder")
    broker_url: str = Field("", description="Redis address; empty: a queue of files in the data folder")
    allowed_hosts: Annotated[list[str], NoDecode] = Field(
        ["127.0.0.1", "localhost", "[::1]"], description="host names a browser may use, comma separated"
    )
    model_dirs: Annotated[list[Path], NoDecode] = Field(
        [], description=f"folders that hold Hugging Face models, separated by '{os.pathsep}'"
    )
    trainer_python: str = Field(
        sys.executable, description="Python that runs training (the one with PyTorch)"
    )
    toolkit_pythons: Annotated[dict[str, str], NoDecode] = Field(
        {},
        description="Pythons that have a toolkit already, as axolotl=/path/to/python, comma separated; the others' "
        "runs make an environment in the data folder",
    )
    local_slots: int = Field(1, ge=1, le=64, description="runs that train on this machine at the same time")
    machine: str = Field(
        "", max_length=200, description="this machine's name among several with workers; empty: its host name"
    )
    queues: Annotated[list[str], NoDecode] = Field(
        [*CAPABILITIES], description="what this machine's workers take: cpu, gpu, remote, comma separated"
    )
    machine_lost_seconds: float = Field(
        300.0,
        ge=30,
        description="silence after which a worker's machine counts as lost and its runs go on elsewhere",
    )
    threads: int = Field(0, ge=0, description="CPU threads for one run; 0: all cores shared by the slots")
    max_upload_bytes: int = Field(2 * 1024**3, ge=1024, description="largest upload, in bytes")
    run_deadline_hours: float = Field(24, gt=0, description="a run's process is ended after this time")
    look_seconds: float = Field(1.0, gt=0, description="time between two looks of the sweep at what is due")
    look_times: Annotated[list[float], NoDecode] = Field(
        [0, 10, 30, 120, 600],
        description="seconds after a lost answer at which a hosted job is looked for, comma separated; "
        "after the last a person decides",
    )
    remote_poll_seconds: float = Field(
        15.0, gt=0, description="time between two questions to a hosted service about a running job"
    )
    orphan_minutes: float = Field(
        15.0, gt=0, description="time between two looks for jobs at hosted services that belong to no run"
    )
    allow_private_base_urls: bool = Field(
        False,
        description="lets endpoints lie at private and loopback addresses, such as a local model server",
    )
    hf_token: str = Field(
        "",
        repr=False,
        description="Hugging Face token for gated data and for pushing; or give one in the form",
    )
    hf_endpoint: str = Field("", description="address of the Hugging Face Hub; empty: huggingface.co")
    sky: str = Field("sky", description="SkyPilot's program, for compute by SkyPilot")
    llama_cpp: str = Field(
        "", description="llama.cpp's folder, for GGUF files of models that are not Llama-shaped"
    )
    smtp_url: str = Field(
        "", repr=False, description="mail server for notifications, as smtps://user:password@host; empty: no e-mail"
    )
    mail_from: str = Field("Tunebook <tunebook@localhost>", description="sender of e-mails")
    public_url: str = Field(
        "", description="address by which members reach this Tunebook, for links in e-mails; empty: host and port"
    )
    log_level: str = Field("INFO", description="log level: DEBUG, INFO, WARNING or ERROR")

    @field_validator("queues")
    @classmethod
    def _known_queues(cls, value: list[str]) -> list[str]:
        if not value or not set(value) <= set(CAPABILITIES):
            raise ValueError(f"write one or more of {', '.join(CAPABILITIES)}, comma separated")
        return value

    @field_validator("allowed_hosts", "queues", mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        return (
            [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
        )

    @field_validator("toolkit_pythons", mode="before")
    @classmethod
    def _split_pairs(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        parts = (part.partition("=") for part in value.split(",") if part.strip())
        return {name.strip(): path.strip() for name, _, path in parts}

    @field_validator("look_times", mode="before")
    @classmethod
    def _split_numbers(cls, value: object) -> object:
        return sorted(float(part) for part in value.split(",")) if isinstance(value, str) else value

    @field_validator("model_dirs", mode="before")
    @classmethod
    def _split_paths(cls, value: object) -> object:
        return [part for part in value.split(os.pathsep) if part] if isinstance(value, str) else value

    @property
    def folder(self) -> Path:
        """The data folder, absolute."""
        return self.data.expanduser().resolve()

    @property
    def database(self) -> str:
        """SQLAlchemy address of the database in use."""
        if not self.database_url:
            return f"sqlite:///{self.folder / 'tunebook.db'}"
        return self.database_url.replace("postgres://", "postgresql://", 1).replace(
            "postgresql://", "postgresql+psycopg://", 1
        )

    @property
    def machine_name(self) -> str:
        """This machine among several that share the database; "" on SQLite, which one machine has for itself."""
        return (self.machine or socket.gethostname()) if self.database_url else ""

    @property
    def cores(self) -> int:
        """CPU cores this process may use."""
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    @property
    def threads_per_run(self) -> int:
        """CPU threads that one training process gets."""
        return self.threads or max(1, self.cores // self.local_slots)


@lru_cache
def settings() -> Settings:
    """The settings of this process."""
    return Settings()
