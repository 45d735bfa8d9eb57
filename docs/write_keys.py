"""Writes every key of a configuration into ``config/README.md``, from the schemas: ``make docs`` calls it."""

from pathlib import Path
from typing import Any

import yaml

from whatwhere.config.files import SCHEMAS, read

README = Path(__file__).parents[1] / "config" / "README.md"
MARKER = "<!-- Written by `make docs` from config/schemas; edit the descriptions there. -->"

Schema = dict[str, Any]
Row = tuple[str, str, str]
"""Path of a key, its allowed values and its meaning."""


def reference() -> str:
    """Tables of all keys: of a run, of every kind of dataset and of every family of models."""
    paragraphs = [MARKER, "## Keys of a run", _table(_load("config"), "run")]
    for name, key, title in (("datasets", "kind", "Datasets"), ("models", "family", "Models")):
        schema = _load(name)
        paragraphs += [f"## {title}: keys under `{name}.<name>`"]
        shared = {one: stated for one, stated in schema["properties"].items() if one != key}
        if shared:
            paragraphs += [f"### every {name[:-1]}", _table({"properties": shared, "required": []}, key)]
        for branch in schema["allOf"]:
            of = branch["if"]["properties"][key]
            cases = ", ".join(f"`{case}`" for case in of.get("enum", [of.get("const")]))
            then = branch["then"]
            if "required" in then:
                then = then | {"required": then["required"] + schema["required"]}
            paragraphs += [f"### {key}: {cases}", _table(then, key)]
    return "\n\n".join(paragraphs) + "\n"


def _load(name: str) -> Schema:
    """A schema with the definitions that it refers to in their places; words beside a reference win."""
    schema = read(SCHEMAS / f"{name}.schema.yaml")

    def complete(value: Any) -> Any:
        if isinstance(value, list):
            return [complete(one) for one in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            own = {key: one for key, one in value.items() if key != "$ref"}
            return complete(schema["$defs"][value["$ref"].removeprefix("#/$defs/")] | own)
        return {key: complete(one) for key, one in value.items() if key != "$defs"}

    completed: Schema = complete(schema)
    return completed


def _table(schema: Schema, of: str) -> str:
    rows = [f"| `{key}` | {value} | {text} |" for key, value, text in _keys(schema, "")]
    return (
        "\n".join(["| key | value | meaning |", "|---|---|---|", *rows]) if rows else f"No keys but `{of}`."
    )


def _keys(schema: Schema, prefix: str) -> list[Row]:
    """Rows of all properties below a schema."""
    rows: list[Row] = []
    for name, prop in schema.get("properties", {}).items():
        # An empty schema only says that the key exists; another branch describes it.
        if not prop:
            continue
        below = []
        for one in (prop, *prop.get("oneOf", [])):
            below += _keys(one, f"{prefix}{name}.") + _keys(one.get("items", {}), f"{prefix}{name}[].")
        optional = "" if name in schema.get("required", [name]) else "Optional. "
        text = " ".join(prop.get("description", "").removeprefix("Optional. ").split())
        # A mapping without words of its own is described by its keys.
        if text or not below:
            rows.append((f"{prefix}{name}", _value(prop), optional + text))
        rows += below
    # Keys that exist only where another key has a certain value, as the source of stimuli.
    cases: dict[Row, list[str]] = {}
    for branch in schema.get("allOf", []):
        ((key, condition),) = branch["if"]["properties"].items()
        for row in _keys(branch["then"], prefix):
            cases.setdefault(row, []).append(f"`{key}: {condition['const']}`")
    return rows + [
        (key, value, f"With {' or '.join(some)}: {text}") for (key, value, text), some in cases.items()
    ]


def _value(schema: Schema) -> str:
    """Allowed values in words."""
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        return ", ".join(f"`{yaml.safe_dump([one], default_flow_style=True)[1:-2]}`" for one in values)
    if "oneOf" in schema:
        return " or ".join(map(_value, schema["oneOf"]))
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = ", ".join(f"{sign} {schema[bound]}" for bound, sign in signs.items() if bound in schema)
    items = schema.get("prefixItems", [schema.get("items")])[0]
    words = {"object": "mapping", "null": "`null`", "boolean": "`true`, `false`", "string": "text"}
    words |= {kind: f"{kind} {bounds}".strip() for kind in ("integer", "number")}
    words |= {"array": f"list of {_value(items)}"} if items else {}
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return " or ".join(words[kind] for kind in types)


def update() -> str:
    """The text of :data:`README` with up-to-date keys below its marker."""
    before, _, _ = README.read_text(encoding="utf-8").partition(MARKER)
    return before + reference()


if __name__ == "__main__":
    README.write_text(update(), encoding="utf-8")
