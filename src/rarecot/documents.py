"""JSON and YAML files as they lie on disks, by whomever written: whole, or refused in a sentence that names the file."""

import json
from pathlib import Path
from typing import Any

import yaml

from rarecot import strict_yaml
from rarecot.errors import ConfigError
from rarecot.values import shown


def loads(text: str | bytes, unique: bool = False) -> Any:
    """What a JSON text says.

    Args:
        text: the text; as bytes, in any UTF.
        unique: refuse an object that names a key twice, of which Python would take the last.

    Raises:
        ValueError: it is no JSON, is nested deeper than Python's stack, or holds a number of more digits than Python reads.
    """
    try:
        return json.loads(text, object_pairs_hook=_once if unique else None)
    except RecursionError:
        raise ValueError("nested too deep") from None


def why(error: Exception) -> str:
    """The fault of a text in a few words, for a sentence."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg}, column {error.colno}"
    return " ".join(str(error).split(";")[0].split()).rstrip(".")


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """The object in a JSON file.

    Args:
        path: the file.
        remedy: what to do where it is damaged, a sentence.

    Raises:
        ConfigError: it cannot be read, is no JSON, or holds anything but an object.
    """
    try:
        found = loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError([f"{path} is not whole JSON ({why(error)}). {remedy}"]) from error
    return _mapping(found, path, "an object", remedy)


def read_yaml(path: Path, remedy: str = "Give a YAML with `key: value` lines.") -> dict[str, Any]:
    """The mapping in a YAML file.

    Args:
        path: the file.
        remedy: what to do where it is damaged, a sentence.

    Raises:
        ConfigError: it cannot be read, is not valid YAML, or holds anything but `key: value` lines.
    """
    try:
        found = strict_yaml.load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:  # a ValueError: not UTF-8, or a date that there is not
        raise ConfigError([f"{path} is not valid YAML: {why(error)}. {remedy}"]) from error
    return _mapping(found, path, "`key: value` lines", remedy)


def _mapping(found: Any, path: Path, what: str, remedy: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        kind = "nothing" if found is None else f"a {type(found).__name__}"
        raise ConfigError([f"{path} must hold {what}, but holds {kind}. {remedy}"])
    if odd := [key for key in found if not isinstance(key, str)]:
        raise ConfigError([f"{path}: the key {shown(odd[0])} is not read as text. Put it in quotes."])
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"names {next(name for name in names if names.count(name) > 1)!r} twice")
    return found
