"""The commands `tunebook storage ...`, added by app/__main__.py: a bucket that is set later, or left again."""

import time
from typing import Annotated

import typer

storage = typer.Typer(help="Files between the data folder and the bucket.", no_args_is_help=True)
LOOK_SECONDS = 2.0
# Workers take up what waits within seconds; after this time without any progress there is none.
PATIENCE_SECONDS = 120.0


@storage.command()
def copy(
    wait: Annotated[bool, typer.Option(help="Wait until the workers have put all there.")] = True,
) -> None:
    """Put this machine's finished files into the bucket: those that it lacks. Run it again to go on."""
    from app.db import session_scope
    from app.storage_copy import note_finished

    _require_bucket()
    with session_scope() as session:
        noted = note_finished(session)
    typer.echo(f"{noted.there:,} files are in the bucket, {noted.waiting:,} are to go there.")
    if noted.lost:
        typer.echo(
            f"{len(noted.lost):,} files are neither in the bucket nor here: {', '.join(noted.lost[:5])}. "
            "Run this on the machine that has them, or restore them from a backup.",
            err=True,
        )
    if wait and noted.waiting:
        _wait()
    raise typer.Exit(1 if noted.lost else 0)


def _wait() -> None:
    from app.db import session_scope
    from app.errors import Unavailable
    from app.storage_copy import waiting_here

    left, since = -1, time.monotonic()
    while left:
        with session_scope(write=False) as session:
            now_left, said = waiting_here(session)
        if now_left != left:
            left, since = now_left, time.monotonic()
            typer.echo(f"{left:,} files to go")
        elif time.monotonic() - since > PATIENCE_SECONDS:
            raise Unavailable(
                f"No file went into the bucket for {PATIENCE_SECONDS:g} s. {said}".strip(),
                "Start Tunebook (its workers put them there), then run this again; nothing is sent twice.",
            )
        time.sleep(LOOK_SECONDS if left else 0)


@storage.command()
def check(
    read: Annotated[bool, typer.Option("--read", help="Read every byte and compare its SHA-256.")] = False,
) -> None:
    """Look whether the bucket has every file that it should; ends with 1 when it does not."""
    from app.db import session_scope
    from app.storage_copy import damaged, kept_files

    _require_bucket()
    with session_scope(write=False) as session:
        rows = kept_files(session)
    bad = 0
    for key, what in damaged(rows, read):
        bad += 1
        typer.echo(f"{key}: {what}")
    typer.echo(f"{len(rows) - bad:,} of {len(rows):,} files are well.")
    raise typer.Exit(1 if bad else 0)


@storage.command()
def fetch() -> None:
    """Bring every file of the bucket here, to go on without it."""
    from app.config import settings
    from app.stored_files import bring

    _require_bucket()
    for name in ("datasets", "runs", "exports"):
        bring(settings().folder / name)
    typer.echo(
        "All files are here. To go on without the bucket, take TUNEBOOK_S3_BUCKET away and start Tunebook."
    )


def _require_bucket() -> None:
    from app.config import settings
    from app.errors import Invalid

    if not settings().s3_bucket:
        raise Invalid("No bucket is set.", "Set TUNEBOOK_S3_BUCKET and what docs/storage.md names.")
