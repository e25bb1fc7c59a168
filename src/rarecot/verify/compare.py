r"""One pair of answers: what can be decided at once, and what needs algebra, which is math-verify's.

Bounded on purpose: an answer whose value has more digits than a computer holds (`9^{9^{9}}`, `(10^6)!`) is right only where
it is written like the gold; it is never computed.
"""

import re
from collections.abc import Callable
from fractions import Fraction

from rarecot.verify import structure
from rarecot.verify.notation import SCALES, bare_number, normal, number, split_unit, units_agree, words

Algebra = Callable[[str, str], bool]


class NeedsAlgebra(Exception):
    """Two scalars cannot be told the same or different by their notation."""


def at_once(gold: str, answer: str) -> bool | None:
    """Whether the answer is right, where notation alone decides; None where algebra is needed."""
    # Most of GSM8K: what notation would say, at a thirtieth of the time.
    if _WHOLE.fullmatch(gold) and _WHOLE.fullmatch(answer):
        return int(gold) == int(answer)
    try:
        return compare(gold, answer, _no_algebra)
    except NeedsAlgebra:
        return None


_WHOLE = re.compile(r"-?[0-9]{1,18}")


def compare(gold: str, answer: str, algebra: Algebra) -> bool:
    """Whether an answer is the gold in another notation.

    Args:
        gold: the gold answer as the data have it.
        answer: what a response gives as its answer.
        algebra: decides on two scalars in normal notation that notation alone does not.

    Raises:
        Whatever `algebra` raises.
    """
    a, b = normal(gold), normal(answer)
    if not a or not b:
        return False
    if _squeezed(a) == _squeezed(b):
        return True
    return structure.compare(a, b, lambda x, y: _same(x, y, algebra))


def _same(gold: str, answer: str, algebra: Algebra) -> bool:
    """Two scalars."""
    if _squeezed(gold) == _squeezed(answer):
        return True
    if _DOTS.search(gold) or _DOTS.search(answer):
        return False
    gold, answer = bare_number(gold), bare_number(answer)
    gold_words, answer_words = words(gold), words(answer)
    if gold_words is not None or answer_words is not None:
        return gold_words == answer_words
    if ":" in gold or ":" in answer:  # times and ratios are compared as written
        return _clock(gold) == _clock(answer)
    (x, gold_unit), (y, answer_unit) = split_unit(gold), split_unit(answer)
    if gold_unit and answer_unit and not units_agree(gold_unit, answer_unit):
        return False
    a, b = number(x), number(y)
    if (a is None or b is None) and _scales(gold_unit) != _scales(answer_unit):
        return False
    if "\\pi" in x + y and "degrees" in gold_unit + answer_unit and gold_unit != answer_unit:
        return False  # radians are not degrees
    if a is not None and b is not None:
        return b in _readings(a, gold_unit, answer_unit)
    if _squeezed(x) == _squeezed(y):
        return True
    if a is not None and not _computes(y):
        return False
    if (_is_decimal(x) and _IRRATIONAL.search(y)) or (_is_decimal(y) and _IRRATIONAL.search(x)):
        return False  # at best rounded
    if x.count("'") != y.count("'") or _LABELLED.search(x) or _LABELLED.search(y) or _variables(x) != _variables(y):
        return False
    if (base := _BASED.fullmatch(x)) or _BASED.fullmatch(y):
        other = _BASED.fullmatch(y)
        return bool(base and other) and base.groups() == other.groups()
    if _too_large(x) or _too_large(y) or _MODULO.search(x + y):
        return False
    if bool(_LOST_POWER.search(x)) != bool(_LOST_POWER.search(y)):
        return False
    return algebra(x, y)


def _clock(s: str) -> str:
    """`\\text{4:30 p.m.}` and `4:30 PM` alike."""
    return re.sub(r"\\text|[{}\s.~]", "", s).lower()


def _readings(gold: Fraction, gold_unit: str, answer_unit: str) -> set[Fraction]:
    """The numbers that say the same as a gold number: a percent sign on one side alone is a unit or a hundredth."""
    if gold_unit == "%" and answer_unit == "":
        return {gold, gold / 100}
    if answer_unit == "%" and gold_unit == "":
        return {gold * 100 if abs(gold) < 1 else gold}
    return {gold}


def _scales(unit: str) -> bool:
    """Whether a unit multiplies: a percent sign, a million."""
    return unit.split(" ")[0] in SCALES or unit == "%"


def _squeezed(s: str) -> str:
    """Without spaces, but those that keep two numbers apart."""
    return re.sub(r"(?<![0-9,]) +| +(?![0-9])", "", s)


_IRRATIONAL = re.compile(r"(?<![A-Za-z\\])e(?![A-Za-z])|\\(?:sqrt|pi|log|ln|sin|cos|tan)(?![A-Za-z])|\^\s*\{?\s*\\frac")
_MODULO = re.compile(r"\\(?:equiv|cong|sim|mod|pmod|bmod|approx)(?![A-Za-z])")
_LOST_POWER = re.compile(r"(?<![A-Za-z\\])[A-Za-z][0-9]")  # x2 is not 2x, whatever reads it so
_DOTS = re.compile(r"\\(?:ldots|dots|cdots)(?![A-Za-z])|\.\.")
_LABELLED = re.compile(r"\\(?:text|mathrm|mbox|textbf)\s*\{")
_BASED = re.compile(r"\(?(-?[0-9A-Z.]+)\)?_\{?\(?([0-9]+)\)?\}?")


def _is_decimal(s: str) -> bool:
    return "." in s and number(s) is not None


def _variables(s: str) -> set[str]:
    """The letters that stand for themselves: math-verify reads X as x."""
    return set(re.sub(r"\\[A-Za-z]+|(?<![A-Za-z])(?:sqrt|log|ln|sin|cos|tan|pi|frac)(?![A-Za-z])|[^A-Za-z]", "", s)) - {
        "e",
        "i",
    }


def _computes(s: str) -> bool:
    """Whether a scalar could have a number for its value: it holds an operation or a constant."""
    return bool(re.search(r"[-+*/^!]|\\|(?<![A-Za-z])(?:sqrt|log|ln|sin|cos|tan|pi|e)(?![A-Za-z])", s))


_HUGE_POWER = re.compile(r"\^\s*\{?\s*[-+]?\s*[0-9][0-9,]{3,}|\*\*\s*[0-9]{4,}|[0-9]{201,}")


def _too_large(s: str) -> bool:
    """Whether a computer could choke on the value: towers, powers above 999, factorials of anything but a small number."""
    exponents = re.findall(r"(?:\^|\*\*)\s*(\{[^{}]*\}?|[^{}\s])", s)
    tower = s.count("^") + s.count("**") > 1 and any(re.search(r"\^|\*\*", s[m.end() :]) for m in _TOWER.finditer(s))
    factorials = re.findall(r"(\S?)\s*!", s)
    small = all(digit.isdigit() for digit in factorials) and not re.search(r"[0-9]{4,}\s*!|!\s*!", s)
    products = re.search(r"\\(?:sum|prod|int|lim|iint|oint|binom|choose|bmod|pmod)(?![A-Za-z])", s)
    return (
        bool(tower or _HUGE_POWER.search(s) or (factorials and not small) or (products and _long_range(s)))
        or len(exponents) > 60
    )


_TOWER = re.compile(
    r"(?:\^|\*\*)\s*[{(]?\s*[0-9]+\s*(?=\^|\*\*)|(?:\^|\*\*)\s*[{(]\s*[^{}]*(?=\^|\*\*)|[0-9]\s*\*\*\s*[0-9]+(?=\*\*)"
)


def _long_range(s: str) -> bool:
    return bool(re.search(r"[0-9]{5,}|\\int|\\lim|\\prod|\^\s*\{?\s*\\infty", s))


def _no_algebra(gold: str, answer: str) -> bool:
    raise NeedsAlgebra


def normal_form(answer: str) -> str:
    """One spelling for answers that notation alone shows to be the same: for counting votes. Two answers that only algebra shows to be
    equal stay apart."""
    s = normal(answer)
    value = number(split_unit(bare_number(s))[0]) if s else None
    return str(value) if value is not None else _squeezed(s).lower() or answer.strip()


def readable_at_once(gold: str) -> bool | None:
    """Whether a gold answer can be compared with; None where only math-verify can tell."""
    s = normal(gold)
    if not s:
        return False
    leaves = structure.scalars(s)
    decided = [words(leaf) is not None or number(split_unit(leaf)[0]) is not None or ":" in leaf for leaf in leaves]
    return True if all(decided) else None
