"""The task that sends one notification through one channel."""

import httpx

from app.clock import in_seconds
from app.config import settings
from app.db import session_scope
from app.errors import Busy, Refused
from app.lab.channels import EMAIL, target_of
from app.lab.mail import send_mail
from app.outside import outside_client
from app.queue import DELIVER
from app.tables import Channel, Delivery, DeliveryState, Notification
from workers.celery_app import celery
from workers.task import Lease, guarded, lease

# Tried again after a minute, then 5, 30 and 120; then given up, and the channel says so.
PAUSES = (60, 300, 1800, 7200)
SECONDS = 20.0


@celery.task(name=DELIVER)
def deliver(delivery_id: int) -> None:
    """Safe to run twice at once: the second finds the lease taken. Killed between sending and writing it down, it sends
    once more; an e-mail then has the same Message-ID, a webhook the same `id`."""
    with lease(Delivery, delivery_id, (DeliveryState.QUEUED,)) as held:
        if held is None:
            return
        with session_scope(write=False) as session:
            row = session.get_one(Delivery, delivery_id)
            note = session.get_one(Notification, row.notification_id)
            channel = session.get_one(Channel, row.channel_id)

        def step() -> None:
            try:
                _send(channel, note, delivery_id)
            except Busy as busy:
                if row.attempt > len(PAUSES):
                    raise
                held.save(note=busy.message, due_at=in_seconds(PAUSES[row.attempt - 1]))
                return
            _end(held, channel, DeliveryState.SENT, "")

        def fail(message: str, hint: str) -> None:
            _end(held, channel, DeliveryState.FAILED, f"{message} {hint}".strip())

        guarded(step, fail, "sending a notification")


def _end(held: Lease, channel: Channel, state: DeliveryState, note: str) -> None:
    with held.write() as session:
        held.confirm(session, state=state, note=note[:1000])
        row = session.get(Channel, channel.id)
        if row:
            row.note = (
                f"The last message did not go out: {note}"[:1000] if note else "The last message went out."
            )
            session.add(row)


def _send(channel: Channel, note: Notification, delivery_id: int) -> None:
    target, link = target_of(channel), _link(note.href)
    if channel.medium == EMAIL:
        text = "\n\n".join(part for part in (note.title, note.text, link) if part)
        send_mail(target, note.title, text + "\n", f"{note.created_at:%Y%m%d%H%M%S}.{delivery_id}")
        return
    body = {
        "text": "\n".join(part for part in (f"*{note.title}*", note.text, link) if part),
        "tunebook": {
            "id": delivery_id,
            "kind": note.kind,
            "title": note.title,
            "text": note.text,
            "url": link,
        },
    }
    with outside_client(SECONDS) as client:
        try:
            answer = client.post(target, json=body)
        except httpx.TransportError as error:
            raise Busy(f"The webhook cannot be reached ({error}).", "") from error
    if answer.status_code == 429 or answer.status_code >= 500:
        raise Busy(f"The webhook answered {answer.status_code}.", "")
    if answer.status_code >= 300:
        raise Refused(
            f"The webhook answered {answer.status_code}.", "Add the channel again with another address."
        )


def _link(href: str) -> str:
    if not href:
        return ""
    base = settings().public_url or f"http://{settings().host}:{settings().port}"
    return base.rstrip("/") + href
