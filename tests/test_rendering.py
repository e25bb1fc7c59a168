import numpy as np
import pytest
from tokenizers import normalizers

from rarecot.rendering import (
    IGNORED_LABEL,
    _characters,
    as_transformers_tokenizer,
    encode,
    fingerprint_of_folder,
    fingerprint_of_task,
    render_demonstrations,
    render_prompts,
)
from rarecot.tasks import Multiplication, Parity
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


@pytest.mark.parametrize("special", [True, False])
@pytest.mark.parametrize("task", [Parity(9), Multiplication(3)], ids=["parity", "multiplication"])
def test_ids_are_those_of_the_tokenizer(task, special):
    tokenizer = as_transformers_tokenizer(task.tokenizer())
    assert _characters(tokenizer) is not None, "looked up, not encoded"
    drawn = task.draw(40, np.random.default_rng(0))
    texts = [*drawn.prompt, *drawn.long, *drawn.short, *drawn.prompt[:5], ""]
    assert encode(tokenizer, texts, special) == tokenizer(texts, add_special_tokens=special)["input_ids"]
    spelled = [*texts, "1<eos>0="]  # a special token in a text
    assert encode(tokenizer, spelled, special) == tokenizer(spelled, add_special_tokens=special)["input_ids"]


@pytest.mark.parametrize("special", [True, False])
def test_ids_of_words_are_those_of_the_tokenizer(text_tokenizer, special):
    texts = ["How many?", "Two.\n#### 2", "", "How many?", "a <eos> b", "½ of 7 × 8", "How many? " * 300]
    before = text_tokenizer(
        texts[:2], padding=True, truncation=True, max_length=3
    )  # what it leaves behind does not matter
    assert len(before["input_ids"][0]) == 3
    found = encode(text_tokenizer, texts, special)
    assert found == text_tokenizer(texts, add_special_tokens=special)["input_ids"]
    found[0].append(0)
    assert found[3] != found[0]


def test_a_tokenizer_that_does_more_is_asked_itself(text_tokenizer):
    class Shouting(type(text_tokenizer)):
        def __call__(self, texts, **options):
            return super().__call__([text.upper() for text in texts], **options)

    tokenizer = Shouting(tokenizer_object=text_tokenizer.backend_tokenizer, eos_token="<eos>", pad_token="<pad>")
    assert (
        encode(tokenizer, ["a"], False) == encode(text_tokenizer, ["A"], False) != encode(text_tokenizer, ["a"], False)
    )


def test_another_character_vocabulary_is_read_by_its_own_ids(tokenizer):
    other = character_tokenizer("10=")
    wrapped = as_transformers_tokenizer(other)
    assert render_prompts(wrapped, ["01="]) == [[BOS, ONE, ZERO, EQUALS]]
    other.normalizer = normalizers.Replace("1", "0")  # characters are no longer what they say
    assert render_prompts(as_transformers_tokenizer(other), ["01="]) == [[BOS, ONE, ONE, EQUALS]]


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
