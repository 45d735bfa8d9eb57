"""Every key of a configuration in Markdown, written from the schemas.

``python -m whatwhere.config.reference config/README.md`` brings the file up to date below its marker.
"""

import sys
from pathlib import Path
from typing import Any

import yaml

from whatwhere.config.files import SCHEMAS, read

MARKER = "<!-- Written by `make docs` from config/schemas; edit the descriptions there. -->"

Schema = dict[str, Any]


def reference() -> str:
    """Tables of all keys: of a run, of every kind of dataset and of every family of models."""
    parts = [MARKER, "## Keys of a run", *_table(_load("config"), "run")]
    for name, key, title in (("datasets", "kind", "Datasets"), ("models", "family", "Models")):
        schema = _load(name)
        parts += [f"## {title}: keys under `{name}.<name>`"]
        shared = {one: part for one, part in schema["properties"].items() if one != key}
        if shared:
            parts += ["### every model", *_table({"properties": shared, "required": [], "$defs": {}}, key)]
        for branch in schema["allOf"]:
            cases = _names(branch["if"]["properties"][key])
            parts += [f"### {key}: {', '.join(f'`{case}`' for case in cases)}"]
            then = {**branch["then"], "$defs": schema.get("$defs", {})}
            if "required" in then:
                then["required"] = [*then["required"], *schema["required"]]
            parts += _table(then, key)
    return "\n\n".join(parts) + "\n"


def _load(name: str) -> Schema:
    return read(SCHEMAS / f"{name}.schema.yaml")


def _names(condition: Schema) -> list[str]:
    return [condition["const"]] if "const" in condition else condition["enum"]


def _table(schema: Schema, of: str) -> list[str]:
    rows = [f"| `{key}` | {value} | {text} |" for key, value, text in _keys(schema, schema["$defs"], "")]
    head = ["| key | value | meaning |", "|---|---|---|"]
    return ["\n".join(head + rows)] if rows else [f"No keys but `{of}`."]


def _keys(schema: Schema, definitions: Schema, prefix: str) -> list[tuple[str, str, str]]:
    """Path, allowed values and description of every property below a schema."""
    rows = []
    for name, stated in schema.get("properties", {}).items():
        prop = _resolve(stated, definitions)
        # An empty schema only says that the key exists; another branch describes it.
        if not prop:
            continue
        path = f"{prefix}{name}"
        below = []
        for one in (prop, *prop.get("oneOf", [])):
            items = _resolve(one.get("items", {}), definitions)
            below += _keys(one, definitions, f"{path}.") + _keys(items, definitions, f"{path}[].")
        optional = "" if name in schema.get("required", [name]) else "Optional. "
        text = " ".join(prop.get("description", "").removeprefix("Optional. ").split())
        # A mapping without words of its own is described by its keys.
        if text or not below:
            rows.append((path, _value(prop, definitions), optional + text))
        rows += below
    return rows + _conditional_keys(schema, definitions, prefix)


def _conditional_keys(schema: Schema, definitions: Schema, prefix: str) -> list[tuple[str, str, str]]:
    """Rows of keys that exist only where another key has a certain value, as the stimuli's source."""
    cases: dict[tuple[str, str, str], list[str]] = {}
    for branch in schema.get("allOf", []):
        ((key, condition),) = branch["if"]["properties"].items()
        for row in _keys(branch["then"], definitions, prefix):
            cases.setdefault(row, []).append(f"`{key}: {condition['const']}`")
    return [(path, value, f"With {' or '.join(some)}: {text}") for (path, value, text), some in cases.items()]


def _resolve(schema: Schema, definitions: Schema) -> Schema:
    """A schema with what it refers to; its own words win."""
    if "$ref" not in schema:
        return schema
    target = _resolve(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
    return {**target, **{key: value for key, value in schema.items() if key != "$ref"}}


def _value(schema: Schema, definitions: Schema) -> str:
    """Allowed values in words."""
    schema = _resolve(schema, definitions)
    if "const" in schema:
        return f"`{_plain(schema['const'])}`"
    if "enum" in schema:
        return ", ".join(f"`{_plain(value)}`" for value in schema["enum"])
    if "oneOf" in schema:
        return " or ".join(_value(option, definitions) for option in schema["oneOf"])
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return " or ".join(_kind(kind, schema, definitions) for kind in types)


def _kind(kind: str, schema: Schema, definitions: Schema) -> str:
    if kind == "array":
        items = schema.get("prefixItems", [schema.get("items", {})])[0]
        return f"list of {_value(items, definitions)}"
    words = {"object": "mapping", "null": "`null`", "boolean": "`true`, `false`", "string": "text"}
    if kind not in ("integer", "number"):
        return words[kind]
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {schema[bound]}" for bound, sign in signs.items() if bound in schema]
    return " ".join([kind, ", ".join(bounds)]).strip()


def _plain(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("\n...\n").strip()


def update(path: Path) -> str:
    """The text of ``path`` with an up-to-date reference below its marker."""
    before, _, _ = path.read_text(encoding="utf-8").partition(MARKER)
    return before + reference()


if __name__ == "__main__":
    readme = Path(sys.argv[1])
    readme.write_text(update(readme), encoding="utf-8")
