"""Configurations against their JSON schemas, with errors for humans."""

import functools
import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Any

import jsonschema

from whatwhere.config.files import SCHEMAS, Config, read
from whatwhere.config.old_keys import OLD_KEYS, OLD_VALUES
from whatwhere.errors import UserError

Sources = Sequence[tuple[str, Config]]  # name and content of what was merged to a configuration, in order

# JSON Schema takes 8.0 for an integer, and every comparison with NaN for fulfilled.
_Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: isinstance(value, int) and not isinstance(value, bool),
            "number": lambda _, value: (
                isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            ),
        }
    ),
)


def fail(path: Iterable[str | int], message: str, sources: Sources, inside: Iterable[str] = ()) -> UserError:
    """Returns the error about the key at a path, one line that names its file.

    The message says what is wrong and what is allowed. ``inside`` is the key inside of ``path`` whose file is
    named.
    """
    path = tuple(path)

    def depth(source: tuple[str, Any]) -> int:
        content = source[1]
        for reached, key in enumerate((*path, *inside)):
            try:
                content = content[key]
            except (KeyError, IndexError, TypeError):
                return reached
        return len(path) + 1

    # The last source that holds the longest part of the path.
    culprit = max(reversed(sources), key=depth)[0]
    return UserError(f"{culprit}: {'.'.join(map(str, path)) or 'top level'}: {message}")


def undefined(name: Any, section: str, defined: Iterable[Any]) -> str:
    """Message about a name that is not defined under a section."""
    known = ", ".join(sorted(map(str, defined))) or "none"
    return f"'{name}' is not defined under '{section}'; defined are {known}"


@functools.cache
def _validator(schema: str) -> Any:
    return _Validator(read(SCHEMAS / f"{schema}.schema.yaml"))


_fulfilled: set[tuple[str, bytes]] = set()
"""Schemas, and digests of values that fulfil them: a process reads the library of models many times."""


def check_schema(value: Any, schema: str, path: tuple[str, ...], sources: Sources) -> None:
    """Refuses a value at a path that does not fulfil the schema of a file of ``config/schemas``.

    UserError about the most specific violation.
    """
    checked = schema, hashlib.sha256(repr(value).encode()).digest()
    if checked in _fulfilled:
        return
    # A missing kind or family comes first. Then the deepest error is the most specific one; of alternatives,
    # that of the alternative which was meant.
    errors = _validator(schema).iter_errors(value)
    error = max(errors, key=lambda error: (len(error.schema_path) == 1, len(error.path)), default=None)
    if error is not None:
        inside = ("required", "additionalProperties")
        error = next((e for e in error.context or () if e.path or e.validator in inside), error)
        message, keys = _explain(error)
        raise fail((*path, *error.absolute_path), message, sources, keys[:1])
    _fulfilled.add(checked)


def _explain(error: jsonschema.ValidationError) -> tuple[str, list[str]]:
    """Message about a violation, and the keys inside of its place that violate."""
    given: Any = error.instance
    schema: Any = error.schema
    expected: Any = error.validator_value
    match error.validator:
        case "additionalProperties":
            unknown = [key for key in given if key not in schema.get("properties", {})]
            old = next((key for key in unknown if key in OLD_KEYS), None)
            if old is not None:
                return f"'{old}' is a key of an earlier version: {OLD_KEYS[old]}", unknown
            allowed = ", ".join(schema["properties"])
            return f"unknown key {', '.join(map(repr, unknown))}; allowed are {allowed}", unknown
        case "required":
            return f"key '{next(key for key in expected if key not in given)}' is missing", []
        case "dependentRequired":
            pairs = ((key, one) for key in expected if key in given for one in expected[key])
            key, other = next(pair for pair in pairs if pair[1] not in given)
            return f"'{key}' says nothing without '{other}': add that, or remove '{key}'", [key]
        case "not" | "pattern" | "const" | "maximum" | "minimum" if "errorMessage" in schema:
            return f"{given!r} {schema['errorMessage']}", []
        case "enum" | "type" if str(given) in OLD_VALUES:
            return f"'{given}' is a value of an earlier version: {OLD_VALUES[given]}", []
        case "enum":
            return f"{given!r} is not allowed; use one of {', '.join(map(_plain, expected))}", []
        case "const" | "oneOf":
            options = expected if error.validator == "oneOf" else [{"const": expected}]
            return f"{given!r} is not allowed; it must be {' or '.join(map(_option, options))}", []
        case "type":
            types = [expected] if isinstance(expected, str) else expected
            return f"{given!r} has the wrong type; it must be {' or '.join(types)}", []
        case "minItems":
            return f"{given!r} needs at least {expected} element(s)", []
        case "uniqueItems":
            return f"{given!r} names something twice", []
    return " ".join(error.message.split()), []


def _plain(value: Any) -> str:
    return "null" if value is None else str(value)


def _option(schema: dict[str, Any]) -> str:
    """Values that one of several schemas allows, in words."""
    if "type" not in schema:
        return " or ".join(map(_plain, schema.get("enum", [schema.get("const")])))
    bounds = {"minimum": "at least", "exclusiveMinimum": "above"}
    limits = "".join(f" {word} {schema[key]}" for key, word in bounds.items() if key in schema)
    return f"{schema['type']}{limits}"
