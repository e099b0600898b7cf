"""Where a form may lead on to: pages of ours and nothing else. Used by sign-in and the switch of projects."""

import re

# What a browser could take for another site's address is left out: //host, /\host, control characters, a scheme.
OURS = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")


def local_path(wanted: str) -> str:
    """`wanted` when it is a path of ours, else the first page."""
    return wanted if len(wanted) <= 2000 and OURS.fullmatch(wanted) else "/"
