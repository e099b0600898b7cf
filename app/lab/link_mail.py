"""Invitations and resets by e-mail, where a mail server is set. Called by the members' page and API once the link is
committed, never inside a database transaction; whoever made the link gets it when no mail went out."""

import secrets

from app.config import settings
from app.errors import TunebookError
from app.lab.mail import send_mail
from app.log import log

INVITATION = """{by} invites you to Tunebook, their lab's notebook for fine-tuned language models.

Open this link within 120 hours and choose a password:

{link}

It works once. Whoever has it can make the account, so do not pass it on. If you do not know {by}, ignore this message.
"""
RESET = """{by} made a link by which you choose a new password for Tunebook.

Open it within 24 hours:

{link}

It works once. Until then the old password goes on working. If you did not ask for this, tell an admin of your lab.
"""


def mail_link(to: str, link: str, by: str, is_new: bool) -> str:
    """Sends the link to its owner. Gives "" when the mail server took it, else why the link must go another way."""
    if not settings().smtp_url:
        return "This Tunebook sends no e-mail."
    subject, text = (
        ("An invitation to Tunebook", INVITATION) if is_new else ("A new password for Tunebook", RESET)
    )
    try:
        send_mail(to, subject, text.format(by=by, link=link), f"link.{secrets.token_hex(12)}")
    except TunebookError as error:
        log.warning("a link was not mailed: %s", error.message)
        return error.message
    return ""
