"""E-mail by SMTP. Called by the worker that sends notifications and by link_mail.py; nothing else opens a connection."""

import smtplib
import ssl
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from app.config import settings
from app.errors import Busy, Refused, Unavailable
from app.log import hide

SECONDS = 20
PORTS = {"smtp": 587, "smtps": 465}


def send_mail(to: str, subject: str, text: str, message_id: str) -> None:
    """Sends one message of plain text. `message_id` is the same when it is sent again, so that a mailbox shows it once.

    Raises Unavailable when no server is set, Refused for a clear no (a code of 5xx), Busy for anything that may go
    better later.
    """
    if not settings().smtp_url:
        raise Unavailable("This Tunebook sends no e-mail.", "Set TUNEBOOK_SMTP_URL.")
    message = EmailMessage()
    message["From"], message["To"] = settings().mail_from, to
    message["Subject"] = " ".join(subject.split())[:200]
    message["Message-ID"] = f"<{message_id}@tunebook>"
    message.set_content(text)
    try:
        with _connected() as server:
            server.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        code = max(code for code, _ in error.recipients.values())
        raise (Refused if code >= 500 else Busy)(f"The mail server refused {to} ({code}).") from error
    except smtplib.SMTPResponseException as error:
        said = f"The mail server answered {error.smtp_code}."
        raise (Refused if error.smtp_code >= 500 else Busy)(said, "See its log.") from error
    except (OSError, smtplib.SMTPException) as error:
        raise Busy(
            f"The mail server cannot be reached ({type(error).__name__}).", "See TUNEBOOK_SMTP_URL."
        ) from error


def _connected() -> smtplib.SMTP:
    """A connection, encrypted and signed in as the address says: smtps:// from the start, smtp:// by STARTTLS where the
    server has it. A password goes over an encrypted connection only."""
    parts = urlsplit(settings().smtp_url)
    host, port = parts.hostname or "localhost", parts.port or PORTS.get(parts.scheme, 587)
    context = ssl.create_default_context()
    if parts.scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=SECONDS, context=context)
    else:
        server = smtplib.SMTP(host, port, timeout=SECONDS)
        server.ehlo()
        if server.has_extn("starttls"):
            server.starttls(context=context)
        elif parts.username:
            server.close()
            raise smtplib.SMTPException("the server offers no encryption, so the password is not sent")
    if parts.username:
        hide(password := unquote(parts.password or ""))
        server.login(unquote(parts.username), password)
    return server
