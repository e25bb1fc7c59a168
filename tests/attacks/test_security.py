"""What is loaded, read, shown or sent is hostile until shown otherwise: nothing of it is run, and no secret or file of this machine gets out.

Each attack plants what leaves a file, or holds a word, that must not be there afterwards.
"""

import ast
import json
import os
import pickle
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from conftest import DATA, ROOT, run_command
from generation_pages import ATTACK, IMAGE, record, row, save
from made_runs import make_run

from rarecot import checkpoints, hub
from rarecot.errors import ConfigError, holds_password, printable
from rarecot.evaluation import card, records
from rarecot.rendering import load_tokenizer

SOURCES = sorted(p for room in ("src", "recipes", "eval", "data_mixes", "slurm") for p in (ROOT / room).rglob("*.py"))
TINY = ROOT / "recipes/parity/tiny"
ESCAPE = "\x1b]0;owned\x07\x1b[2J\u202egnp"


class Payload:
    """A pickle that writes a file when it is read."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return Path.write_text, (self.canary, "a pickle was run")


# ---------------------------------------------------------------- what the source may not say

# call → why nobody may make it
FORBIDDEN = {
    "pickle.load": "a pickle runs code when it is read",
    "pickle.loads": "a pickle runs code when it is read",
    "dill.load": "a pickle runs code when it is read",
    "dill.loads": "a pickle runs code when it is read",
    "cloudpickle.loads": "a pickle runs code when it is read",
    "joblib.load": "a pickle runs code when it is read",
    "marshal.loads": "bytes that become code",
    "shelve.open": "a pickle runs code when it is read",
    "pandas.read_pickle": "a pickle runs code when it is read",
    "yaml.load": "builds any object; safe_load",
    "yaml.unsafe_load": "builds any object; safe_load",
    "yaml.full_load": "builds objects; safe_load",
    "eval": "runs text",
    "exec": "runs text",
    "compile": "makes code of text",
    "__import__": "imports what a text names",
    "os.system": "a shell",
    "os.popen": "a shell",
    "subprocess.getoutput": "a shell",
    "tempfile.mktemp": "a name that another may take first",
    "os.umask": "permissions of all later files",
    "os.chmod": "permissions",
    "jinja2.Template": "templates are files of ours, in an environment that escapes",
    "Template.from_string": "templates are files of ours",
    "zipfile.ZipFile": "paths in an archive may leave its folder",
    "tarfile.open": "paths in an archive may leave its folder",
    "shutil.unpack_archive": "paths in an archive may leave its folder",
    "http.server.HTTPServer": "nothing of ours listens",
}
# keyword of any call → values that it may not have
BAD_VALUES = {
    "shell": (True,),
    "trust_remote_code": (True, None),
    "allow_pickle": (True,),
    "weights_only": (False, None),
    "use_safetensors": (False, None),
    "verify": (False,),
    "autoescape": (False, None),
}
NEEDED = {"torch.load": "weights_only", "AutoTokenizer.from_pretrained": "trust_remote_code"}
# (file, what it says) → why it may
EXCEPTIONS = {
    ("recipes/smollm2.py", "zipfile.ZipFile"): "reads one member of a package from the index into memory",
    ("src/rarecot/evaluation/card.py", "autoescape=False"): "Markdown, which `finalize` escapes; attacked below",
}


def said(path, text=None):
    """The calls of a file that are forbidden, as they are written."""
    tree = ast.parse(text if text is not None else path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in ("pickle", "dill", "cloudpickle", "joblib", "marshal"):
            yield f"from {node.module}"
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        if name in FORBIDDEN:
            yield name
        keywords = {k.arg: k.value for k in node.keywords}
        for key, values in BAD_VALUES.items():
            if isinstance(keywords.get(key), ast.Constant) and keywords[key].value in values:
                yield f"{key}={keywords[key].value}"
        for ending, key in NEEDED.items():
            if name == ending and key not in keywords:
                yield f"{name} without {key}"
        if name == "AutoModelForCausalLM.from_pretrained" and "trust_remote_code" not in keywords:
            spread = [ast.unparse(k.value) for k in node.keywords if k.arg is None]
            if not any(word == "how" or word.endswith("NO_CODE") for word in spread):
                yield f"{name} without NO_CODE"


def test_the_source_calls_nothing_that_runs_what_it_reads():
    found = {(str(p.relative_to(ROOT)), what) for p in SOURCES for what in said(p)}
    assert found == set(EXCEPTIONS)
    assert len(SOURCES) > 150
    assert checkpoints.NO_CODE == {"trust_remote_code": False, "use_safetensors": True}


@pytest.mark.parametrize(
    "text",
    [
        "pickle.loads(x)",
        "torch.load(x)",
        "torch.load(x, weights_only=False)",
        "yaml.load(x)",
        "eval(x)",
        "subprocess.run(x, shell=True)",
        "np.load(x, allow_pickle=True)",
        "AutoTokenizer.from_pretrained(x)",
        "AutoModelForCausalLM.from_pretrained(x)",
        "AutoModelForCausalLM.from_pretrained(x, trust_remote_code=True)",
        "from dill import loads",
    ],
)
def test_the_static_test_sees_what_it_forbids(text):
    assert list(said(None, text))


def test_no_shell_script_runs_text_of_a_run():
    for script in sorted((ROOT / "slurm").glob("*.sh")):
        code = "\n".join(line for line in script.read_text().splitlines() if not line.lstrip().startswith("#"))
        assert not re.search(r"\beval\b(?!\.sh|/|\.py)|\bchmod\b|\bcurl\b|\bwget\b|/tmp/", code), script.name


# ---------------------------------------------------------------- a model's folder


EVIL = """
from pathlib import Path
Path({canary!r}).write_text("remote code was run")
class Evil:
    pass
EvilConfig = EvilModel = EvilTokenizer = Evil
def generate(*args, **kwargs):
    Path({canary!r}).write_text("remote code was run")
"""
ALL = {name: "evil.Evil" for name in ("AutoConfig", "AutoModel", "AutoModelForCausalLM")}
# Reaches for the interpreter by every door that a template's sandbox shuts.
TEMPLATE = (
    "{% for c in ().__class__.__base__.__subclasses__() %}{% if c.__name__ == 'Popen' %}"
    "{{ c(['touch', CANARY]) }}{% endif %}{% endfor %}"
    "{{ cycler.__init__.__globals__.os.system('touch ' ~ CANARY) }}"
    "{% for m in messages %}{{ m.content }}{% endfor %}"
)


def change(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def planted(text_model, folder, kind, canary):
    """A copy of the model whose folder tries to have something run."""
    shutil.copytree(text_model, folder)
    for name in ("evil.py", "modeling_evil.py", "tokenization_evil.py", "gsm8k.py", "custom_generate/generate.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(EVIL.format(canary=str(canary)))
    if kind == "known":  # what transformers knows by itself, and brings code all the same
        change(folder / "config.json", auto_map=ALL)
        change(folder / "generation_config.json", custom_generate=str(folder))
    if kind == "unknown":
        change(folder / "config.json", auto_map=ALL, model_type="evil", architectures=["Evil"])
    if kind == "tokenizer":
        change(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Evil"] * 2}, tokenizer_class="Evil")
    if kind == "kernel":
        change(folder / "config.json", attn_implementation="evil/kernel")
    if kind in ("pickle", "adapter"):
        (folder / "model.safetensors").unlink()
        name = "pytorch_model.bin" if kind == "pickle" else "adapter_model.bin"
        (folder / name).write_bytes(pickle.dumps(Payload(canary)))
    if kind == "adapter":
        adapter = {"peft_type": "LORA", "base_model_name_or_path": str(text_model), "r": 4, "task_type": "CAUSAL_LM"}
        (folder / "adapter_config.json").write_text(json.dumps(adapter))
    if kind == "index":
        weights = {name: "../elsewhere/model.safetensors" for name in ("lm_head.weight", "model.norm.weight")}
        (folder / checkpoints.INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weights}))
    if kind == "template":
        (folder / "chat_template.jinja").write_text(TEMPLATE.replace("CANARY", repr(str(canary))))
    return folder


REFUSED = {
    "unknown": "brings code of its own",
    "kernel": "names a kernel to be fetched and run",
    "pickle": "holds its weights as a pickle",
    "adapter": "holds its weights as a pickle",
    "index": "which is no file of that folder",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_would_have_to_be_run_is_refused(text_model, tmp_path, kind):
    folder = planted(text_model, tmp_path / "m", kind, tmp_path / "canary")
    with pytest.raises(ConfigError, match=REFUSED[kind]):
        checkpoints.model_folder(str(folder))
    assert any(REFUSED[kind] in problem for problem in checkpoints.untrusted(folder))
    assert not (tmp_path / "canary").exists()


def test_a_base_that_is_a_pickle_is_refused_with_its_adapter(text_model, tmp_path):
    base = planted(text_model, tmp_path / "base", "pickle", tmp_path / "canary")
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter/adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(base)}))
    with pytest.raises(ConfigError, match="base holds its weights as a pickle"):
        checkpoints.weights_folder(tmp_path / "adapter")


def test_code_beside_a_known_model_is_not_asked_about(text_model, tmp_path, monkeypatch):
    """transformers asks on the terminal where nobody said no; an answer that waits there must not count."""
    folder = planted(text_model, tmp_path / "m", "tokenizer", tmp_path / "canary")
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with pytest.raises(ConfigError, match="is code of the model's own"):
        load_tokenizer(folder)
    assert not (tmp_path / "canary").exists()


def test_a_chat_template_reaches_nothing_but_its_messages(text_model, tmp_path):
    from jinja2.exceptions import SecurityError, UndefinedError

    from rarecot.rendering import chat_texts

    folder = planted(text_model, tmp_path / "m", "template", tmp_path / "canary")
    with pytest.raises((SecurityError, UndefinedError)):
        chat_texts(load_tokenizer(folder), [[{"role": "user", "content": "1 + 1"}]])
    assert not (tmp_path / "canary").exists()


def test_remote_code_cannot_be_asked_for():
    for recipe in ("sft", "grpo"):
        words = ("--config", TINY / f"{recipe}.yaml", "--trust_remote_code", "true")
        result = run_command("python", ROOT / f"recipes/{recipe}.py", *words)
        assert result.returncode == 2
        assert "code of a model's own is never run" in result.stderr


def answering_yes(*words, cwd, timeout=120):
    """A command whose every question is answered with yes."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    how = {"cwd": cwd, "env": {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}, "text": True, "timeout": timeout}
    return subprocess.run([str(w) for w in words], input="y\n" * 99, capture_output=True, **how)


MIXTURE = {"task": "gsm8k", "p_cot": 0.5, "n": 16, "n_rl": 8, "n_test": 4, "near_duplicates": 1, "decontaminate": 0}
LOADED = {
    "known": 0,
    "template": 1,
}  # kind → exit code of what asks the model in its chat template; the others are refused


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["known", "unknown", "tokenizer", "pickle", "template"])
def test_no_command_runs_what_a_folder_brings(text_model, tmp_path, kind):
    """Neither a model's folder nor a corpus's: not if a question is answered with yes, nor from the folder itself."""
    canary, corpus = tmp_path / "canary", tmp_path / "gsm8k"
    folder = planted(text_model, tmp_path / "m", kind, canary)
    shutil.copytree(DATA / "gsm8k", corpus)
    for name in ("gsm8k.py", "dataset_infos.py", "torch.py"):
        (corpus / name).write_text(EVIL.format(canary=str(canary)))
    (tmp_path / "mix.yaml").write_text(yaml.safe_dump({**MIXTURE, "source": str(corpus)}))
    (tmp_path / "suite.yaml").write_text(
        "{mixture: mix.yaml, n: 2, temperatures: [0], max_new_tokens: 4, template: chat}"
    )
    train = {"run_dir": str(tmp_path / "run"), "mixture": str(tmp_path / "mix.yaml"), "template": "chat"}
    train |= {
        "max_steps": 1,
        "save_steps": 1,
        "eval_n": 2,
        "eval_max_new_tokens": 4,
        "max_length": None,
        "use_peft": True,
    }
    (tmp_path / "sft.yaml").write_text(yaml.safe_dump(train))
    asked = ("--model", folder, "--suite", tmp_path / "suite.yaml", "--backend", "transformers")
    commands = [
        ("recipes/sft.py", "--config", tmp_path / "sft.yaml", "--model_name_or_path", folder),
        ("recipes/sft.py", "--config", TINY / "sft.yaml", "--run_dir", tmp_path / "t", "--model_name_or_path", folder),
        (
            "recipes/grpo.py",
            "--config",
            TINY / "grpo.yaml",
            "--run_dir",
            tmp_path / "t",
            "--model_name_or_path",
            folder,
        ),
        ("recipes/serve.py", "--model", folder, "--port", "1"),
        ("eval/run.py", *asked),
        ("eval/plan.py", *asked, "--n", "2", "--samples", "1", "--out", tmp_path / "plan"),
        (
            "data_mixes/build.py",
            tmp_path / "mix.yaml",
            "--out",
            tmp_path / "mix",
            "--model",
            folder,
            "--template",
            "chat",
        ),
        ("data_mixes/build.py", tmp_path / "mix.yaml", "--out", tmp_path / "mix2", "--source", folder),
    ]
    codes = {}
    for words in commands:
        result = answering_yes("python", ROOT / words[0], *words[1:], cwd=corpus)
        assert not canary.exists(), words
        assert "[y/N]" not in result.stdout + result.stderr
        codes[words[0]] = result.returncode
        if kind in ("unknown", "tokenizer", "pickle") and words[0] in ("eval/run.py", "eval/plan.py"):
            assert result.returncode == 2, result.stderr
            assert "Traceback" not in result.stderr
        if words[0] == "recipes/sft.py" and words[2] == tmp_path / "sft.yaml":
            assert result.returncode == LOADED.get(kind, 2), result.stderr[-2000:]
    assert codes["eval/run.py"] == LOADED.get(kind, 2)
    assert codes["data_mixes/build.py"] == 2


# ---------------------------------------------------------------- a checkpoint that is gone on from

RESUMED = ("optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin")


@pytest.fixture(scope="module")
def stopped_run(tmp_path_factory):
    """Two stages of the tiny recipe, the second with a checkpoint before its end."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    for recipe in ("sft", "grpo"):
        words = ("--config", TINY / f"{recipe}.yaml", "--run_dir", folder)
        result = run_command("python", ROOT / f"recipes/{recipe}.py", *words, OMP_NUM_THREADS="1")
        assert result.returncode == 0, result.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", RESUMED)
def test_a_pickle_in_a_resumed_checkpoint_is_not_run(stopped_run, tmp_path, name):
    run, canary = tmp_path / "tiny", tmp_path / "canary"
    shutil.copytree(stopped_run, run)
    shutil.rmtree(run / "grpo")
    shutil.rmtree(run / "sft/checkpoint-20")
    file = run / "sft/checkpoint-10" / name
    assert file.is_file()
    file.write_bytes(pickle.dumps(Payload(canary)))
    words = ("--config", TINY / "sft.yaml", "--run_dir", run)
    result = run_command("python", ROOT / "recipes/sft.py", *words, OMP_NUM_THREADS="1")
    assert not canary.exists()
    assert result.returncode == (0 if name == "training_args.bin" else 1), (
        result.stderr
    )  # the trainer does not read that one
