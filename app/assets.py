"""Static files under /static, addressed with a hash of their content so that browsers may keep them."""

import hashlib
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATIC = ROOT / "static"
TEMPLATES = ROOT / "templates"


@lru_cache(maxsize=500)
def asset(path: str) -> str:
    """The URL of a file below static/, for example asset("css/tokens.css"). A missing file raises OSError."""
    return f"/static/{path}?v={hashlib.sha256((STATIC / path).read_bytes()).hexdigest()[:10]}"
