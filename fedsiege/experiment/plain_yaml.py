"""YAML as spec and grid files use it: what is no plain decimal number is text.

YAML 1.1, which PyYAML reads, takes ``010`` for 8, ``1:30`` for 90, ``0x1f`` for 31, ``yes`` for a
truth value and ``2026-11-20`` for a date, but ``1e6`` for text. On the command line the same
characters mean something else or nothing. Here such values stay the text that was written, so that
``ExperimentSpec`` reads them as it reads the command line.
"""

import re
from typing import Any

import yaml

_NULL = "tag:yaml.org,2002:null"
_INT = "tag:yaml.org,2002:int"
_FLOAT = "tag:yaml.org,2002:float"
_MERGE = "tag:yaml.org,2002:merge"
_NUMBERS = {
    _INT: re.compile(r"-?(?:0|[1-9][0-9]*)", re.ASCII),
    _FLOAT: re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+", re.ASCII),
}


class PlainLoader(yaml.SafeLoader):
    """Reads mappings, lists, text, nothing, and numbers in plain decimal notation."""

    # Tables of its own: SafeLoader's stay as they are.
    yaml_implicit_resolvers = {}  # noqa: RUF012 - declared so by PyYAML
    yaml_constructors = {  # noqa: RUF012
        tag: construct
        for tag, construct in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.rpartition(":")[2] in ("null", "str", "seq", "map")
    }

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        """Build a number; a tag such as ``!!int`` may ask for one where none is written."""
        if not _NUMBERS[node.tag].fullmatch(node.value):
            raise yaml.constructor.ConstructorError(
                None, None, f"{node.value!r} is no plain decimal number", node.start_mark
            )
        return int(node.value) if node.tag == _INT else float(node.value)


for _tag, _form in _NUMBERS.items():
    PlainLoader.add_implicit_resolver(_tag, re.compile(rf"^(?:{_form.pattern})$"), None)
    PlainLoader.add_constructor(_tag, PlainLoader.construct_number)
PlainLoader.add_implicit_resolver(_NULL, re.compile(r"^(?:~|null|Null|NULL|)$"), None)
PlainLoader.add_implicit_resolver(_MERGE, re.compile(r"^<<$"), None)


def read_yaml(text: str) -> tuple[yaml.Node | None, Any]:  # Any: whatever the text holds
    """Read a YAML text.

    Returns:
        Its tree, with the positions of everything in it, and its content.

    Raises:
        yaml.YAMLError: it is not YAML, holds several documents, or asks for another type.
        ValueError: a number with too many digits.
    """
    return yaml.compose(text, Loader=PlainLoader), yaml.load(text, Loader=PlainLoader)  # noqa: S506
