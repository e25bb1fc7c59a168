import pytest

from rarecot.rendering import (
    IGNORED_LABEL,
    fingerprint_of_folder,
    fingerprint_of_task,
    render_demonstrations,
    render_prompts,
)
from rarecot.tasks import Parity
from rarecot.tasks.vocabulary import character_tokenizer

PAD, BOS, EOS, ZERO, ONE, EQUALS = range(6)


def test_special_tokens_are_distinct(tokenizer):
    assert (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id) == (PAD, BOS, EOS)


def test_ids_are_exact(tokenizer):
    assert render_prompts(tokenizer, ["01="]) == [[BOS, ZERO, ONE, EQUALS]]
    rendered = render_demonstrations(tokenizer, ["01=", "11="], ["01", "0"])
    assert rendered["input_ids"] == [
        [BOS, ZERO, ONE, EQUALS, ZERO, ONE, EOS],
        [BOS, ONE, ONE, EQUALS, ZERO, EOS],
    ]
    assert rendered["labels"] == [
        [IGNORED_LABEL] * 4 + [ZERO, ONE, EOS],
        [IGNORED_LABEL] * 4 + [ZERO, EOS],
    ]


def test_training_prefix_is_the_prompt_of_rl(tokenizer):
    prompt = "0110="
    rendered = render_demonstrations(tokenizer, [prompt], ["0100"])["input_ids"][0]
    ids = render_prompts(tokenizer, [prompt])[0]
    assert rendered[: len(ids)] == ids
    assert rendered.count(BOS) == 1


def test_unknown_characters_are_errors(tokenizer):
    with pytest.raises(Exception, match="UNK"):
        render_prompts(tokenizer, ["2="])


def test_tokenizer_survives_a_folder(tokenizer, tmp_path):
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert render_prompts(loaded, ["01="]) == render_prompts(tokenizer, ["01="])
    assert loaded.decode([ZERO, ONE, ONE]) == "011"
    assert loaded.padding_side == "left"
    assert fingerprint_of_folder(tmp_path) == fingerprint_of_task(Parity().tokenizer())


def test_fingerprint_notices_another_vocabulary(tmp_path):
    assert fingerprint_of_task(character_tokenizer("01=")) != fingerprint_of_task(character_tokenizer("10="))
    assert fingerprint_of_folder(tmp_path) is None
