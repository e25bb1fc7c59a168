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
