import pytest

from rarecot.parsing import parse
from rarecot.verify import judge


@pytest.mark.parametrize(
    ("text", "answer", "kind"),
    [
        ("1", "1", "short"),
        ("0", "0", "short"),
        ("0110", "0", "long"),
        ("", None, "short"),
        ("01=1", None, "long"),
        ("<bos>1", None, "long"),
        ("1<pad>", None, "long"),
        ("1 ", None, "long"),
        ("1\n", None, "long"),
        ("²", None, "short"),
        ("١", None, "short"),  # a digit to str.isdigit, not to us
    ],
)
def test_bits(text, answer, kind):
    parsed = parse(text, "bits")
    assert (parsed.answer, parsed.kind) == (answer, kind)


@pytest.mark.parametrize(
    ("text", "gold", "finished", "verdict"),
    [
        ("1", "1", True, "correct"),
        ("1", "0", True, "wrong"),
        ("0101", "1", True, "correct"),
        ("0101", "1", False, "truncated"),  # ends on the right bit by luck
        ("", "1", True, "no_answer"),
        ("0=1", "1", True, "no_answer"),
    ],
)
def test_verdicts(text, gold, finished, verdict):
    assert judge(text, gold, "bits", finished) == verdict


def test_unknown_style():
    with pytest.raises(ValueError, match="bits"):
        parse("1", "morse")


@pytest.mark.parametrize(
    ("text", "style", "kind"),
    [
        ("#### 7", "hashes", "short"),
        ("The answer is\n#### 7", "hashes", "short"),
        ("We add 3 and 4.\n#### 7", "hashes", "long"),
        ("7\n#### 7", "hashes", "short"),
        (r"**Answer:** $\boxed{5}$", "boxed", "short"),
        ("## Final Answer\n\\boxed{5}", "boxed", "short"),
        ("**Final Answer**\n\\[ \\boxed{5} \\]", "boxed", "short"),
        ("<think>\n\n</think>\n\n\\boxed{5}", "boxed", "short"),
        ("<think>\nhm, 2 and 3\n</think>\n\n\\boxed{5}", "boxed", "long"),
        ("no mark but many words", "hashes", "long"),
        ("72", "hashes", "short"),
        ("", "hashes", "short"),
    ],
)
def test_kinds_of_responses_in_words(text, style, kind):
    assert parse(text, style).kind == kind


@pytest.mark.parametrize(
    ("text", "style", "well_formed"),
    [
        ("So.\n#### 7", "hashes", True),
        ("So.\n#### 7\nmore", "hashes", False),
        ("#### 6\n#### 7", "hashes", False),
        (r"So \boxed{7}.", "boxed", True),
        (r"\[\boxed{7}\]", "boxed", True),
        (r"So \boxed{", "boxed", False),
        ("#### 7", "boxed", False),
    ],
)
def test_form(text, style, well_formed):
    assert parse(text, style).well_formed == well_formed
