"""Takes out of exports what tells one machine from another: folders, row ids, keys of a running process."""

import re
from collections.abc import Mapping
from typing import Any

# An absolute path, perhaps behind a kind of model: /srv/models/x, hf//srv/models/x, ~/x, C:\x.
ABSOLUTE = re.compile(r"^(?P<kind>hf/)?(?:/|~|[A-Za-z]:[\\/]).*?(?P<last>[^\\/]+)[\\/]*$", re.DOTALL)
PRIVATE = ("launch_key", "owner", "handle", "host", "user", "pid", "pooled_from")


def without_paths(value: Any) -> Any:
    """The value with every text that is an absolute path cut to its last part, and without private keys."""
    if isinstance(value, Mapping):
        return {key: without_paths(one) for key, one in value.items() if key not in PRIVATE}
    if isinstance(value, list | tuple):
        return [without_paths(one) for one in value]
    if isinstance(value, str) and "\n" not in value and (found := ABSOLUTE.match(value)):
        return (found["kind"] or "") + found["last"]
    return value
