"""Configurations as YAML: the same values give the same bytes. Used by the toolkits that take YAML."""

from collections.abc import Mapping
from typing import Any

import yaml


def to_yaml(values: Mapping[str, Any], about: str) -> str:
    """`values` in their order below one comment line; floats always with a point, so that no reader takes 2e-4 for text."""
    text: str = yaml.dump(dict(values), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=1000)
    return f"# {about}\n{text}"


class _Plain(yaml.SafeDumper):
    """No aliases; floats as YAML 1.1 and 1.2 both read them."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _float(dumper: yaml.SafeDumper, value: float) -> yaml.ScalarNode:
    text = repr(value)
    if "e" in text and "." not in text:
        text = text.replace("e", ".0e")
    return dumper.represent_scalar("tag:yaml.org,2002:float", text)


_Plain.add_representer(float, _float)
