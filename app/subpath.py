"""Tunebook below a path of its host, such as https://lab.example.org/tunebook: our addresses stay "/runs/1" everywhere,
and gain or lose the prefix here. Called by render.py and by the security layer, through which all requests pass.
"""

import re

from app.config import settings

# Attributes of our own markup that hold addresses. A member's text cannot look like one: its quotes are escaped.
ATTRIBUTES = "href|src|action|formaction|poster|hx-[a-z-]+|data-[a-z-]*url"
ADDRESS = re.compile(rf'(\s(?:{ATTRIBUTES})=")(/[^"]*)')
# And headers of our answers.
HEADERS = ("location", "hx-location", "hx-redirect", "hx-push-url", "hx-replace-url")


def outside(address: str) -> str:
    """A root-relative address as browsers must write it; anything else as it is."""
    root = settings().root_path
    ours = address.startswith("/") and not address.startswith("//")
    return root + address if root and ours and not _has(address, root) else address


def inside(path: str) -> str:
    """A request's path as our routes write it, whether or not the proxy took the prefix away."""
    root = settings().root_path
    return (path[len(root) :] or "/") if root and _has(path, root) else path


def outside_all(markup: str) -> str:
    """The page with every root-relative address in an attribute below our path."""
    return ADDRESS.sub(lambda found: found[1] + outside(found[2]), markup) if settings().root_path else markup


def _has(path: str, root: str) -> bool:
    return path == root or path.startswith((f"{root}/", f"{root}?"))
