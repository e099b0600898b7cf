"""Regular expressions that people write: compiled by RE2, which takes time linear in the text and bounded memory, so
that no pattern can hang the server. It has no look-around and no back-references.

Called by answer rules, splits by groups and augmentations.
"""

from functools import lru_cache
from typing import Any

import re2


@lru_cache(maxsize=64)
def compiled(pattern: str) -> Any:
    """The compiled pattern. Raises ValueError with RE2's own words."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0]
        raise ValueError(said.decode(errors="replace") if isinstance(said, bytes) else str(said)) from error
