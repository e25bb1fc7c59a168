"""Templates: one bos, the same prompt in every stage and on every day."""

import pytest

from rarecot import rendering
from rarecot.rendering import (
    IGNORED_LABEL,
    Template,
    holding_special_tokens,
    load_tokenizer,
    render_demonstrations,
    render_prompts,
    rendering_fingerprint,
    special_ids,
)

BOS, EOS, TURN = 1, 2, 3


@pytest.mark.parametrize("template", [Template(), Template("plain"), Template("chat"), Template("chat", "Be brief.")])
def test_one_bos_the_end_labelled_and_the_prompt_a_prefix(text_tokenizer, template):
    (prompt,) = render_prompts(text_tokenizer, ["How many?"], template)
    rendered = render_demonstrations(text_tokenizer, ["How many?"], ["Two.\n#### 2"], template)
    (ids,), (labels,) = rendered["input_ids"], rendered["labels"]
    assert ids.count(BOS) == 1
    assert ids[0] == BOS
    assert ids[: len(prompt)] == prompt
    assert labels[: len(prompt)] == [IGNORED_LABEL] * len(prompt)
    assert labels[len(prompt) :] == ids[len(prompt) :]
    assert labels[-1] == EOS
    assert text_tokenizer.decode(labels[len(prompt) : -1]) == "Two.\n#### 2"


def test_a_tokenizer_that_adds_no_bos_keeps_the_templates(text_tokenizer):
    from tokenizers import processors

    tokenizer = type(text_tokenizer)(
        tokenizer_object=type(text_tokenizer.backend_tokenizer).from_str(text_tokenizer.backend_tokenizer.to_str()),
        **{k: v for k, v in text_tokenizer.special_tokens_map.items() if isinstance(v, str)},
        chat_template=text_tokenizer.chat_template,
    )
    tokenizer.backend_tokenizer.post_processor = processors.ByteLevel()
    (ids,) = render_prompts(tokenizer, ["How many?"], Template("chat"))
    assert ids.count(BOS) == 1


def test_chat(text_tokenizer):
    (text,) = Template("chat", "Be brief.").texts(text_tokenizer, ["How many?"])
    assert text == "<turn>system\nBe brief.<eos>\n<turn>user\nHow many?<eos>\n<turn>assistant\n"


def test_a_chat_template_that_looks_at_the_calendar_is_held_still(text_tokenizer):
    dated = "{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y %f') %}{% endif %}{{ date_string }}"
    before = text_tokenizer.chat_template
    text_tokenizer.chat_template = dated
    try:
        assert Template("chat").texts(text_tokenizer, ["x"]) == ["26 Jul 2024"]
    finally:
        text_tokenizer.chat_template = before


def test_braces_in_a_problem_are_text(text_tokenizer):
    assert Template("plain").texts(text_tokenizer, [r"\frac{1}{2} {prompt}"]) == [
        "Question: \\frac{1}{2} {prompt}\nAnswer:\n"
    ]


def test_texts_that_spell_special_tokens_are_found(text_tokenizer):
    assert holding_special_tokens(text_tokenizer, ["fine", "say <eos> now", "<turn>", "a < b"]) == [1, 2]


def test_special_tokens_without_a_named_role_count_too(text_tokenizer):
    """Llama's <|eot_id|> beside <|end_of_text|>: decoding leaves it out, so a reward would not see it."""
    import copy

    from tokenizers import AddedToken

    tokenizer = copy.deepcopy(text_tokenizer)
    tokenizer.add_tokens([AddedToken("<repo>", special=True)])
    extra = tokenizer.convert_tokens_to_ids("<repo>")
    assert extra not in tokenizer.all_special_ids
    assert extra in special_ids(tokenizer)
    assert holding_special_tokens(tokenizer, ["a <repo> b", "a b"]) == [0]


def test_a_model_without_a_pad_token_gets_one(text_tokenizer, text_model, tmp_path):
    import json
    import shutil

    folder = tmp_path / "base"
    shutil.copytree(text_model, folder)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    del config["pad_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer = load_tokenizer(folder)
    assert tokenizer.pad_token_id not in (None, tokenizer.eos_token_id)


def test_the_fingerprint_holds_all_that_makes_the_ids(text_tokenizer, monkeypatch):
    templates = [Template(), Template("plain"), Template("chat"), Template("chat", "Be brief.")]
    before = [rendering_fingerprint(text_tokenizer, template) for template in templates]
    assert len(set(before)) == 4
    monkeypatch.setitem(rendering.CHAT_OPTIONS, "date_string", "1 Jan 2030")
    assert rendering_fingerprint(text_tokenizer, Template("chat")) != before[2]
    assert rendering_fingerprint(text_tokenizer, Template("plain")) == before[1]
    monkeypatch.setattr(rendering, "PLAIN", "{prompt}")
    assert rendering_fingerprint(text_tokenizer, Template("plain")) != before[1]
