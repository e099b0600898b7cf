"""Where a member is told beside the app: by e-mail or webhook, for chosen kinds. Called by the notifications page.

A webhook's address is a secret (whoever has it can write to the lab's chat), so targets are sealed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from sqlalchemy import delete
from sqlmodel import Session, col, select

from app.clock import now
from app.config import settings
from app.errors import Invalid, NotFound
from app.lab.actor import Actor
from app.lab.notifications import KINDS, LAB, Note, tell
from app.outside import clean_base_url
from app.tables import Channel, Delivery, Member
from app.vault import seal, unseal

EMAIL, WEBHOOK = MEDIA = ("email", "webhook")
MOST = 10


@dataclass(frozen=True)
class ChannelLine:
    """One channel; `target` is the address of an e-mail, of a webhook its host alone."""

    id: int
    medium: str
    target: str
    kinds: list[str]
    note: str


def list_channels(session: Session, actor: Actor) -> list[ChannelLine]:
    """The member's channels with what became of the last delivery."""
    rows = session.exec(
        select(Channel).where(Channel.member_id == actor.member_id).order_by(col(Channel.id))
    ).all()
    return [ChannelLine(row.id or 0, row.medium, _shown(row), row.kinds.split(), row.note) for row in rows]


def add_channel(session: Session, actor: Actor, medium: str, target: str, kinds: Sequence[str]) -> Channel:
    """Adds a channel. An e-mail goes to the member's own address, so that nobody sends mail to strangers; where the
    account has none, to the one given. Raises Invalid with a message per field."""
    wrong: dict[str, str] = {}
    if medium not in MEDIA:
        wrong["medium"] = "Choose e-mail or webhook."
    if not kinds or not set(kinds) <= set(KINDS):
        wrong["kinds"] = "Tick at least one thing to be told of."
    if len(list_channels(session, actor)) >= MOST:
        wrong["medium"] = f"There are {MOST} already: remove one."
    target = _webhook(target, wrong) if medium == WEBHOOK else _email(session, actor, target, wrong)
    if wrong:
        raise Invalid(
            "The channel is not added: " + " ".join(wrong.values()), "See the marked fields.", wrong
        )
    row = Channel(
        project_id=actor.project_id, maker_id=actor.member_id, member_id=actor.member_id, medium=medium,
        sealed_target=seal(target), kinds=" ".join(kind for kind in KINDS if kind in kinds),
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row


def remove_channel(session: Session, actor: Actor, channel_id: int) -> None:
    """Takes a channel away with what has not gone out by it. Raises NotFound."""
    row = _own(session, actor, channel_id)
    session.execute(delete(Delivery).where(col(Delivery.channel_id) == channel_id))
    session.delete(row)
    session.flush()


def try_channel(session: Session, actor: Actor, channel_id: int) -> None:
    """Sends a test. Raises NotFound."""
    row = _own(session, actor, channel_id)
    row.note = "A test is on its way."
    session.add(row)
    text = "This is what a message looks like."
    tell(
        session,
        actor.member_id,
        Note(LAB, f"test {now().timestamp():.3f}", "A test from Tunebook", text),
        row,
    )


def target_of(channel: Channel) -> str:
    """The address in clear; raises Unavailable when the master key is another one."""
    return unseal(channel.sealed_target)


def _webhook(target: str, wrong: dict[str, str]) -> str:
    # Some chats keep the secret in the query.
    address, mark, query = target.strip().partition("?")
    try:
        return (
            clean_base_url(address, settings().allow_private_base_urls)
            + mark
            + quote(query, safe="=&%-._~+/:,")
        )
    except Invalid as error:
        wrong["target"] = error.fields["base_url"]
    return ""


def _email(session: Session, actor: Actor, target: str, wrong: dict[str, str]) -> str:
    own = session.get_one(Member, actor.member_id).email
    address = own or target.strip()
    name, _, host = address.rpartition("@")
    plain = address.isascii() and address.isprintable() and " " not in address and len(address) <= 254
    if not (name and "." in host and plain):
        wrong["target"] = "Write one address, such as anna@example.org."
    if not settings().smtp_url:
        wrong["medium"] = "This Tunebook sends no e-mail: whoever runs it sets TUNEBOOK_SMTP_URL."
    return address


def _shown(row: Channel) -> str:
    text = target_of(row)
    return text if row.medium == EMAIL else urlsplit(text).hostname or ""


def _own(session: Session, actor: Actor, channel_id: int) -> Channel:
    row = session.get(Channel, channel_id)
    if row is None or row.member_id != actor.member_id:
        raise NotFound(f"There is no channel {channel_id} here.", "Look for it on the Notifications page.")
    return row
