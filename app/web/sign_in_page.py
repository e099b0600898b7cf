"""The page that asks a browser without a session to sign in. Used by the sign-in routes and the error pages."""

from typing import Any

from app.config import settings
from app.db import session_scope
from app.lab.accounts import has_passwords
from app.lab.first_start import awaits_setup
from app.lab.university import is_offered


def sign_in_view(**given: Any) -> dict[str, Any]:
    """What sign_in/page.html shows: `way` is setup, password, university (alone) or link, `university` whom the
    button beside the way names, or ""; `given` fills in the rest."""
    with session_scope(write=False) as session:
        way = "password" if has_passwords(session) else "setup" if awaits_setup(session) else "link"
    university = settings().oidc_label if is_offered() else ""
    if university and way == "link":
        way = "university"
    return {
        "way": way, "university": university, "message": "", "hint": "", "email": "", "next": "/", **given
    }  # fmt: skip
