"""The commands `backup`, `restore` and `move`, added to `tunebook` by app/__main__.py."""

from pathlib import Path
from typing import Annotated

import typer


def add_to(tunebook: typer.Typer) -> None:
    """Makes the three part of the command."""
    for command in (backup, restore, move):
        tunebook.command()(command)


def backup(
    target: Annotated[Path, typer.Argument(help="A new file, or a folder that gets one.")],
    with_key: Annotated[
        bool,
        typer.Option("--with-key", help="Put the master key in: whoever has the file can read every secret."),
    ] = False,
) -> None:
    """Back up rows and files into one file; Tunebook may run meanwhile."""
    from app.backup import backup as run

    path, made = run(target, with_key)
    rows = sum(table["rows"] for table in made.tables.values())
    size = path.stat().st_size / 1e6
    _note(path.name, rows, len(made.files), with_key)
    typer.echo(f"{path}: {rows:,} rows, {len(made.files):,} files, {size:,.1f} MB, schema {made.schema}")
    if made.missing:
        typer.echo(
            f"{len(made.missing)} file(s) that rows refer to are not in the data folder, and so not in the backup: "
            f"{', '.join(made.missing[:5])}. Another machine may have them, or somebody removed them meanwhile.",
            err=True,
        )
    if made.sealed and not made.has_key:
        typer.echo(
            f"The {made.sealed} sealed secret(s) need the master key (fingerprint {made.key}): keep it elsewhere."
        )


def _note(name: str, rows: int, files: int, with_key: bool) -> None:
    """Tells the audit log, by which pages and doctor know the age of the last backup."""
    from sqlalchemy.exc import SQLAlchemyError

    from app.db import session_scope
    from app.lab.audit import BY, record

    try:
        with session_scope() as session:
            session.info[BY] = "command line"
            record(
                session, None, "downloaded", "backup", name=name, rows=rows, files=files, with_key=with_key
            )
    except SQLAlchemyError as error:
        # A backup before an update: the database may be older than this code, and the file is whole all the same.
        typer.echo(
            f"The audit log could not be told: {str(error.__cause__ or error).splitlines()[0]}", err=True
        )


def restore(
    file: Annotated[Path, typer.Argument(help="What `tunebook backup` wrote.")],
    without_secrets: Annotated[
        bool,
        typer.Option("--without-secrets", help="Go on without the master key; keys must be entered again."),
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only read the file and say whether it is whole.")
    ] = False,
) -> None:
    """Restore a backup into an empty data folder and database."""
    from app.restore import checked, opened
    from app.restore import restore as run

    held = None
    if check:
        with opened(file) as archive:
            made = checked(archive)
    else:
        made, held = run(file, without_secrets)
        _fill_bucket()
    rows = sum(table["rows"] for table in made.tables.values())
    words = "is whole" if check else "restored"
    typer.echo(f"{words}: {rows:,} rows, {len(made.files):,} files of {made.made_at}, schema {made.schema}")
    if held and held.looked_for:
        typer.echo(
            f"{held.looked_for} run(s) may have a job at a service or machine that the old server started after the "
            "backup. It is looked for by its key; what is not found waits on the run's page for your decision."
        )
    if held and held.begun_again:
        typer.echo(f"{held.begun_again} run(s) of this machine go on from their newest checkpoint.")


def _fill_bucket() -> None:
    """The files are in the data folder now; where a bucket is set, it is to have them too."""
    from app.bucket import Away
    from app.config import settings
    from app.db import session_scope
    from app.storage_copy import note_finished

    if not settings().s3_bucket:
        return
    try:
        with session_scope() as session:
            noted = note_finished(session)
    except Away as error:
        typer.echo(f"{error.message} Run `tunebook storage copy` when it answers.", err=True)
    else:
        typer.echo(f"{noted.waiting:,} files are to go into the bucket: the workers put them there.")


def move(
    url: Annotated[str, typer.Argument(help="postgresql://... or sqlite:///FILE; an empty database.")],
) -> None:
    """Copy all rows into another database; stop Tunebook first. The present one stays as it is."""
    from app.move import move as run

    counted = run(url)
    typer.echo(f"{sum(counted.values()):,} rows of {len(counted)} tables are there, counted on both sides.")
    typer.echo(
        "Now set TUNEBOOK_DATABASE_URL to that address (empty for SQLite in the data folder) and start."
    )
