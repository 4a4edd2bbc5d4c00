"""What a JSON schema of draft 7 finds wrong with a value: of its words those that ours has, and no others."""

import re

TYPES = {"null": type(None), "boolean": bool, "string": str, "array": list, "object": dict}
SILENT = {"$schema", "title", "description", "default", "definitions", "format", "then", "else", "additionalItems"}


def is_of_type(value, name):
    if name in ("integer", "number"):
        return isinstance(value, int if name == "integer" else int | float) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def mistakes(value, schema, root, at=""):
    """Return where and by which word of the schema the value is wrong, such as `/model/class_path: anyOf`."""
    found = []
    for word, rule in schema.items():
        if word not in SILENT:
            found += CHECKS[word](value, rule, schema, root, at)
    return found


def fits(value, schema, root):
    return not mistakes(value, schema, root)


def unless(wrong_if, at, word):
    return [f"{at}: {word}"] if wrong_if else []


def of_type(value, rule, schema, root, at):
    return unless(not any(is_of_type(value, name) for name in ([rule] if isinstance(rule, str) else rule)), at, "type")


def properties(value, rule, schema, root, at):
    known = [name for name in rule if isinstance(value, dict) and name in value]
    return [found for name in known for found in mistakes(value[name], rule[name], root, f"{at}/{name}")]


def additional_properties(value, rule, schema, root, at):
    others = set(value) - set(schema.get("properties", {})) if isinstance(value, dict) else set()
    if rule is False:
        return [f"{at}/{name}: additionalProperties" for name in sorted(others)]
    return [found for name in others for found in mistakes(value[name], rule, root, f"{at}/{name}")]


def items(value, rule, schema, root, at):
    if not isinstance(value, list):
        return []
    rules = rule if isinstance(rule, list) else [rule] * len(value)
    found = unless(isinstance(rule, list) and len(value) > len(rule), at, "additionalItems")
    for i, (item, of_item) in enumerate(zip(value, rules, strict=False)):
        found += mistakes(item, of_item, root, f"{at}/{i}")
    return found


def condition(value, rule, schema, root, at):
    return mistakes(value, schema.get("then" if fits(value, rule, root) else "else", {}), root, at)


CHECKS = {
    "type": of_type,
    "properties": properties,
    "additionalProperties": additional_properties,
    "items": items,
    "if": condition,
    "$ref": lambda value, rule, schema, root, at: mistakes(value, root["definitions"][rule.split("/")[2]], root, at),
    "enum": lambda value, rule, schema, root, at: unless(value not in rule, at, "enum"),
    "pattern": lambda value, rule, schema, root, at: unless(
        isinstance(value, str) and not re.search(rule, value), at, "pattern"
    ),
    "anyOf": lambda value, rule, schema, root, at: unless(not any(fits(value, one, root) for one in rule), at, "anyOf"),
    "allOf": lambda value, rule, schema, root, at: [found for one in rule for found in mistakes(value, one, root, at)],
    "not": lambda value, rule, schema, root, at: unless(fits(value, rule, root), at, "not"),
    "required": lambda value, rule, schema, root, at: unless(
        isinstance(value, dict) and not set(rule) <= set(value), at, "required"
    ),
    "minimum": lambda value, rule, schema, root, at: unless(
        is_of_type(value, "number") and value < rule, at, "minimum"
    ),
    "minItems": lambda value, rule, schema, root, at: unless(
        isinstance(value, list) and len(value) < rule, at, "minItems"
    ),
    "uniqueItems": lambda value, rule, schema, root, at: [],
}
