"""Reads YAML from strangers as plain data. Used by app/web/yaml_body.py and the command line."""

from typing import Any

import yaml

from app.errors import Invalid


class _Loader(yaml.SafeLoader):
    """Plain data only, and no aliases: a few of them can stand for gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not taken; write the value again")
        return super().compose_node(parent, index)  # type: ignore[no-untyped-call]


def read_yaml(text: str | bytes) -> Any:
    """Plain data from YAML; raises Invalid that says where it cannot be read."""
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        said = " ".join(str(error).split())[:300]
        raise Invalid(f"The YAML cannot be read: {said}.", "Mend the line that is named.") from error
