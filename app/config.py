"""Settings, read once from the environment (prefix TUNEBOOK_) or a `.env` file. Imported everywhere."""

import os
import socket
import sys
from functools import lru_cache
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import Field, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from app.errors import Unavailable
from app.socket_path import socket_path

# What a worker can take: work of the processor, trainings that want a GPU, and calls to services and other machines.
CAPABILITIES = ("cpu", "gpu", "remote")


class SecretFiles(PydanticBaseSettingsSource):
    """TUNEBOOK_<NAME>_FILE names a file that holds the setting <NAME>: container secrets, systemd credentials."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The file's text without the line's end; None where no variable names one."""
        path = os.environ.get(f"TUNEBOOK_{field_name.upper()}_FILE")
        if not path:
            return None, field_name, False
        try:
            return Path(path).read_text(encoding="utf-8").strip(), field_name, False
        except (OSError, UnicodeDecodeError) as error:
            raise Unavailable(
                f"The file {path} that holds a setting cannot be read: {getattr(error, 'strerror', None) or error}.",
                f"Mend TUNEBOOK_{field_name.upper()}_FILE or the file's permissions.",
            ) from error

    def __call__(self) -> dict[str, Any]:
        """What the files hold, by the names of the settings."""
        found = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
        }
        return {name: value for name, value in found.items() if value is not None}


class Settings(BaseSettings):
    """Every setting; the README's table is tested against these fields."""

    model_config = SettingsConfigDict(env_prefix="TUNEBOOK_", env_file=".env", extra="ignore")

    data: Path = Field(Path("data"), description="folder for the database, uploads, runs and the queue")
    host: str = Field("127.0.0.1", description="address the web server listens on")
    port: int = Field(8000, description="port of the web server")
    public_url: str = Field(
        "",
        description="address that people open, such as https://lab.example.org/tunebook; "
        "https makes cookies secure, a path puts everything below it",
    )
    trusted_proxies: Annotated[list[str], NoDecode] = Field(
        [], description="addresses or networks whose X-Forwarded-For and -Proto are believed, comma separated"
    )
    database_url: str = Field("", description="PostgreSQL address; empty: SQLite in the data folder")
    database_password: str = Field("", repr=False, description="password of that address, kept out of it")
    broker_url: str = Field("", description="Redis address; empty: a queue of files in the data folder")
    broker_password: str = Field("", repr=False, description="password of that address, kept out of it")
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
    s3_bucket: str = Field("", description="S3-compatible bucket that is the home of all files; empty: none")
    s3_endpoint: str = Field("", description="address of a server that speaks S3; empty: Amazon's")
    s3_region: str = Field("", description="the bucket's region; empty: as the AWS settings say")
    s3_prefix: str = Field("", description="path in the bucket below which everything lies")
    s3_access_key: str = Field("", repr=False, description="key id; empty: the usual AWS chain")
    s3_secret_key: str = Field("", repr=False, description="secret key of that id")
    local_bytes: int = Field(
        0,
        ge=0,
        description="most bytes of files in the bucket whose local copies stay; 0: all stay",
    )
    oidc_issuer: str = Field(
        "", description="issuer of a university's sign-in by OpenID Connect; empty: none"
    )
    oidc_client_id: str = Field("", description="what the issuer knows this Tunebook as")
    oidc_client_secret: str = Field("", repr=False, description="secret of that id")
    oidc_label: str = Field("your university", max_length=60, description="whom the sign-in's button names")
    oidc_domains: Annotated[list[str], NoDecode] = Field(
        [], description="e-mail domains whose people may join by it, comma separated; empty: invited people"
    )
    oidc_role: Literal["member", "viewer"] = Field("viewer", description="role of who joins by their domain")
    vault_key: str = Field(
        "",
        repr=False,
        description="master key that seals stored secrets; empty: vault.key in the data folder, made at first use",
    )
    inference_bytes: int = Field(
        0, ge=0, description="most memory that models behind the API hold, in bytes; 0: 60 % of the device's"
    )
    inference_idle_seconds: float = Field(
        600.0, gt=0, description="time after which a model behind the API that nobody asks is unloaded"
    )
    inference_waiting: int = Field(512, ge=1, description="requests to local models at once")
    inference_servers: str = Field("", description="vLLM, llama-server, Ollama: addresses, comma separated")
    smtp_url: str = Field(
        "",
        repr=False,
        description="mail server for notifications, as smtps://user:password@host; empty: no e-mail",
    )
    mail_from: str = Field("Tunebook <tunebook@localhost>", description="sender of e-mails")
    metrics_token: str = Field(
        "", repr=False, description="bearer token for /metrics; empty: /metrics is closed"
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="text for people, json for a log collector: one object a line"
    )
    log_level: str = Field("INFO", description="log level: DEBUG, INFO, WARNING or ERROR")

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], *sources: Any, **named: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment, then `.env`, then files that variables ending in _FILE name."""
        usual = (named["init_settings"], named["env_settings"], named["dotenv_settings"])
        return (*usual, SecretFiles(settings_cls))

    @field_validator("public_url")
    @classmethod
    def _whole_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query):
            raise ValueError("write it like https://lab.example.org or https://lab.example.org/tunebook")
        return value.rstrip("/")

    @field_validator("oidc_issuer")
    @classmethod
    def _safe_issuer(cls, value: str) -> str:
        parts = urlsplit(value)
        local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
        if value and (not (parts.scheme == "https" or local) or not parts.hostname or parts.query):
            raise ValueError("write the issuer exactly as it names itself, such as https://login.example.org")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        return [str(ip_network(each, strict=False)) for each in value]

    @field_validator("queues")
    @classmethod
    def _known_queues(cls, value: list[str]) -> list[str]:
        if not value or not set(value) <= set(CAPABILITIES):
            raise ValueError(f"write one or more of {', '.join(CAPABILITIES)}, comma separated")
        return value

    @field_validator("allowed_hosts", "oidc_domains", "queues", "trusted_proxies", mode="before")
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
        return _with_password(database_address(self.database_url), self.database_password)

    @property
    def broker(self) -> str:
        """Redis address with its password; "" for the queue of files."""
        return _with_password(self.broker_url, self.broker_password)

    @property
    def inference_socket(self) -> Path:
        """Where the server of local models listens."""
        return socket_path(self.folder, "inference")

    @property
    def root_path(self) -> str:
        """The path that everything lies below, without a slash at the end; "" at the root of a host."""
        return urlsplit(self.public_url).path.rstrip("/")

    @property
    def https(self) -> bool:
        """Whether people come by https, so that cookies must never go another way."""
        return self.public_url.startswith("https://")

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


def database_address(url: str) -> str:
    """SQLAlchemy's form of a database's address."""
    return url.replace("postgres://", "postgresql://", 1).replace("postgresql://", "postgresql+psycopg://", 1)


def _with_password(url: str, password: str) -> str:
    if not password or not url:
        return url
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    user = user.partition(":")[0] if at else ""
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}"))


@lru_cache
def settings() -> Settings:
    """The settings of this process."""
    return Settings()
