"""Accounts, projects' members, tokens with a project and a scope, audit log, notifications, requests for money"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import app.tables._base

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TEXT = sqlmodel.sql.sqltypes.AutoString
TIME = app.tables._base.UtcTime(timezone=True)


def upgrade() -> None:
    _accounts()
    _tokens()
    _audit()
    _notifications()
    _requests()


def downgrade() -> None:
    for table in ("budget_request", "delivery", "channel", "notification", "audit_entry", "sign_in_try"):
        op.drop_table(table)
    op.execute("DELETE FROM token WHERE member_id IS NULL")
    with op.batch_alter_table("token") as token:
        for column in ("used_at", "about", "scope", "project_id"):
            token.drop_column(column)
        token.alter_column("member_id", existing_type=sa.Integer(), nullable=False)
    op.drop_table("project_member")
    op.drop_column("project", "archived_at")
    for index in ("ix_member_oidc_subject", "ix_member_email"):
        op.drop_index(index, "member")
    for column in ("disabled_at", "seen_at", "oidc_subject", "password_hash", "email"):
        op.drop_column("member", column)


def _accounts() -> None:
    # Not in a batch: other tables point at these two, and SQLite would have to drop them for a moment.
    op.add_column("member", sa.Column("email", TEXT(length=254), nullable=True))
    op.add_column("member", sa.Column("password_hash", TEXT(length=200), nullable=False, server_default=""))
    op.add_column("member", sa.Column("oidc_subject", TEXT(length=500), nullable=True))
    op.add_column("member", sa.Column("seen_at", TIME, nullable=True))
    op.add_column("member", sa.Column("disabled_at", TIME, nullable=True))
    op.create_index("ix_member_email", "member", ["email"], unique=True)
    op.create_index("ix_member_oidc_subject", "member", ["oidc_subject"], unique=True)
    op.add_column("project", sa.Column("archived_at", TIME, nullable=True))
    op.create_table(
        "project_member",
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_project_member_project_id_project"),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name="fk_project_member_member_id_member"),
        sa.PrimaryKeyConstraint("project_id", "member_id", name="pk_project_member"),
    )
    op.create_index("ix_project_member_member_id", "project_member", ["member_id"])
    op.create_table(
        "sign_in_try",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", TEXT(length=64), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sign_in_try"),
    )
    op.create_index("ix_sign_in_try_key", "sign_in_try", ["key"])
    op.create_index("ix_sign_in_try_at", "sign_in_try", ["at"])


def _tokens() -> None:
    with op.batch_alter_table("token") as token:
        token.alter_column("member_id", existing_type=sa.Integer(), nullable=True)
        token.add_column(sa.Column("project_id", sa.Integer(), nullable=True))
        token.add_column(sa.Column("scope", TEXT(length=20), nullable=False, server_default="write"))
        token.add_column(sa.Column("about", sa.JSON(), nullable=False, server_default="{}"))
        token.add_column(sa.Column("used_at", TIME, nullable=True))
        token.create_foreign_key("fk_token_project_id_project", "project", ["project_id"], ["id"])


def _audit() -> None:
    op.create_table(
        "audit_entry",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=True),
        sa.Column("member_id", sa.Integer(), nullable=True),
        sa.Column("member_name", TEXT(length=200), nullable=False),
        sa.Column("by", TEXT(length=200), nullable=False),
        sa.Column("action", TEXT(length=40), nullable=False),
        sa.Column("noun", TEXT(length=40), nullable=False),
        sa.Column("object_id", sa.Integer(), nullable=True),
        sa.Column("about", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_audit_entry_project_id_project"),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name="fk_audit_entry_member_id_member"),
        sa.PrimaryKeyConstraint("id", name="pk_audit_entry"),
    )
    for column in ("at", "project_id", "member_id", "action"):
        op.create_index(f"ix_audit_entry_{column}", "audit_entry", [column])


def _notifications() -> None:
    op.create_table(
        "notification",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=True),
        sa.Column("key", TEXT(length=200), nullable=False),
        sa.Column("kind", TEXT(length=40), nullable=False),
        sa.Column("title", TEXT(length=300), nullable=False),
        sa.Column("text", TEXT(length=2000), nullable=False),
        sa.Column("href", TEXT(length=500), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("read_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name="fk_notification_member_id_member"),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_notification_project_id_project"),
        sa.PrimaryKeyConstraint("id", name="pk_notification"),
        sa.UniqueConstraint("key", name="uq_notification_key"),
    )
    op.create_index("ix_notification_member_id", "notification", ["member_id"])
    op.create_table(
        "channel",
        *_owned("channel"),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("medium", TEXT(length=20), nullable=False),
        sa.Column("sealed_target", TEXT(length=2000), nullable=False),
        sa.Column("kinds", TEXT(length=300), nullable=False),
        sa.Column("note", TEXT(length=1000), nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name="fk_channel_member_id_member"),
        sa.PrimaryKeyConstraint("id", name="pk_channel"),
    )
    op.create_index("ix_channel_project_id", "channel", ["project_id"])
    op.create_index("ix_channel_member_id", "channel", ["member_id"])
    op.create_table(
        "delivery",
        sa.Column("owner", TEXT(), nullable=True),
        sa.Column("lease_until", TIME, nullable=True),
        sa.Column("due_at", TIME, nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("notification_id", sa.Integer(), nullable=False),
        sa.Column("channel_id", sa.Integer(), nullable=False),
        sa.Column("state", TEXT(length=20), nullable=False),
        sa.Column("note", TEXT(length=1000), nullable=False),
        sa.ForeignKeyConstraint(
            ["notification_id"], ["notification.id"], name="fk_delivery_notification_id_notification"
        ),
        sa.ForeignKeyConstraint(["channel_id"], ["channel.id"], name="fk_delivery_channel_id_channel"),
        sa.PrimaryKeyConstraint("id", name="pk_delivery"),
    )
    for column in ("due_at", "notification_id", "channel_id", "state"):
        op.create_index(f"ix_delivery_{column}", "delivery", [column])


def _requests() -> None:
    op.create_table(
        "budget_request",
        *_owned("budget_request"),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("budget_id", sa.Integer(), nullable=True),
        sa.Column("more_microdollars", sa.BigInteger(), nullable=False),
        sa.Column("reason", TEXT(length=1000), nullable=False),
        sa.Column("state", TEXT(length=20), nullable=False),
        sa.Column("answered_by", sa.Integer(), nullable=True),
        sa.Column("answered_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["budget_id"], ["budget.id"], name="fk_budget_request_budget_id_budget"),
        sa.ForeignKeyConstraint(["answered_by"], ["member.id"], name="fk_budget_request_answered_by_member"),
        sa.PrimaryKeyConstraint("id", name="pk_budget_request"),
    )
    op.create_index("ix_budget_request_project_id", "budget_request", ["project_id"])
    op.create_index("ix_budget_request_state", "budget_request", ["state"])


def _owned(table: str) -> tuple[sa.schema.SchemaItem, ...]:
    return (
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("maker_id", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=f"fk_{table}_project_id_project"),
        sa.ForeignKeyConstraint(["maker_id"], ["member.id"], name=f"fk_{table}_maker_id_member"),
    )
