r"""How published harnesses read an answer out of a response: text → where it stands and what it says.

Each follows its source in what it takes for the answer, and says where it knowingly does not; whether that is right is decided by `rarecot.verify` for all of them. Plain
functions of our own on plain text, so that numbers of other people's models can be compared with theirs.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Found:
    """An answer in a text: where it (or its mark) starts and ends, and what it says (empty: nothing, or broken)."""

    start: int
    end: int
    answer: str


# A number as people write it: thousands separators, decimals, a sign.
_NUMBER = r"-?(?:[0-9]{1,3}(?:[ ,][0-9]{3})+(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:\s*%)?"
# A calculation that stands by itself, such as 5/8; bounded, so that pages of digits cost no more than their length.
_PART = r"[0-9.\s+\-*×/^()÷]"
_CALCULATION = rf"-?\(?-?[0-9]{_PART}{{0,40}}[+\-*×/^()÷]{_PART}{{1,40}}(?=[.,:\s)$]|\*\*|$)"
_VALUE = rf"(?P<x>{_CALCULATION}|{_NUMBER})"
_BEFORE_NUMBER = r"(?:^|[\s=])(?:\*\*)?[$€£¥₹]?"


def hashes_number(text: str) -> Found | None:
    """The number behind the first `####` that has one: `strict-match` of lm-evaluation-harness's `gsm8k`, and the normaliser of
    lighteval's exact match in 2024 (SmolLM2's model card). They compare text, so that `18.` and `18.00` are wrong; here both are 18."""
    match = re.search(r"#### (-?[0-9.,]+)", text)
    return match and Found(match.start(), match.end(), _without_stop(match[1]))


def last_number(text: str) -> Found | None:
    """The last run of digits, signs and separators: `flexible-extract` of lm-evaluation-harness's `gsm8k`, which takes a closing `...` for one;
    here it holds a digit."""
    return _last(re.compile(r"-?[$0-9.,]{2,}|-?[0-9]+"), text)


def final_answer(text: str) -> Found | None:
    """The last `The final answer is …`: `strict-match` of lm-evaluation-harness's `gsm8k_cot_llama`, for Meta's prompt."""
    found = list(re.finditer(r"The final answer is (-?[$0-9.,]{2,}|-?[0-9]+)", text))
    return Found(found[-1].start(), found[-1].end(), _without_stop(found[-1][1])) if found else None


# Priorities of lighteval 0.13's extractive match (metrics/utils/extractive_match_utils.py), after a box: what follows "final answer …
# is", "answer:", "answer", and at last any number; of one priority the rightmost.
_AFTER_ANSWER = r"(?:.{0,100}=\s*|.{0,50}?)" + _BEFORE_NUMBER
_LIGHTEVAL = [
    re.compile(rf"final answer is:?\s*{_BEFORE_NUMBER}{_VALUE}\.?\s?I hope", re.IGNORECASE),
    re.compile(rf"final answer.{{0,100}}?\s+is:?{_BEFORE_NUMBER}{_VALUE}", re.IGNORECASE),
    re.compile(rf"answer\s?:{_AFTER_ANSWER}{_VALUE}(?!\s*=)", re.IGNORECASE),
    re.compile(rf"answer{_AFTER_ANSWER}{_VALUE}(?!\s*=)", re.IGNORECASE),
    re.compile(rf"{_BEFORE_NUMBER}{_VALUE}"),
]


def stated_number(text: str) -> Found | None:
    """The number or calculation that is stated as the answer, else the last one: lighteval 0.13's `extractive_match` after its boxes, and
    without what stands between `<think>` and `</think>`. (A decimal comma is no decimal point here.)"""
    text = _without_thoughts(text)
    for pattern in _LIGHTEVAL:
        found = list(pattern.finditer(text))
        if found:
            last = max(found, key=lambda match: (match.end(), -match.start()))
            return Found(last.start("x"), last.end(), _without_stop(last["x"].strip()))
    return None


def _without_thoughts(text: str) -> str:
    """Blanks in place of `<think>…</think>`. No regular expression: many that never close would each look to the end."""
    pieces, done = [], 0
    while (start := text.find("<think>", done)) >= 0 and (close := text.find("</think>", start)) >= 0:
        end = close + len("</think>")
        pieces += [text[done:start], " " * (end - start)]
        done = end
    return "".join([*pieces, text[done:]])


_SAYS = re.compile(r"[Tt]he answer is|final answer is")


def answer_is(text: str) -> Found | None:
    """What follows the last "the answer is", up to the end of its line; else the last number: `extract_answer` of the Qwen2.5-Math
    harness after its box. (The original takes all the rest of the text.)"""
    written = len(text.rstrip())
    said = [match for match in _SAYS.finditer(text) if match.end() < written]
    if (
        not said
    ):  # a comma behind a comma starts nothing that the first did not: without that, a page of commas takes hours
        return _last(re.compile(r"-?(?!(?<=,),)[0-9,]*\.?[0-9]+"), text)
    start = said[-1].end()
    line = text[start:].lstrip(" :\n").split("\n")[0]
    return Found(said[-1].start(), start + len(line), line.strip(" :./"))


def _last(pattern: re.Pattern[str], text: str) -> Found | None:
    found = [match for match in pattern.finditer(text) if re.search("[0-9]", match[0])]
    return Found(found[-1].start(), found[-1].end(), _without_stop(found[-1][0])) if found else None


def _without_stop(number: str) -> str:
    """A number without the full stop or comma that ends its sentence."""
    return number.rstrip(".,")
