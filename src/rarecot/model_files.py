"""What a folder with a model's files holds, read without loading the model: whether they are whole, what they would have us run, and its
sizes."""

from pathlib import Path
from typing import Any

from rarecot.documents import loads, read_json
from rarecot.errors import ConfigError

INDEX = "model.safetensors.index.json"
_PICKLES = ("pytorch_model*.bin", "adapter_model*.bin", "*.pth.tar", "consolidated*.pth")
# For every `from_pretrained` of a model: left alone, transformers asks on the terminal whether a folder's code may run, and reads pickles.
NO_CODE: dict[str, Any] = {"trust_remote_code": False, "use_safetensors": True}
LONGEST_HEADER = 100_000_000  # bytes of a safetensors file; its own library reads no longer one
_REMEDY = "Restore it, or use another checkpoint."


def untrusted(folder: Path) -> list[str]:
    """What a model's folder would have us run, or read from elsewhere, to load it; a sentence each. Read from small files alone."""
    shards, problems = _shards(folder)
    pickles = sorted(path.name for kind in _PICKLES for path in folder.glob(kind))
    if pickles and not any(folder.glob("*.safetensors")):
        problems.append(
            f"{folder} holds its weights as a pickle ({pickles[0]}), which can run any code when it is read. Convert it to "
            f"safetensors where you trust it (model.save_pretrained), or take a revision that has *.safetensors."
        )
    problems += [
        f"{folder / INDEX} names {name!r}, which is no file of that folder. Fetch the model again, from whom you trust."
        for name in shards
        if Path(name).name != name
    ]
    try:
        config = read_json(folder / "config.json", _REMEDY) if (folder / "config.json").is_file() else {}
    except ConfigError as error:
        return [*problems, *error.problems]
    kernels = {key: value for key, value in config.items() if key.endswith("_implementation") and "/" in str(value)}
    problems += [
        f"{folder / 'config.json'} names a kernel to be fetched and run ({key} {value!r}). Take that line out, and choose with --attn_implementation."
        for key, value in kernels.items()
    ]
    if config.get("auto_map") and not _is_known(config):
        problems.append(
            f"{folder} brings code of its own (auto_map in its config.json), without which transformers cannot load it. A model's own code is "
            f"never run here: use a model that transformers knows by itself."
        )
    return problems


def _is_known(config: dict[str, Any]) -> bool:
    """Whether transformers has classes of its own for what a configuration describes."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES  # takes seconds, and is seldom asked

    return config.get("model_type") in CONFIG_MAPPING_NAMES


def _shards(folder: Path) -> tuple[list[str], list[str]]:
    """The files that a model's index of weights names, and what is wrong with the index."""
    index = folder / INDEX
    try:
        names = read_json(index, "Save or fetch it again.").get("weight_map") if index.is_file() else {}
    except ConfigError as error:
        return [], error.problems
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        return [], [f"{index} names no shards (weight_map). Save or fetch it again."]
    return sorted(set(names.values())), []


def damage(folder: Path) -> list[str]:
    """What is missing of a model's weights (shards that an index names, or the end of a file), and what `untrusted` says; a sentence each."""
    problems = untrusted(folder)
    problems += [
        f"{folder / name} is not there, though {INDEX} names it."
        for name in _shards(folder)[0]
        if Path(name).name == name and not (folder / name).is_file()
    ]
    for path in sorted(folder.glob("*.safetensors")):
        try:
            _header(path)
        except ConfigError as error:
            problems += error.problems
    return problems


def _header(path: Path) -> dict[str, Any]:
    """Name of a tensor → its entry (dtype, shape, data_offsets) in the header of a safetensors file.

    Raises:
        ConfigError: the file ends before its tensors do, or starts with no header. What the first bytes claim is not believed, and no
            more read than a header can be.
    """
    remedy = "Save or fetch it again."
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if 8 + length > size:
                raise ConfigError([_ends_too_early(path, size)])
            if length > LONGEST_HEADER:
                raise ConfigError([f"{path} claims a header of {length} bytes, where safetensors have fewer. {remedy}"])
            found = loads(file.read(length))
        entries = {name: entry for name, entry in found.items() if name != "__metadata__"}
        spans = [entry["data_offsets"] for entry in entries.values()]
        counts = [n for entry in entries.values() for n in (*entry["data_offsets"], *entry["shape"])]
        is_whole = all(len(span) == 2 and span[0] <= span[1] for span in spans) and all(type(n) is int for n in counts)
        if not is_whole or min(counts, default=0) < 0:
            raise ValueError
    except ConfigError:
        raise
    except OSError as error:
        raise ConfigError([f"{path} cannot be read ({error.strerror}). {remedy}"]) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            [f"{path} starts with no header of tensors, so it is no safetensors file. {remedy}"]
        ) from error
    if size < 8 + length + max((span[1] for span in spans), default=0):
        raise ConfigError([_ends_too_early(path, size)])
    return entries


def _ends_too_early(path: Path, size: int) -> str:
    return f"{path} ends too early ({size} bytes): it was not written or fetched to its end. Save or fetch it again."


def shape(folder: Path) -> dict[str, int]:
    """Sizes from a model's config.json: `layers`, `hidden`, `head_dim`, and `kv_width` (keys of all heads)."""

    def first(*names: str) -> int | None:
        return _size(folder, *names)

    heads = first("num_attention_heads", "n_head") or 1
    hidden = first("hidden_size", "n_embd") or 0
    head_dim = first("head_dim") or hidden // heads
    return {
        "layers": first("num_hidden_layers", "n_layer") or 0,
        "hidden": hidden,
        "head_dim": head_dim,
        "kv_width": (first("num_key_value_heads") or heads) * head_dim,
    }


def parameter_shapes(folder: Path) -> dict[str, list[int]]:
    """Name → shape of the parameters in a model's safetensors files, read from their headers alone."""
    shapes = {}
    for path in sorted(folder.glob("*.safetensors")):
        shapes |= {name: entry["shape"] for name, entry in _header(path).items()}
    return shapes


def positions_of(folder: Path) -> int | None:
    """How many positions a model has; None if its configuration names no limit."""
    return _size(folder, "max_position_embeddings", "n_positions")


def _size(folder: Path, *names: str) -> int | None:
    """The first of these sizes that a model's config.json gives; None: it gives none of them.

    Raises:
        ConfigError: config.json is damaged, or the size is no whole number above 0.
    """
    path = folder / "config.json"
    config = read_json(path, _REMEDY)
    name = next((name for name in names if config.get(name) is not None), None)
    if name is not None and (type(config[name]) is not int or config[name] < 1):
        raise ConfigError([f"{path}: {name} is {str(config[name])[:40]!r}, which is no size. {_REMEDY}"])
    return None if name is None else config[name]
