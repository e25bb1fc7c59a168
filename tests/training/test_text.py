"""What does not fit a model is refused before it loads; what a checkpoint was trained with comes with it."""

import json
import shutil

import pytest
import yaml
from conftest import DATA

from rarecot import checkpoints
from rarecot.errors import ConfigError
from rarecot.mixtures.spec import read_mapping
from rarecot.rendering import load_tokenizer
from rarecot.training.request import parse
from rarecot.training.text import text_of

MIXTURE = {
    "task": "gsm8k",
    "source": str(DATA / "gsm8k"),
    "p_cot": 0.25,
    "n": 40,
    "n_rl": 12,
    "n_test": 8,
    "decontaminate": 0,
}


def text(stage, tmp_path, model, **options):
    """The text of a stage, by the way that a recipe takes."""
    from rarecot.training.run import open_run
    from rarecot.training.trl_config import trl_config

    (tmp_path / "mixture.yaml").write_text(yaml.safe_dump({**MIXTURE, "near_duplicates": 1}))
    values = {"run_dir": str(tmp_path / "run"), "mixture": str(tmp_path / "mixture.yaml"), "max_length": None}
    if stage == "grpo":
        del values["max_length"]
        values |= {"num_generations": 2, "per_device_train_batch_size": 4, "max_completion_length": 200}
    values |= {"model_name_or_path": str(model), "max_steps": 2, "eval_n": 8, **options}
    path = tmp_path / f"{stage}.yaml"
    path.write_text(yaml.safe_dump(values))
    request = parse(stage, "", ["--config", str(path)])
    config, _ = trl_config(request)
    return text_of(open_run(request, config.to_dict()), config)


def refused(*args, **options):
    with pytest.raises(ConfigError) as error:
        text(*args, **options)
    return " ".join(error.value.problems)


def stamped(model, folder, made):
    """A copy of a model as if it had been trained here on a text."""
    shutil.copytree(model, folder)
    checkpoints.stamp(folder, {"stage": "sft", "task": {"style": "hashes"}, **made.stamp()})
    return folder


def test_plain_is_usual_for_a_corpus_and_lengths_are_measured(tmp_path, text_model):
    made = text("sft", tmp_path, text_model)
    assert made.template.name == "plain"
    assert 0 < made.lengths.long_from < made.lengths.usual_long <= made.lengths.long
    assert made.max_new_tokens == made.lengths.usual_long
    assert (
        text("sft", tmp_path / "..", text_model, eval_max_new_tokens=33, run_dir=str(tmp_path / "b")).max_new_tokens
        == 33
    )


def test_the_template_comes_with_the_checkpoint(tmp_path, text_model):
    made = text("sft", tmp_path, text_model, template="chat", system_prompt="Be brief.")
    folder = stamped(text_model, tmp_path / "model", made)
    after = text("grpo", tmp_path, folder)
    assert after.template == made.template
    assert after.fingerprint == made.fingerprint
    assert "was trained with template 'chat'" in refused(
        "grpo", tmp_path, folder, template="plain", run_dir=str(tmp_path / "c")
    )
    assert "was trained with template" in refused(
        "grpo", tmp_path, folder, system_prompt="Hm.", run_dir=str(tmp_path / "d")
    )


def test_a_tokenizer_that_changed_since_is_noticed(tmp_path, text_model):
    folder = stamped(text_model, tmp_path / "model", text("sft", tmp_path, text_model, template="chat"))
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text().replace("<turn>", "<turn> "))
    assert "rendered otherwise" in refused("grpo", tmp_path, folder)


def test_a_base_model_has_no_chat_template(tmp_path, text_model):
    base = tmp_path / "base"
    shutil.copytree(text_model, base)
    (base / "chat_template.jinja").unlink()
    assert "has no chat template: this is a base model" in refused("sft", tmp_path, base, template="chat")


def test_a_system_prompt_needs_a_chat(tmp_path, text_model):
    assert "no place for it" in refused("sft", tmp_path, text_model, system_prompt="Be brief.")


@pytest.mark.parametrize(
    ("stage", "options", "expected"),
    [
        ("sft", {"max_length": 40}, ["longer than 40 tokens", "lose their answer"]),
        ("sft", {"max_prompt_tokens": 20}, ["longest prompt", "Raise it to"]),
        ("grpo", {"max_completion_length": 10}, ["cut off 100.0% of the long", "allow_truncation"]),
        ("grpo", {"max_completion_length": 490}, ["512 positions", "more positions"]),
        ("sft", {"max_length": 40, "max_prompt_tokens": 20}, ["longer than 40", "longest prompt"]),
    ],
)
def test_what_does_not_fit(tmp_path, text_model, stage, options, expected):
    found = refused(stage, tmp_path, text_model, **options)
    assert all(word in found for word in expected), found


def test_a_refusal_does_not_lock_the_run_directory(tmp_path, text_model):
    refused("sft", tmp_path, text_model, max_length=40)
    assert text("sft", tmp_path, text_model, max_length=400).lengths.long > 0
    assert text("sft", tmp_path, text_model, max_length=400, p_cot=0.5).lengths.long > 0


def test_truncation_can_be_allowed(tmp_path, text_model):
    made = text("grpo", tmp_path, text_model, max_completion_length=10, allow_truncation=True)
    assert made.lengths.usual_long > 10


def test_problems_that_spell_special_tokens(tmp_path, text_model):
    shutil.copytree(DATA / "gsm8k", tmp_path / "data")
    with (tmp_path / "data" / "train.jsonl").open("a") as file:
        file.write(json.dumps({"question": "Is <eos> the end?", "answer": "No.\n#### 0"}) + "\n")
    found = refused("sft", tmp_path, text_model, source=str(tmp_path / "data"), n=0, n_rl=1)
    assert "1 prompts of the train split spell a special token" in found
    assert "Is <eos> the end?" in found


def test_a_corpus_needs_a_model_that_knows_words(tmp_path):
    with pytest.raises(ConfigError, match="needs a model that has seen words"):
        text("sft", tmp_path, "")


def test_padding_is_not_the_end(tmp_path, text_model):
    folder = tmp_path / "model"
    shutil.copytree(text_model, folder)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "pad_token": config["eos_token"]}))
    tokenizer = load_tokenizer(folder)
    assert tokenizer.pad_token == "<pad>"
    assert tokenizer.pad_token_id != tokenizer.eos_token_id


def test_a_model_of_the_hub_comes_from_its_cache(tmp_path, text_model, monkeypatch):
    """The hub's own cache layout, as a download leaves it; no network."""
    from rarecot import hub

    commit, root = "0" * 40, tmp_path / "hub" / "models--someone--tiny"
    shutil.copytree(text_model, root / "snapshots" / commit)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    hub.model_snapshot.cache_clear()
    made = text("sft", tmp_path, "someone/tiny", template="chat")
    assert made.template.name == "chat"
    hub.model_snapshot.cache_clear()


def test_a_hub_that_cannot_be_reached_says_what_to_give(tmp_path):
    found = refused("sft", tmp_path, "someone/no-such-model", eval_every=0)
    assert "--model_name_or_path PATH" in found
    assert "eval_every is 0" in found, "everything at once"


def test_a_source_that_is_nowhere_is_said_with_everything_else(tmp_path, text_model):
    found = refused("sft", tmp_path, text_model, source="/nowhere/at/all", eval_every=0)
    assert "there is no source /nowhere/at/all" in found
    assert "eval_every is 0" in found


def test_recipes_extend_each_other(tmp_path):
    (tmp_path / "a.yaml").write_text("extends: b.yaml\nx: 1\n")
    (tmp_path / "b.yaml").write_text("x: 2\ny: 3\n")
    assert read_mapping(tmp_path / "a.yaml") == {"x": 1, "y": 3}
    (tmp_path / "b.yaml").write_text("extends: a.yaml\n")
    with pytest.raises(ConfigError, match="extends itself"):
        read_mapping(tmp_path / "a.yaml")
