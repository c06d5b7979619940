"""JSON Schemas (2020-12) of the service's models and of the document's own types."""

from collections.abc import Sequence
from typing import Any

from pydantic import AliasChoices, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

REF = "#/components/schemas/{model}"


class _Generator(GenerateJsonSchema):
    """Without titles, which only repeat the names; with every spelling of a field that has several.

    That unknown keys are tolerated is said, too, as readers and tools take silence for a prohibition.
    """

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def generate_inner(self, schema: Any) -> JsonSchemaValue:
        told = super().generate_inner(schema)
        # Limits of what may have several types come in Python's words.
        for ours, theirs in (("ge", "minimum"), ("le", "maximum")):
            if ours in told:
                told[theirs] = told.pop(ours)
        return told

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        told = super().model_schema(schema)
        told.setdefault("additionalProperties", True)
        for field in schema["cls"].model_fields.values():
            if not isinstance(field.validation_alias, AliasChoices):
                continue
            first, *others = map(str, field.validation_alias.choices)
            for name in others:
                told["properties"][name] = {
                    **told["properties"][first],
                    "description": f"Another spelling of `{first}`.",
                }
            if first in told.get("required", ()):
                told["required"].remove(first)
                told["anyOf"] = [{"required": [name]} for name in (first, *others)]
        if not told.get("required", True):
            del told["required"]
        return told


def schemas_of(types: Sequence[Any]) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """The schema of each type, and the named ones that they refer to; in one go, so that no name stands for two."""
    together: Any = tuple.__class_getitem__(tuple(types))
    whole = TypeAdapter[Any](together).json_schema(ref_template=REF, schema_generator=_Generator)
    named = whole["$defs"]
    for schema in named.values():
        schema.pop("title", None)
    return whole["prefixItems"], named
