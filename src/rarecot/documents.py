"""JSON and YAML files as they lie on disks, by whomever written: whole, or refused in a sentence that names the file."""

import json
from pathlib import Path
from typing import Any

import yaml

from rarecot.errors import ConfigError
from rarecot.values import shown

LARGEST_YAML = 100_000  # nodes of a file, each as often as it is said


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
        found = load_yaml(path.read_text(encoding="utf-8"))
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


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            if (key.tag, key.value) in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key.value}' stands there twice; take one out", key.start_mark
                )
            seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)


def load_yaml(text: str) -> Any:
    """What a YAML text holds: no key twice, and no aliases that grow without end.

    Raises:
        yaml.YAMLError: it is not valid, has a key twice, or repeats itself through aliases too often.
        ValueError: it holds a number or a date that does not exist.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _size(node, {}) > LARGEST_YAML:
            raise yaml.YAMLError(f"it stands for more than {LARGEST_YAML:,} values; write them down in several files")
        return loader.construct_document(node)
    except RecursionError:
        raise yaml.YAMLError("its lists or mappings are nested too deep") from None
    finally:
        loader.dispose()


def _size(node: yaml.Node, known: dict[int, float]) -> float:
    """How many values a node stands for; infinitely many if it holds itself."""
    if id(node) not in known:
        known[id(node)] = float("inf")
        held = node.value if isinstance(node, yaml.CollectionNode) else []
        parts = [part for item in held for part in (item if isinstance(item, tuple) else (item,))]
        known[id(node)] = 1 + sum(_size(part, known) for part in parts)
    return known[id(node)]
