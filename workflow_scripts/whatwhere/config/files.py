"""Reading and merging configurations as Snakemake does it: mappings key by key, everything else replaced."""

import contextlib
import math
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from whatwhere.errors import UserError

Config = dict[str, Any]

_PACKAGE = Path(__file__).parents[1]
# A checkout has them beside the workflow, an installed package takes them along.
FOLDER = next(folder for folder in (_PACKAGE / "defaults", _PACKAGE.parents[1] / "config") if folder.is_dir())
"""Folder of ``models.yaml``, ``config.yaml`` and ``schemas/``."""
SCHEMAS = FOLDER / "schemas"


# The parser in C takes a ninth of the time; PyYAML can be built without it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _StrictLoader(_Loader):
    """Safe YAML (no objects) that refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        repeated = next((key for key in keys if keys.count(key) > 1), None)
        if repeated is not None:
            raise yaml.YAMLError(f"key '{repeated}' is given twice, line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep)


class _PlainDumper(yaml.SafeDumper):
    """Writes values that are used twice in full, without anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def dump(config: Config) -> str:
    """Returns a configuration as YAML, with its order of keys."""
    return yaml.dump(config, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True)


def read(path: str | Path) -> Config:
    """Reads one YAML file.

    UserError if it is missing, not YAML, repeats a key or is not a mapping.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            content = yaml.load(stream, _StrictLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: must be a mapping of keys, see config/README.md")
    return content


ALTERNATIVES = {"max_steps": "max_epochs", "max_epochs": "max_steps"}
"""Keys that stand for one another: the later key replaces the earlier key."""


def merge(base: Config, update: Config) -> Config:
    """Merges mappings key by key; other values of ``update`` replace those of ``base``, or alternatives."""
    replaced = {ALTERNATIVES[key] for key in update if key in ALTERNATIVES}
    merged = {key: value for key, value in base.items() if key not in replaced}
    for key, value in update.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


_WORDS = {"true": True, "false": False, "null": None}


def from_command_line(value: Any) -> Any:
    """Returns values of ``--config`` with numbers, truth values and null inside of lists and mappings.

    Snakemake reads numbers in ``--config key=1``; within ``--config 'key={inner: 1}'`` all arrive as text.
    """
    if isinstance(value, dict):
        return {key: from_command_line(one) for key, one in value.items()}
    if isinstance(value, list):
        return [from_command_line(one) for one in value]
    for read_as in (int, float, _WORDS.__getitem__) if isinstance(value, str) else ():
        with contextlib.suppress(ValueError, KeyError):
            number = read_as(value)
            # Text such as "nan" or "infinity" is a name, not a number.
            return number if number is None or math.isfinite(number) else value
    return value


def size(wildcard: str) -> int | None:
    """Returns a population or data size of a path; None for ``all``."""
    return None if wildcard == "all" else int(wildcard)


def condition_sizes(condition: str) -> tuple[int | None, int | None]:
    """Returns population and data size of a condition's folder, such as ``n100-dall``; None for ``all``."""
    n_neurons, n_images = condition.split("-")
    return size(n_neurons[1:]), size(n_images[1:])
