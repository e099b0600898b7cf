"""What `tunebook doctor` looks at on a server beyond a laptop's needs. Called by app/__main__.py after doctor.py."""

import smtplib
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import kombu.exceptions
import psutil
import redis.exceptions
from sqlalchemy import func, text
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import select

from app.clock import now
from app.config import CAPABILITIES, settings
from app.datasets.lost import MEND, lost_datasets, not_in_bucket
from app.db import engine, session_scope
from app.doctor import Check
from app.errors import TunebookError
from app.lab.audit import last_backup
from app.lab.page import backup_words
from app.lab.university import published
from app.queue import producer
from app.runs.hosts import workers_alive
from app.tables import Run

LEAST_POSTGRESQL = 14
MOST_SKEW_SECONDS = 5.0
# Lost files that are named.
NAMED = 5
OLDEST_BACKUP = timedelta(days=7)
# File systems on which SQLite's locks and shared memory do not hold.
NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "ceph", "lustre", "glusterfs", "afs")


def server_checks() -> list[Check]:
    """The checks that apply to these settings, in order; none changes anything."""
    looks: tuple[tuple[bool, Callable[[], Check]], ...] = (
        (not settings().database_url, _file_system),
        (bool(settings().database_url), _postgresql),
        (bool(settings().database_url), _clock),
        (bool(settings().broker_url), _redis),
        (bool(settings().database_url), _workers),
        (bool(settings().public_url), _address),
        (True, _open_port),
        (True, _last_backup),
        (True, _datasets),
        (bool(settings().smtp_url), _mail),
        (bool(settings().oidc_issuer), _university),
    )
    return [look() for applies, look in looks if applies]


def _file_system() -> Check:
    folder = str(settings().folder)
    mounts = [each for each in psutil.disk_partitions(all=True) if _below(folder, each.mountpoint)]
    kind = max(mounts, key=lambda each: len(each.mountpoint)).fstype if mounts else "unknown"
    to_do = "SQLite loses data there: move the data folder to a local disk, or use PostgreSQL."
    return Check("file system", kind not in NETWORK, f"{kind}, for SQLite", to_do)


def _below(folder: str, mount: str) -> bool:
    return folder == mount or folder.startswith(mount.rstrip("/") + "/")


def _postgresql() -> Check:
    try:
        with engine(False).connect() as connection:
            number = int(connection.execute(text("SHOW server_version_num")).scalar_one())
    except SQLAlchemyError as error:
        return Check(
            "PostgreSQL", False, _reason(error), "Start it, or mend TUNEBOOK_DATABASE_URL or its password."
        )
    found, to_do = f"version {number // 10000}.{number % 10000}", f"Take version {LEAST_POSTGRESQL} or newer."
    return Check("PostgreSQL", number // 10000 >= LEAST_POSTGRESQL, found, to_do)


def _clock() -> Check:
    try:
        with engine(False).connect() as connection:
            before = now()
            there = connection.execute(text("SELECT clock_timestamp()")).scalar_one().astimezone(UTC)
    except SQLAlchemyError as error:
        return Check("clock", True, f"not compared: {_reason(error)}")
    skew = _skew(before, there, now())
    to_do = (
        "Let both machines keep time by NTP (chrony, systemd-timesyncd): leases and heartbeats compare times."
    )
    return Check("clock", skew <= MOST_SKEW_SECONDS, f"{skew:.1f} s from the database's", to_do)


def _skew(before: datetime, there: datetime, after: datetime) -> float:
    """Seconds that `there` lies outside of the time the question took."""
    return max(0.0, (before - there).total_seconds(), (there - after).total_seconds())


def _redis() -> Check:
    try:
        with producer().connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=3)
            client = connection.default_channel.client
            policy = client.config_get("maxmemory-policy").get("maxmemory-policy", "")
            password = client.config_get("requirepass").get("requirepass", "")
    except (kombu.exceptions.KombuError, redis.exceptions.ConnectionError, OSError) as error:
        return Check("Redis", False, str(error), "Start it, or mend TUNEBOOK_BROKER_URL or its password.")
    except redis.exceptions.RedisError as error:
        return Check("Redis", True, f"its settings may not be read: {error}")
    if policy != "noeviction":
        to_do = "Set maxmemory-policy noeviction: else it drops messages when memory is short."
        return Check("Redis", False, f"maxmemory-policy {policy}", to_do)
    local = urlsplit(settings().broker_url).hostname in ("127.0.0.1", "localhost", "::1")
    to_do = "Set requirepass in redis.conf, and TUNEBOOK_BROKER_PASSWORD_FILE here."
    return Check(
        "Redis", bool(password) or local, f"{policy}, {'with' if password else 'no'} password", to_do
    )


def _workers() -> Check:
    try:
        with session_scope(write=False) as session:
            alive = workers_alive(session)
    except SQLAlchemyError as error:
        return Check("workers", False, _reason(error), "Run `tunebook migrate`.")
    taken = {queue for worker in alive for queue in worker.queues.split(",")}
    lacking = [queue for queue in CAPABILITIES if queue not in taken and queue != "gpu"]
    machines = sorted({worker.machine for worker in alive})
    found = f"{len(alive)} alive on {', '.join(machines) or 'no machine'}, taking {', '.join(sorted(taken)) or 'nothing'}"
    to_do = f"Nobody takes {' and '.join(lacking)}: start `tunebook worker --queues {','.join(lacking)}`."
    return Check("workers", not lacking, found, to_do)


def _address() -> Check:
    url = urlsplit(settings().public_url)
    loopback = url.hostname in ("localhost", "127.0.0.1", "::1")
    if not settings().https and not loopback:
        to_do = "Put a proxy with TLS in front (docs/deploy.md) and write https."
        return Check("address", False, f"{settings().public_url}: passwords go unencrypted", to_do)
    if settings().https and not settings().trusted_proxies:
        to_do = "Set TUNEBOOK_TRUSTED_PROXIES to the proxy's address: else all visitors look like one."
        return Check("address", False, f"{settings().public_url}, no proxy is trusted", to_do)
    return Check("address", True, settings().public_url)


def _open_port() -> Check:
    host = settings().host
    inside = host in ("127.0.0.1", "localhost", "::1")
    good = inside or settings().https
    to_do = "Listen on 127.0.0.1 behind a proxy with TLS, and set TUNEBOOK_PUBLIC_URL to its https address."
    found = f"{host}, this machine alone" if inside else f"{host}: others reach it"
    return Check("listens on", good, found, to_do)


def _last_backup() -> Check:
    """Nightly backups that have stopped, or a lab that works and has none."""
    try:
        with session_scope(write=False) as session:
            made = last_backup(session)
            since = made or session.exec(select(func.min(Run.created_at))).one()
    except SQLAlchemyError:
        return Check("last backup", True, "not looked up: the database cannot be read")
    late = since is not None and now() - since > OLDEST_BACKUP
    to_do = "Run `tunebook backup FOLDER` each night (docs/backup.md), and look why the last one did not run."
    return Check("last backup", not late, backup_words(made), to_do)


def _datasets() -> Check:
    """Datasets whose stored file was deleted or cut short."""
    try:
        with session_scope(write=False) as session:
            lost = lost_datasets(session)
        lost = not_in_bucket(lost)
    except SQLAlchemyError:
        return Check("dataset files", True, "not looked at: the database cannot be read")
    except TunebookError as error:
        return Check("dataset files", False, error.message, error.hint)
    named = [f"dataset {each.id} ({each.name}) {how}" for each, how in lost[:NAMED]]
    more = f" and {len(lost) - NAMED} more" if len(lost) > NAMED else ""
    to_do = f"{MEND} in the same project: it is put back in place."
    return Check("dataset files", not lost, "; ".join(named) + more or "all there, of the right size", to_do)


def _university() -> Check:
    issuer = settings().oidc_issuer
    try:
        published(issuer)
    except TunebookError as error:
        return Check(
            "university", False, f"{issuer}: {error.message}", "Mend TUNEBOOK_OIDC_ISSUER, or start it."
        )
    lacking = not settings().oidc_client_id
    to_do = "Set TUNEBOOK_OIDC_CLIENT_ID: without it there is no button."
    return Check("university", not lacking, f"{issuer} publishes its addresses and keys", to_do)


def _mail() -> Check:
    url = urlsplit(settings().smtp_url)
    port = url.port or (465 if url.scheme == "smtps" else 587)
    began = time.monotonic()
    try:
        kind = smtplib.SMTP_SSL if url.scheme == "smtps" else smtplib.SMTP
        with kind(url.hostname or "", port, timeout=5) as server:
            server.noop()
    except (OSError, smtplib.SMTPException) as error:
        return Check(
            "mail", False, f"{url.hostname}:{port}: {error}", "Mend TUNEBOOK_SMTP_URL, or open the port."
        )
    return Check("mail", True, f"{url.hostname}:{port} answers in {time.monotonic() - began:.1f} s")


def _reason(error: SQLAlchemyError) -> str:
    return str(error.__cause__ or error).splitlines()[0]
