"""Models by hub id: fetched into the hub's own cache, refused with a remedy when they cannot be had; and checkpoints pushed."""

import glob
import re
from functools import cache
from pathlib import Path

from rarecot.errors import ConfigError, RunError

SMALL = ["*.json", "*.jinja", "*.model", "*.txt"]  # configuration and tokenizer
WEIGHTS = ["*.safetensors"]  # never pickles
# What only a training that goes on needs.
NOT_PUSHED = ["optimizer*", "scheduler*", "rng_state*", "scaler*", "trainer_state.json", "training_args.bin", "*.part"]


def is_hub_id(name: str) -> bool:
    """Whether a name that is no path looks like `organisation/name`."""
    return re.fullmatch(r"[\w-][\w.-]{,95}/[\w-][\w.-]{,95}", name) is not None and not Path(name).exists()


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


def tokenizer_folder(name: str, option: str) -> Path:
    """The folder of a tokenizer, from a path or a hub id.

    Args:
        name: the path or hub id.
        option: where it was asked for, for the refusal.

    Raises:
        ConfigError: the hub does not give it, or the folder has none.
    """
    folder = model_snapshot(name) if is_hub_id(name) else Path(name)
    if not (folder / "tokenizer.json").is_file():
        raise ConfigError([f"{option} is {name}, which holds no tokenizer.json. Name a folder with one, or a hub id."])
    return folder


def push_problems(repo_id: str, needs_token: bool = True) -> list[str]:
    """Why nothing can be pushed to a repository, as far as can be said without the network, a sentence each.

    Args:
        repo_id: of the repository on the hub.
        needs_token: it is meant to be pushed now.
    """
    from huggingface_hub import get_token
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    problems = []
    try:
        validate_repo_id(repo_id)
        fault = "" if "/" in repo_id else "it does not say whose it is"
    except HFValidationError as error:
        fault = str(error).rstrip(".")
    if fault:
        problems.append(f"{repo_id!r} is no repository's id: {fault}. Give one like `organisation/name`.")
    if needs_token and get_token() is None:
        problems.append("there is no token of the hub on this machine. Make one with `hf auth login`, or set HF_TOKEN.")
    return problems


def pushed_files(folder: Path) -> list[Path]:
    """The files of a checkpoint that are for others: the model, its tokenizer, its stamp and card. No pickles, nothing that only a
    resumed training needs, and no links: what they lead to is not the checkpoint's."""
    files = [path for path in folder.iterdir() if path.is_file() and not path.is_symlink()]
    return sorted(path for path in files if _is_for_others(path.name))


def links(folder: Path) -> list[str]:
    """Which files of a checkpoint would be pushed but are links, a sentence each: one may lead to what is nobody else's business."""
    return [
        f"{path} is a link to {path.resolve()}, and what lies outside a checkpoint is not pushed. Put the file itself there, or take the link away."
        for path in sorted(folder.iterdir())
        if path.is_symlink() and _is_for_others(path.name)
    ]


def _is_for_others(name: str) -> bool:
    from huggingface_hub.utils import filter_repo_objects

    return bool(
        [*filter_repo_objects([name], allow_patterns=[*SMALL, *WEIGHTS, "README.md"], ignore_patterns=NOT_PUSHED)]
    )


def push(folder: Path, repo_id: str, message: str, private: bool = False) -> str:
    """Upload a checkpoint; returns its address.

    Args:
        folder: the checkpoint's.
        repo_id: of the repository on the hub, made if there is none.
        message: of the commit.
        private: nobody else may see it.

    Raises:
        ConfigError: no such id is possible, there is no token, or a file is a link.
        RunError: the hub refuses, cannot be reached, or shows everybody what was to be private.
    """
    if problems := push_problems(repo_id) + links(folder):
        raise ConfigError(problems)
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError  # of the library that the hub's client talks through

    names = [glob.escape(path.name) for path in pushed_files(folder)]
    try:
        api = HfApi()
        address = api.create_repo(repo_id, private=private or None, exist_ok=True)
        is_open = private and not api.model_info(repo_id).private  # one that was there keeps its visibility
        if not is_open:
            api.upload_folder(repo_id=repo_id, folder_path=folder, allow_patterns=names, commit_message=message)
    except (HTTPError, OSError, ValueError, RuntimeError) as error:  # what an upload raises, by way of either protocol
        raise RunError(f"{folder} was not pushed to {repo_id}: {' '.join(str(error).split())}") from error
    if is_open:
        raise RunError(
            f"{repo_id} is there already and public, so nothing was pushed. Make it private on the hub first."
        )
    return str(address)
