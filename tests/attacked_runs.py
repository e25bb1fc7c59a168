"""What runs that were attacked are held against."""

import json

import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file

from rarecot import checkpoints
from rarecot.evaluation import records


def look_at(folder):
    """What a kill leaves holds nothing false: whole lines, each once, and checkpoints that are what they say."""
    for path in folder.rglob(records.FILE):
        *whole, cut_off = path.read_bytes().split(b"\n")
        identities = [records.identity(json.loads(line)) for line in whole if line]
        assert len(set(identities)) == len(identities), f"a line twice in {path}"
        records.read(path.parent)
        assert not cut_off or len(cut_off) < 4096
    for path in folder.rglob(checkpoints.STAMP):
        assert json.loads(path.read_text())["progress"]
        assert load_file(path.parent / "model.safetensors")
        json.loads((path.parent / "config.json").read_text())
        for name in ("optimizer.pt", "scheduler.pt"):
            if (path.parent / name).is_file():  # rounds of STaR that are over have none
                torch.load(path.parent / name, weights_only=True)


def contents(folder):
    """All that a run is about, in a form that can be compared; its cards, too."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.name in (records.FILE, "manifest.json", "model.safetensors", checkpoints.STAMP):
            found[name] = path.read_bytes()
        elif path.name == "README.md" and path.parent.name.startswith("checkpoint-"):
            found[name] = path.read_text().replace(folder.name, "RUN")
        elif path.suffix == ".parquet":
            found[name] = pq.read_table(path).replace_schema_metadata(None)
        elif path.suffix == ".part" and not path.name.startswith("README.md."):
            found[name] = "left over"
    return found
