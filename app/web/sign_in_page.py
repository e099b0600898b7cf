"""The page that asks a browser without a session to sign in. Used by the sign-in routes and the error pages."""

from typing import Any

from app.db import session_scope
from app.lab.accounts import has_passwords
from app.lab.first_start import awaits_setup


def sign_in_view(**given: Any) -> dict[str, Any]:
    """What sign_in/page.html shows: `way` is setup, password or link; `given` fills in the rest."""
    with session_scope(write=False) as session:
        way = "password" if has_passwords(session) else "setup" if awaits_setup(session) else "link"
    return {"way": way, "message": "", "hint": "", "email": "", "next": "/", **given}
