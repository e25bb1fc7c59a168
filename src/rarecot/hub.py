"""Models by hub id: fetched into the hub's own cache, refused with a remedy when they cannot be had."""

import re
from functools import cache
from pathlib import Path

from rarecot.errors import ConfigError

SMALL = ["*.json", "*.jinja", "*.model", "*.txt"]  # configuration and tokenizer
WEIGHTS = ["*.safetensors"]  # never pickles


def is_hub_id(name: str) -> bool:
    """Whether a name that is no path looks like `organisation/name`."""
    return not Path(name).expanduser().exists() and re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name) is not None


@cache
def model_snapshot(name: str, revision: str | None = None, weights: bool = False) -> Path:
    """The folder in the hub's cache that holds a model, fetched if need be.

    Args:
        name: the hub id.
        revision: branch, tag or commit; None: main.
        weights: fetch the safetensors files too, not just configuration and tokenizer.

    Raises:
        ConfigError: the hub cannot be reached and the cache does not hold it, it does not exist, or it is gated.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    patterns = SMALL + WEIGHTS if weights else SMALL
    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except GatedRepoError as error:
        raise ConfigError(
            [
                f"{name} asks for its licence to be accepted on the hub, and for `hf auth login` on this machine; then try again."
            ]
        ) from error
    except RepositoryNotFoundError as error:
        raise ConfigError(
            [
                f"there is no folder {name}, and the hub has no such model (or it is private). Look at the spelling, or give a folder."
            ]
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise ConfigError(
            [
                f"there is no folder {name}, and no such model can be had from the hub ({type(error).__name__}). Download it elsewhere and give its folder: "
                f"--model_name_or_path PATH, with config.json, tokenizer.json and *.safetensors in it."
            ]
        ) from error
    if not (folder / "config.json").is_file():
        raise ConfigError([f"{name} holds no config.json: it is no transformers model."])
    return folder
