"""The house: imports point downward, recipes are not importable, heavy packages stay in the rooms that own them."""

import ast
from pathlib import Path

import pytest
from conftest import ROOT

SOURCE = ROOT / "src" / "rarecot"
MODULES = sorted(SOURCE.rglob("*.py"))
SCRIPTS = [
    path for folder in ("recipes", "eval", "data_mixes", "slurm") for path in sorted((ROOT / folder).glob("*.py"))
]

# room → rooms it may import from; leaves (errors, types, parsing, …) are open to all
ALLOWED = {
    "tasks": set(),
    "theory": set(),
    "forecast": {"theory", "evaluation", "sampling", "rewards"},
    "verify": set(),
    "rewards": {"verify"},
    "sampling": set(),
    "mixtures": {"tasks", "verify"},
    "evaluation": {"sampling", "mixtures", "tasks", "verify"},
    "training": {"forecast", "theory", "evaluation", "sampling", "mixtures", "rewards", "tasks", "verify"},
    "report": {"forecast", "evaluation", "theory"},
    "sweeps": {"training", "evaluation", "mixtures", "report"},
}
LEAVES = {
    *(
        "command_line",
        "documents",
        "errors",
        "extraction",
        "holding",
        "hub",
        "model_files",
        "quiet",
        "types",
        "parsing",
        "rendering",
    ),
    *("checkpoints", "stages", "stopping", "values", "whole"),
}
# package → rooms, leaves or single files that may import it when they are imported themselves
OWNERS = {
    "vllm": {"sampling/vllm/transfer.py", "training/rl/vllm_client.py", "training/rl/vllm_rollouts.py"},
    "math_verify": {"verify"},
    "peft": {"training"},
    "wandb": set(),
    "trl": {"training"},
    "matplotlib": {"report"},
    "torch": {"sampling", "training"},
    "transformers": {"sampling", "training", "evaluation"},
    "datasets": {"mixtures", "training"},
}


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path, module_level: bool = False):
    tree = ast.parse(path.read_text())
    for node in tree.body if module_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_point_downward(path):
    here = room(path)
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "rarecot" or here == "__init__":
            continue
        there = parts[1]
        if here in ALLOWED:
            assert there in {here, *ALLOWED[here], *LEAVES}, f"{here} imports {name}"
        else:
            # rendering knows the names of the special tokens, which belong to the task that made the vocabulary
            assert there in LEAVES or (here, there) == ("rendering", "tasks"), f"{here} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_heavy_packages_stay_where_they_belong(path):
    for name in imports(path, module_level=True):
        package = name.split(".")[0]
        if package in OWNERS:
            owners = {room(path), str(path.relative_to(SOURCE))}
            assert owners & OWNERS[package], f"{path.name} imports {package} at module level"


def test_what_imports_vllm_is_imported_late():
    """Nobody imports the files that need vLLM when he is imported himself, but they each other."""
    needing = {f"rarecot.{file.removesuffix('.py').replace('/', '.')}" for file in OWNERS["vllm"]}
    for path in MODULES:
        if str(path.relative_to(SOURCE)) not in OWNERS["vllm"]:
            found = {name for name in imports(path, module_level=True) if name.startswith(tuple(needing))}
            assert found == set(), path


def test_every_room_is_known():
    rooms = {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms == set(ALLOWED)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_scripts_are_short_and_not_importable(path):
    assert not (path.parent / "__init__.py").exists()
    assert len(path.read_text().splitlines()) <= 100
    assert path.stem not in {"datasets", "trl", "math", "evaluate", "transformers", "accelerate", "types"}
    assert all(not name.startswith(("recipes", "eval.", "data_mixes", "slurm")) for name in imports(path))
