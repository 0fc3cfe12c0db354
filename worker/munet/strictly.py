"""Read a dataclass from JSON or TOML values: every key must be known, every value of its type."""

import json
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any, TypeVar, get_args, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

T = TypeVar("T")


def read_json(kind: type[T], text: str | bytes) -> T:
    """Read a dataclass from JSON; ValueError names each key that is wrong."""
    try:
        return _adapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        raise ValueError(told(error)) from error


def read_values(kind: type[T], values: Mapping[str, Any]) -> T:
    """Read a dataclass from plain values, as strictly as from JSON."""
    return read_json(kind, json.dumps(values, default=str))


def told(error: ValidationError) -> str:
    """One line of every key and what is wrong with it."""
    lines = []
    for problem in error.errors(include_url=False):
        key = ".".join(map(str, problem["loc"])) or "the whole"
        lines.append(f"{key}: {_words(problem)}")
    return "; ".join(lines)


def _words(problem: Mapping[str, Any]) -> str:
    if problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return "is unknown"
    if problem["type"] in ("missing", "missing_argument"):
        return "is missing"
    return str(problem["msg"]).removeprefix("Value error, ")


def _adapter(kind: type[T]) -> TypeAdapter[T]:
    _forbid(kind)
    return TypeAdapter(kind)


def _forbid(kind: Any) -> None:
    """Let pydantic refuse unknown keys of a dataclass and of all within it."""
    if is_dataclass(kind) and isinstance(kind, type):
        if "__pydantic_config__" not in vars(kind):
            kind.__pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[attr-defined]
            for within in get_type_hints(kind).values():
                _forbid(within)
    else:
        for within in get_args(kind):
            _forbid(within)
