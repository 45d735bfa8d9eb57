"""Configurations against their JSON schemas, with errors for humans."""

import functools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import jsonschema

from whatwhere.config.files import SCHEMAS, Config, read
from whatwhere.config.old_keys import OLD_KEYS, OLD_VALUES
from whatwhere.errors import UserError

Sources = Sequence[tuple[str, Config]]
"""Name and content of what was merged to a configuration, in order."""

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
    """Error about a key, with one line that names its file.

    Parameters
    ----------
    path
        The key's place in the configuration.
    message
        What is wrong and what is allowed.
    sources
        What was merged, in order.
    inside
        Key inside of the one at ``path`` whose file is to be named.
    """
    path = tuple(path)
    key = ".".join(map(str, path)) or "top level"
    return UserError(f"{_culprit((*path, *inside), sources)}: {key}: {message}")


def _culprit(path: tuple[str | int, ...], sources: Sources) -> str:
    """The last source that holds the longest part of the path."""

    def depth(content: Any) -> int:
        for reached, key in enumerate(path):
            try:
                content = content[key]
            except (KeyError, IndexError, TypeError):
                return reached
        return len(path)

    return max(reversed(sources), key=lambda source: depth(source[1]))[0]


@functools.cache
def _validator(schema: str) -> Any:
    return _Validator(read(SCHEMAS / f"{schema}.schema.yaml"))


def check_schema(value: Any, schema: str, path: tuple[str, ...], sources: Sources) -> None:
    """Refuses what does not fulfil a schema.

    Parameters
    ----------
    value
        The part of the configuration at ``path``.
    schema
        Name of a file of ``config/schemas``.
    path
        Place of ``value`` in the configuration.
    sources
        What was merged, in order.

    Raises
    ------
    UserError
        About the most specific violation.
    """
    errors = sorted(_validator(schema).iter_errors(value), key=lambda error: len(error.path), reverse=True)
    if not errors:
        return
    # The deepest error is the most specific one; of alternatives, that of the one which was meant.
    error = errors[0]
    inside = ("required", "additionalProperties")
    error = next((e for e in error.context or () if e.path or e.validator in inside), error)
    raise fail((*path, *error.absolute_path), _explain(error), sources, _unknown_keys(error)[:1])


def _unknown_keys(error: jsonschema.ValidationError) -> list[str]:
    if error.validator != "additionalProperties":
        return []
    given: Any = error.instance
    schema: Any = error.schema
    return [key for key in given if key not in schema["properties"]]


def _explain(error: jsonschema.ValidationError) -> str:
    given: Any = error.instance
    schema: Any = error.schema
    expected: Any = error.validator_value
    if error.validator == "additionalProperties":
        allowed = ", ".join(schema["properties"])
        old = [key for key in _unknown_keys(error) if key in OLD_KEYS]
        if old:
            return f"'{old[0]}' is a key of an earlier version: {OLD_KEYS[old[0]]}"
        unknown = ", ".join(map(repr, _unknown_keys(error)))
        return f"unknown key {unknown}; allowed are {allowed}"
    if error.validator == "required":
        missing = next(key for key in expected if key not in given)
        return f"key '{missing}' is missing"
    if error.validator == "enum":
        if str(given) in OLD_VALUES:
            return f"'{given}' is a value of an earlier version: {OLD_VALUES[given]}"
        return f"{given!r} is not allowed; use one of {', '.join(map(_plain, expected))}"
    if error.validator == "const":
        return f"{given!r} is not allowed; it must be {_plain(expected)}"
    if error.validator == "type":
        types = expected if isinstance(expected, list) else [expected]
        return f"{given!r} has the wrong type; it must be {' or '.join(map(str, types))}"
    if error.validator == "oneOf":
        options = " or ".join(_option(option) for option in expected)
        return f"{given!r} is not allowed; it must be {options}"
    if error.validator == "pattern":
        return f"{given!r} may hold only lower-case letters, digits and underscores"
    if error.validator == "minItems":
        return f"{given!r} needs at least {expected} element(s)"
    if error.validator == "uniqueItems":
        return f"{given!r} names something twice"
    return " ".join(error.message.split())


def _plain(value: Any) -> str:
    return "null" if value is None else str(value)


def _option(schema: dict[str, Any]) -> str:
    if "const" in schema:
        return _plain(schema["const"])
    if "enum" in schema:
        return " or ".join(map(_plain, schema["enum"]))
    bounds = {"minimum": "at least", "exclusiveMinimum": "above"}
    limits = "".join(f" {word} {schema[key]}" for key, word in bounds.items() if key in schema)
    return f"{schema['type']}{limits}"
