"""Model cards of run directories made by hand, and what is pushed of a checkpoint."""

import os
import re
import sys
from types import SimpleNamespace

import pytest
from card_runs import (
    CACHE,
    CONFIG,
    CORPUS,
    HOME,
    MANIFEST,
    NORMALISATION,
    adapter_to,
    checkpoint,
    make_run,
    no_secrets,
    record,
    row,
)
from conftest import ROOT, run_command
from huggingface_hub import ModelCard

from rarecot import checkpoints, hub
from rarecot.errors import ConfigError, RunError
from rarecot.evaluation import card, records


def test_a_card_tells_both_stages_and_what_was_measured(tmp_path):
    folder = make_run(tmp_path / "headline")
    text = card.card(tmp_path / "headline", folder)
    data = ModelCard(text).data
    assert "# headline: parity, NTP then GRPO" in text
    assert "trained from scratch (llama, 2 layers × 128)" in text
    assert "d 6, leap 1" in text
    assert "p_cot 0.25 asked, 0.2667 realised: 8 long of 30 demonstrations" in text
    assert "c0ffee" in text
    assert row(text, "started from") == ["started from", "scratch", "sft/checkpoint-20"]
    assert row(text, "optimizer steps") == ["optimizer steps", "20", "4"]
    assert row(text, "learning rate") == ["learning rate", "0.001", "0.0001"]
    assert row(text, "rewards") == ["rewards", "–", "answer, length_penalty"]
    assert row(text, "reward weights") == ["reward weights", "–", "1, 0.01"]
    assert row(text, "temperature of rollouts")[-1] == "0.8"
    assert row(text, "KL coefficient")[-1] == "0"
    assert row(text, "loss normalisation")[-1] == NORMALISATION
    assert (row(text, "steps planned")[1:], row(text, "epochs planned")[1:]) == (["20", "–"], ["–", "3"])
    assert "weight decay" not in text, "0 says nothing"
    numbers = "| 12.5 % [3.5, 36.0] | 7 | 50.0 % [25.0, 75.0] | 6.2 % | 7 |"
    assert f"| greedy | 16 {numbers}" in text
    assert f"| sampled, temperature 1 | 16 {numbers}" in text
    assert "One training, seed 3" in text
    assert "NTP and GRPO: python 3.11.7, torch 2.13.0, trl 1.16.0, commit abc1234" in text
    assert 'place = "headline/grpo/checkpoint-4"' in text
    assert "python eval/run.py --model headline/grpo/checkpoint-4 --suite suite.yaml\n" in text
    assert "license" not in text.casefold()
    no_secrets(text)
    assert (data.library_name, data.base_model, data.datasets) == ("transformers", None, None)
    assert data.tags == ["rarecot", "sft", "grpo", "parity"]
    (result,) = data.eval_results
    assert (result.metric_value, result.metric_type, result.dataset_type) == (0.125, "accuracy", "parity")


def test_the_card_of_the_first_stage_knows_nothing_of_the_second(tmp_path):
    make_run(tmp_path / "run")
    text = card.card(tmp_path / "run", tmp_path / "run" / "sft" / "checkpoint-20")
    assert "parity, NTP\n" in text
    assert "Not evaluated yet." in text
    assert "GRPO" not in text
    assert ModelCard(text).data.eval_results is None


def test_only_records_of_exactly_this_checkpoint_count(tmp_path):
    others = [
        record(step=2, accuracy=0.91),
        record(stage="sft", accuracy=0.92),
        record(split="rollouts", accuracy=0.93),
    ]
    text = card.card(tmp_path / "run", make_run(tmp_path / "run", measured=[*others, record()]))
    assert not re.search("9[123]", text)
    assert "12.5 %" in text


def test_every_protocol_and_suite_has_its_row_and_command(tmp_path):
    lenient = {"accuracy_lenient": 0.25, "accuracy_lenient_ci": [0.1, 0.5]}
    several = {"pass_at": {"1": 0.1, "4": 0.4}, "pass_at_ci": {"4": [0.2, 0.6]}, "maj_at": {"4": 0.3}, "maj_at_ci": {}}
    measured = [
        record(suite="gsm8k", protocol="meta-8shot", **lenient),
        record(suite="gsm8k-avg8", temperature=0.7, n=64, samples=4, **several),
        record(),
    ]
    text = card.card(tmp_path / "run", make_run(tmp_path / "run", measured=measured))
    rows = [line for line in text.splitlines() if "protocol" in line and line.startswith("|")]
    assert [line.split(" | ")[0] for line in rows] == [
        "| the run's own, protocol native",
        "| suite gsm8k, protocol meta-8shot",
        "| suite gsm8k-avg8, protocol native",
    ]
    assert "| 25.0 % [10.0, 50.0] |" in rows[1]
    assert "| 64 (16 × 4) |" in rows[2]
    assert "| 1: 10.0 %, 4: 40.0 % [20.0, 60.0] | 4: 30.0 % |" in rows[2]
    assert " --suite eval/suites/gsm8k.yaml --protocol meta-8shot\n" in text
    assert " --suite eval/suites/gsm8k-avg8.yaml\n" in text
    assert {(r.dataset_type, r.metric_name) for r in ModelCard(text).data.eval_results} == {
        ("parity", "greedy accuracy, protocol native, n = 16"),
        ("gsm8k", "greedy accuracy, protocol meta-8shot, n = 16"),
    }


def test_records_of_before_some_fields_are_shown_as_far_as_they_go(tmp_path):
    bare = {"stage": "grpo", "step": 4, "split": "test", "decoding": "greedy", "accuracy": 0.5}
    folder = make_run(tmp_path / "run", measured=[bare])
    for name in ("manifest.json", "versions.json"):
        (tmp_path / "run" / name).unlink()
    text = card.card(tmp_path / "run", folder)
    assert "| the run's own, protocol native | greedy | 50.0 % | " in text.replace("| – ", "")
    assert "NTP then GRPO" in text


def test_what_the_card_says_asks_the_same_again(tmp_path):
    """Its suite and mixture are valid, and name the same problems, cap and random stream."""
    from rarecot.evaluation.suite import read_suite

    measured = [record(), record(temperature=0.7, n=64, samples=4)]
    text = card.card(tmp_path / "run", make_run(tmp_path / "run", measured=measured))
    for name, content in re.findall(r"```yaml\n# (\S+)\n(.*?)```", text, re.DOTALL):
        (tmp_path / name).write_text(content.replace("mixture.yaml", str(tmp_path / "mixture.yaml")))
    suite, spec = read_suite(tmp_path / "suite.yaml")
    assert (suite.n, suite.temperatures, suite.samples) == (16, (0.0, 0.7), 4)
    assert (suite.max_new_tokens, suite.seed) == (7, 7)
    assert spec.to_mapping() == {key: MANIFEST[key] for key in spec.to_mapping()}


def test_a_model_and_corpora_of_the_hub_are_named(tmp_path):
    config = {**CONFIG, "sft": {**CONFIG["sft"], "starts_from": f"../../{CACHE}", "use_peft": True, "lora_r": 16}}
    parts = [
        {"task": "gsm8k", "share": 0.5, "source": "openai/gsm8k:main"},
        {"task": "jsonl", "share": 0.5, "source": f"{HOME}/own"},
    ]
    folder = make_run(tmp_path / "run", config, {**CORPUS, "task": "blend", "parts": parts})
    adapter_to(folder, "some-org/small-model")
    text = card.card(tmp_path / "run", folder, name="me/mine")
    data = ModelCard(text).data
    assert (data.base_model, data.datasets) == ("some-org/small-model", ["openai/gsm8k"])
    assert "lora" in data.tags
    assert "**Base**: some-org/small-model (commit 0123456789ab)" in text
    assert "openai/gsm8k:main (hub), own (local copy)" in text
    assert row(text, "LoRA rank") == ["LoRA rank", "16", "–"]
    assert 'base = AutoModelForCausalLM.from_pretrained("some-org/small-model")' in text
    assert 'place = "me/mine"\n' in text
    assert "--model me/mine " in text
    assert card.unloadable(tmp_path / "run", folder) == []
    no_secrets(text)


@pytest.mark.parametrize("source", [f"{HOME}/data/gsm8k", "../shared/gsm8k", "data/gsm8k"])
def test_local_models_and_corpora_are_cut_to_their_last_part(tmp_path, source):
    (tmp_path / "data" / "gsm8k").mkdir(parents=True)  # "data/gsm8k" looks like a hub id, and is a folder
    config = {**CONFIG, "sft": {**CONFIG["sft"], "starts_from": f"{HOME}/models/tiny"}}
    folder = make_run(tmp_path / "runs" / "run", config, {**CORPUS, "source": source})
    adapter_to(folder, "models/tiny")
    text = card.card(tmp_path / "runs" / "run", folder)
    data = ModelCard(text).data
    assert (data.base_model, data.datasets) == (None, None)
    assert "**Base**: a model on the machine that trained, tiny" in text
    assert "gsm8k (local copy)" in text
    assert "source: gsm8k\n" in text
    assert "data/gsm8k" not in text
    assert "models/tiny" not in text
    assert str(tmp_path) not in text
    no_secrets(text)
    (problem,) = card.unloadable(tmp_path / "runs" / "run", folder)
    assert "adapter to a model on this machine" in problem


def test_the_way_leads_through_other_runs(tmp_path):
    make_run(tmp_path / "first")
    config = {"grpo": {**CONFIG["grpo"], "starts_from": "../first/sft/checkpoint-20"}}
    folder = make_run(tmp_path / "second", config)
    text = card.card(tmp_path / "second", folder)
    assert "# second: parity, NTP then GRPO" in text
    assert row(text, "started from")[1:] == ["scratch", "sft/checkpoint-20 of another run"]
    (tmp_path / "first" / "config.yaml").unlink()
    text = card.card(tmp_path / "second", folder)
    assert "not known any more (before NTP)" in text


def test_nothing_that_a_file_says_becomes_markup(tmp_path):
    evil = "x | <script>alert(1)</script>\n# heading\n```\n[click](http://evil) `code` ![i](http://e)"
    config = {**CONFIG, "grpo": {**CONFIG["grpo"], "reward_funcs": [evil], "lr_scheduler_type": evil}}
    manifest = {**MANIFEST, "task": evil, "stratify": evil}
    measured = [record(), record(suite=evil, protocol=evil)]
    usual = card.card(tmp_path / "usual", make_run(tmp_path / "usual", measured=[record(), record(suite="s")]))
    folder = make_run(tmp_path / "run", config, manifest, measured)
    adapter_to(folder, evil)
    text = card.card(tmp_path / "run", folder)
    body = text.partition("---\n\n")[2]
    assert "<" not in body
    prose = re.sub(r"^```.*?^```", "", body, flags=re.MULTILINE | re.DOTALL)
    assert "](http://e" not in prose
    assert "`code`" not in prose
    assert not re.search(r"^# heading", body, re.MULTILINE)
    assert len(re.findall(r"^```", body, re.MULTILINE)) == len(re.findall(r"^```", usual, re.MULTILINE))
    for table in re.findall(r"(?:^\|.*\n)+", body, re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1, table
    assert ModelCard(text).data.tags[0] == "rarecot"


def test_paths_are_cut_wherever_they_stand(tmp_path):
    config = {
        **CONFIG,
        "grpo": {**CONFIG["grpo"], "lr_scheduler_type": f"{HOME}/schedule.py", "optim": r"C:\Users\me\o.py"},
    }
    text = card.card(tmp_path / "run", make_run(tmp_path / "run", config, {**MANIFEST, "stratify": f"{HOME}/column"}))
    assert row(text, "schedule")[-1] == "schedule.py"
    assert row(text, "optimiser")[-1] == "o.py"
    assert "stratify: column\n" in text
    no_secrets(text)


def test_writing_replaces_the_file_and_not_what_shares_it(tmp_path):
    folder = make_run(tmp_path / "run")
    (folder / "README.md").write_text("PEFT's form")
    os.link(folder / "README.md", tmp_path / "shared.md")
    assert card.write(tmp_path / "run", folder) == folder / "README.md"
    assert (folder / "README.md").read_text() == card.card(tmp_path / "run", folder)
    assert (tmp_path / "shared.md").read_text() == "PEFT's form"
    assert not list(folder.glob("*.part"))


def test_an_incomplete_checkpoint_has_no_card(tmp_path):
    folder = make_run(tmp_path / "run")
    (folder / checkpoints.STAMP).unlink()
    with pytest.raises(ConfigError, match="no complete checkpoint"):
        card.write(tmp_path / "run", folder)


def fake_run(run_dir):
    """As far as what ends a save needs one: its stamp says only where the stage stands."""

    def stamp(folder, progress, constants, text, place=None):
        checkpoints.stamp(folder, {"stage": folder.parent.name.partition("-")[0], "progress": progress, **text})

    request = SimpleNamespace(arguments=SimpleNamespace(prompts_per_round=8))
    return SimpleNamespace(dir=run_dir, stage_dir=run_dir / "star", request=request, stamp=stamp)


def test_a_save_writes_the_card_with_what_was_measured_before_it(tmp_path):
    from rarecot.training.session import StampCallback

    folder = make_run(tmp_path / "run")
    (folder / checkpoints.STAMP).unlink()
    text = SimpleNamespace(stamp=dict)
    save = StampCallback(fake_run(tmp_path / "run"), {}, text, lambda args, state: {"step": state.global_step})
    where = SimpleNamespace(output_dir=str(tmp_path / "run" / "grpo"))
    save.on_save(where, SimpleNamespace(global_step=4, is_world_process_zero=False), None)
    assert not (folder / "README.md").exists()
    save.on_save(where, SimpleNamespace(global_step=4, is_world_process_zero=True), None)
    assert "12.5 % [3.5, 36.0]" in (folder / "README.md").read_text()


def test_a_round_of_star_ends_with_a_card_of_the_stage(tmp_path):
    from rarecot.training.rl import star

    make_run(tmp_path / "run")
    last = checkpoint(tmp_path / "run" / "star", "round-001", 3)
    text = SimpleNamespace(stamp=lambda: {"stage": "star"})
    star._end(fake_run(tmp_path / "run"), text, SimpleNamespace(round=0), last)
    assert "parity, STaR\n" in (tmp_path / "run" / "star" / "checkpoint-3" / "README.md").read_text()


class Hub:
    """A hub without a network: it remembers what it was asked."""

    def __init__(self, is_private=True, error=None):
        self.is_private, self.error, self.calls = is_private, error, []

    def create_repo(self, repo_id, **options):
        self.calls.append(("create", repo_id, options))
        if self.error:
            raise self.error
        return f"https://huggingface.co/{repo_id}"

    def model_info(self, repo_id):
        return SimpleNamespace(private=self.is_private)

    def upload_folder(self, **options):
        self.calls.append(("upload", options["repo_id"], options))


@pytest.fixture
def the_hub(monkeypatch):
    def pretend(**answers):
        fake = Hub(**answers)
        monkeypatch.setattr("huggingface_hub.HfApi", lambda: fake)
        monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_abcdef")
        return fake

    return pretend


PUSHED = {"README.md", "config.json", "model.safetensors", "rarecot.json", "tokenizer.json"}


def pushable(tmp_path):
    folder = make_run(tmp_path / "run")
    (folder / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    (folder / "rarecot.json.part").write_text("")
    (folder / "pytorch_model.bin").write_text("a pickle")
    card.write(tmp_path / "run", folder)
    return folder


def test_only_the_model_is_pushed(tmp_path, the_hub):
    folder, fake = pushable(tmp_path), the_hub()
    assert hub.push(folder, "me/mine", "GRPO") == "https://huggingface.co/me/mine"
    (_, made, how), (_, filled, what) = fake.calls
    assert made == filled == "me/mine"
    assert how == {"private": None, "exist_ok": True}
    assert set(what["allow_patterns"]) == PUSHED == {path.name for path in hub.pushed_files(folder)}


def test_what_is_to_be_private_is_not_pushed_where_all_can_see_it(tmp_path, the_hub):
    folder, fake = pushable(tmp_path), the_hub(is_private=False)
    with pytest.raises(RunError, match="there already and public"):
        hub.push(folder, "me/mine", "GRPO", private=True)
    assert [name for name, *_ in fake.calls] == ["create"]
    assert hub.push(folder, "me/mine", "GRPO").endswith("me/mine")


@pytest.mark.parametrize("error", [OSError("disk"), ValueError("no such"), RuntimeError("upload"), "http"])
def test_the_hubs_reasons_are_passed_on(tmp_path, the_hub, error):
    from huggingface_hub.errors import HTTPError

    folder = pushable(tmp_path)
    the_hub(error=HTTPError("403 forbidden") if error == "http" else error)
    with pytest.raises(RunError, match=r"was not pushed to me/mine: (disk|no such|upload|403)"):
        hub.push(folder, "me/mine", "GRPO")


def test_a_push_that_cannot_work_is_refused_before_any_network(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    for name in ("mine", "me/mi ne", "me/mine/checkpoint", "me/mine--x", ""):
        first, second = hub.push_problems(name)
        assert "is no repository's id" in first
        assert "hf auth login" in second
    assert hub.push_problems("me/mine", needs_token=False) == []
    with pytest.raises(ConfigError, match="hf auth login"):
        hub.push(pushable(tmp_path), "me/mine", "GRPO")


def command(*words, **variables):
    alone = {"HF_HOME": "/nonexistent", "HF_TOKEN": "", "HF_HUB_OFFLINE": "1", **variables}
    return run_command(sys.executable, ROOT / "eval/card.py", *words, **alone)


@pytest.mark.slow
def test_the_command_writes_lists_and_refuses(tmp_path):
    folder = pushable(tmp_path)
    (folder / "README.md").unlink()
    made = command(tmp_path / "run" / "grpo")
    assert made.stdout == f"{folder / 'README.md'}\n", made.stderr
    listed = command(folder, "--push", "me/mine", "--dry_run")
    assert listed.returncode == 0, listed.stderr
    assert {line.split()[-1] for line in listed.stdout.splitlines()[1:-1]} == PUSHED
    assert "nothing was pushed" in listed.stdout
    assert 'place = "me/mine"' in (folder / "README.md").read_text()
    adapter_to(folder, "models/tiny")
    refused = command(folder, "--push", "mine")
    assert refused.returncode == 2
    for words in ("is no repository's id", "hf auth login", "adapter to a model on this machine"):
        assert words in refused.stderr
    assert "--push" in command(folder, "--private").stderr
    (folder / checkpoints.STAMP).unlink()
    assert "is no complete checkpoint" in command(folder).stderr


def test_the_command_says_that_there_is_no_network(tmp_path):
    stopped = command(pushable(tmp_path), "--push", "me/mine", HF_TOKEN="hf_abcdef")
    assert stopped.returncode == 1
    assert "was not pushed to me/mine" in stopped.stderr
    assert "Traceback" not in stopped.stderr


@pytest.mark.parametrize("option", ["push_to_hub", "hub_model_id", "hub_strategy", "hub_token"])
def test_trainers_do_not_push(option):
    from rarecot.training.request import parse

    with pytest.raises(ConfigError, match=rf"'{option}' is set by rarecot; use eval/card.py --push"):
        parse("sft", "", [f"--{option}", "x"])


def test_a_card_that_was_written_before_an_evaluation_lags_behind(tmp_path):
    folder = make_run(tmp_path / "run")
    record = {
        "stage": "grpo",
        "step": 4,
        "split": "test",
        "decoding": "greedy",
        "temperature": 0.0,
        "n": 8,
        "samples": 1,
    }
    record |= {"max_new_tokens": 7, "sampling_seed": 4, "protocol": "native"}
    path = tmp_path / "run" / records.COMPLETIONS / records.completions_name(record)
    path.parent.mkdir(exist_ok=True)
    path.touch()
    (folder / "README.md").unlink(missing_ok=True)
    assert card.lags(tmp_path / "run", folder, [record])
    card.write(tmp_path / "run", folder)
    assert not card.lags(tmp_path / "run", folder, [record])
    later = (folder / "README.md").stat().st_mtime_ns + 1
    os.utime(path, ns=(later, later))
    assert card.lags(tmp_path / "run", folder, [record])
