r"""Answers as people and models write them → one notation, and what can be decided on it without algebra.

A number is a number whatever surrounds it (`$1{,}234.00` = `1234`), a word is a word (`\text{Monday}` = `monday`), and units,
currency and a percent sign are read as units: `50\%` answers 50, and being the value one half it also answers 0.5.
"""

import re
import unicodedata
from fractions import Fraction

LONGEST = 1000  # characters; the longest gold of MATH has 159
_DEEPEST = 20  # nested brackets
_DIGITS = 200  # of a number

_SYMBOLS = str.maketrans(
    {
        "−": "-",
        "–": "-",
        "—": "-",
        "×": "\\times ",
        "·": "\\cdot ",
        "÷": "/",
        "π": "\\pi ",
        "∞": "\\infty ",
        "°": "^\\circ ",
        "≤": "\\le ",
        "≥": "\\ge ",
        "≠": "\\ne ",
        "±": "\\pm ",
        "∪": "\\cup ",
        "∈": "\\in ",
        **dict.fromkeys("\u00a0\u2009\u202f\t\n", " "),
    }
)
# Layout, which means nothing. Order matters: long commands first.
_LAYOUT = re.compile(
    r"\\(?:left|right|big|Big|bigg|Bigg|bigl|bigr|Bigl|Bigr|displaystyle|textstyle|limits|boldsymbol)(?![A-Za-z])"
    r"|\\[()\[\]]|\\[!,;:]|\\q?quad(?![A-Za-z])|\$|\*\*|`"
)
_FRACTION = re.compile(r"\\[dtc]frac(?![A-Za-z])")
_ARGUMENT = r"(\{[^{}]*\}|\\[A-Za-z]+|[0-9A-Za-z])"
_LEAD = re.compile(r"^(?:(?:so|thus|therefore)[, ]+)?(?:the )?(?:final )?answer(?: is)? ?[:=]? ?", re.IGNORECASE)
_WRAPPED = r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mathsf|mbox|operatorname|rm|bf)\s*\{([^{}]*)\}"

_MONEY = re.compile(r"^([-+]?)\s*(?:\\?\$|US\$|USD|€|£|₹|Rs\.?)\s*(?=[-+0-9.\\])", re.IGNORECASE)
SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
SCALES |= {f"{name}s": value for name, value in SCALES.items()}
# Words behind a number that go on with the expression, or take it back, instead of naming a unit.
_GO_ON = """
and or to plus minus half less more times not than if mod over base of by from out but then vs versus is was are with
without  through below above under fewer wrong incorrect actually instead except no nor negative approximately about
divided multiplied  point choose root sqrt log ln sin cos tan pi exp factorial power remainder r mil bn k grand lakh
crore score gross pair pairs  one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen  twenty thirty forty fifty sixty seventy eighty ninety quarter halves thirds
quarters fourths fifths sixths sevenths eighths ninths  tenths hundredths thousandths third fourth fifth sixth th st
nd rd x i e thousandth millionth millionths quadrillion quadrillions lakhs mille doubled halved tripled reciprocal inverse
at least most tens scores couples roughly maybe pm am
"""
_NO_UNIT = set(_GO_ON.split()) | set(SCALES)
NO_LABEL = _NO_UNIT | {"wrong", "error", "not", "less", "more", "minus", "than", "greater"}
_POWERS = {"square": 2, "sq": 2, "squared": 2, "cubic": 3, "cubed": 3}
_MOST_WORDS = 4  # of a unit

_KNOWN_UNITS = [
    {"cm", "centimeter", "centimeters", "centimetre", "centimetres"},
    {"mm", "millimeter", "millimeters"},
    {"m", "meter", "meters", "metre", "metres"},
    {"km", "kilometer", "kilometers", "kilometre", "kilometres"},
    {"in", "inch", "inches"},
    {"ft", "foot", "feet"},
    {"yd", "yard", "yards"},
    {"mi", "mile", "miles"},
    {"s", "sec", "second", "seconds"},
    {"min", "minute", "minutes"},
    {"h", "hr", "hrs", "hour", "hours"},
    {"day", "days"},
    {"week", "weeks"},
    {"month", "months"},
    {"year", "years"},
    {"g", "gm", "gms", "gram", "grams"},
    {"kg", "kilogram", "kilograms"},
    {"lb", "lbs", "pound", "pounds"},
    {"oz", "ounce", "ounces"},
    {"cent", "cents", "¢"},
    {"dollar", "dollars", "usd"},
    {"deg", "degree", "degrees"},
    {"rad", "radian", "radians"},
    {"%"},
]


class UnparseableGold(Exception):
    """math-verify cannot read a scalar of the gold."""


def normal(text: str) -> str:
    """An answer in one notation; empty where there is none or it cannot be one (too long, too deep, control characters)."""
    if len(text) > LONGEST or any(unicodedata.category(c) in ("Cc", "Cf", "Co", "Cn") for c in text if c not in "\n\t"):
        return ""
    s = _rewritten(text.translate(_SYMBOLS), _FIRST)
    money = "$" if re.match(r"^\s*[-+]?\s*\$\s*[-+0-9.]", s) and s.count("$") == 1 else ""
    s = _LAYOUT.sub(" ", s).replace("\\{", "⦃").replace("\\}", "⦄").replace("\\%", "%")
    s = _FRACTION.sub(r"\\frac", s)
    for _ in range(4):
        s, n = re.subn(rf"\\frac\s*{_ARGUMENT}\s*{_ARGUMENT}", _braced, s)
        if not n:
            break
    s = _rewritten(s, _THEN)
    s = _LEAD.sub("", re.sub(r"\s+", " ", s).strip())
    s = re.sub(r"(?<!\.)\.$", "", s.lstrip("= ").rstrip(",;: ").strip("* "))
    s = _outer_braces(s.strip(" ").rstrip(",;: "))
    return "" if _depth(s) > _DEEPEST else money + s


def _rewritten(s: str, rules: list[tuple[re.Pattern[str], str]]) -> str:
    for pattern, replacement in rules:
        s = pattern.sub(replacement, s)
    return s


# Rewritten in this order before layout goes, …
_FIRST = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\\\(?:\[[0-9.]+ ?[a-z]+\])?", " ⏎ "),  # rows of a matrix, with extra space between them or not
        (r"(?<=[0-9]),\s*\\!\s*(?=[0-9]{3})|(?<=[0-9])\{,\}(?=[0-9]{3})", ""),  # thousands, set apart by hand
        (r"(?<=[0-9])\\[!,](?=[0-9,])|\\!", ""),
        (
            r"(?<![\w)}\]])\*\*(?=\S)([^*]+)(?<=\S)\*\*",
            r"\1",
        ),  # bold; other pairs of stars behind an operand are powers
        (r"(?<=[\w)}\]])(?:\*\*|\s+\*\*\s+)(-?[0-9.]+|[A-Za-z]|\([^()]*\))", r"^{\1}"),
        (r"(?<=[\w)}\]])(?:\*\*(?=[^\s*])|\s+\*\*\s+)", "^"),
        (r"\\\$", "$"),
        (r"\{,\}", ","),
        (r"\\ |~", " "),
    )
]
# … and after it, when fractions have their braces.
_THEN = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\sqrt\s*([0-9A-Za-z])", r"\\sqrt{\1}"),
        (r"√\s*\(([^()]*)\)", r"\\sqrt{\1}"),
        (r"√\s*([0-9A-Za-z]+)", r"\\sqrt{\1}"),
        (r"\\text\s*\{([A-Z](?:\s*(?:,|and)\s*[A-Z])+)\}", r"\1"),  # several choices
        (r"(?<![\w})./])([0-9]+)/([0-9]+)(?=\s*[A-Za-z\\(])", r"\\frac{\1}{\2}"),  # 1/2x is half of x
        (r"\\mathbf\s*\{([A-Za-z])\}", r"\1"),
        (r"\\langle", "("),
        (r"\\rangle", ")"),
        (r"\\(?:leq|leqslant)(?![A-Za-z])", r"\\le"),
        (r"\\(?:geq|geqslant)(?![A-Za-z])", r"\\ge"),
        (r"\\neq(?![A-Za-z])", r"\\ne"),
        (r"\\lt(?![A-Za-z])", "<"),
        (r"\\gt(?![A-Za-z])", ">"),
        (r"\\mathbb\s*\{R\}", r"(-\\infty,\\infty)"),
        (r"\\bar(?![A-Za-z])", r"\\overline"),
        (r"\\log_\{?e\}?(?![A-Za-z])", r"\\ln"),
        (r"\\(?:varnothing|O)(?![A-Za-z])|⦃\s*⦄|∅", r"\\emptyset"),
    )
]


def _braced(match: re.Match[str]) -> str:
    top, bottom = (a if a.startswith("{") else f"{{{a}}}" for a in match.groups())
    return f"\\frac{top}{bottom}"


def _outer_braces(s: str) -> str:
    while s.startswith("{") and s.endswith("}") and _closes_at_end(s):
        s = s[1:-1].strip()
    return s


def _closes_at_end(s: str) -> bool:
    depth = 0
    for i, c in enumerate(s):
        depth += (c in "({[⦃") - (c in ")}]⦄")
        if depth == 0:
            return i == len(s) - 1
    return False


def _depth(s: str) -> int:
    depth = deepest = 0
    for c in s:
        depth += (c in "({[⦃") - (c in ")}]⦄")
        deepest = max(deepest, depth)
    return deepest


def number(s: str) -> Fraction | None:
    """The value of a plain number in normal notation (decimal, thousands, fraction, mixed number, scientific), or None."""
    if len(s) > _DIGITS:
        return None
    sign, s = 1, _MONEY.sub(r"\1", s).strip()
    if s[:1] in ("-", "+"):
        sign, s = (-1 if s[0] == "-" else 1), s[1:].strip()
    value = _unsigned(s)
    return None if value is None else sign * value


_DECIMAL = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)?(?:\.[0-9]*)?"


def _unsigned(s: str) -> Fraction | None:
    if re.fullmatch(_DECIMAL, s) and re.search("[0-9]", s):
        return Fraction(s.replace(",", "").rstrip(".") or "0")
    if m := re.fullmatch(
        rf"({_DECIMAL})\s*(?:\\times|\\cdot|\*|x)\s*10\s*\^\s*(?:\{{\s*(-?[0-9]+)\s*\}}|(-?[0-9]+))", s
    ):
        exponent = int(m[2] or m[3])
        head = _unsigned(m[1])
        return None if head is None or abs(exponent) > 300 else head * Fraction(10) ** exponent
    if m := re.fullmatch(rf"({_DECIMAL})[eE]([-+]?[0-9]{{1,3}})", s):
        head = _unsigned(m[1])
        return None if head is None or abs(int(m[2])) > 300 else head * Fraction(10) ** int(m[2])
    if m := re.fullmatch(r"([0-9]*)\.([0-9]*)\\overline\{?([0-9]+)\}?", s):
        start, period = m[1] + m[2], m[3]
        return Fraction(int(start + period) - int(start or 0), (10 ** len(period) - 1) * 10 ** len(m[2]))
    if m := re.fullmatch(r"([0-9]+)?\s*\\frac\{\s*(-?[0-9,]+)\s*\}\{\s*([0-9,]+)\s*\}", s):
        return _ratio(m[1], m[2], m[3])
    if m := re.fullmatch(r"(?:([0-9]+)\s+)?([0-9,]+)\s*/\s*([0-9,]+)", s):
        return _ratio(m[1], m[2], m[3])
    return None


def _ratio(whole: str | None, top: str, bottom: str) -> Fraction | None:
    parts = [_unsigned(part.removeprefix("-")) for part in (top, bottom)]
    if None in parts or parts[1] == 0 or (whole and top.startswith("-")):
        return None
    value = Fraction(parts[0], parts[1]) * (-1 if top.startswith("-") else 1)
    return value + int(whole) if whole else value


def bare_number(s: str) -> str:
    r"""`\text{13}` → `13`; anything else as it is."""
    inner = re.fullmatch(_WRAPPED, s)
    return inner[1].strip() if inner and number(inner[1].strip()) is not None else s


def split_unit(s: str) -> tuple[str, str]:
    """Value and unit of a quantity; the unit is empty where there is none. `%` is a unit, a scale (million) is none."""
    bare = _MONEY.sub(r"\1", s)
    money = "dollars" if bare != s and "$" in s else ""
    s = bare
    power = r"(?:\^\s*\{?\s*[0-9]\s*\}?)?"
    found = re.fullmatch(
        rf"(.*?[0-9}})A-Za-z.])\s*((?:(?:\^\s*\{{?\s*\\circ\s*\}}?|\\circ|\\degree|%|¢|{_WRAPPED})\s*{power}\s*)+)([CF]?)",
        s,
    )
    if found and not _WORD_BEFORE.search(found[1]) and found[1].count("{") == found[1].count("}"):
        wrapped = re.sub(_WRAPPED, r" \1", found[2]) + (found[4] or "")
        if (unit := _unit_words(wrapped)) is not None:
            return _scaled(found[1].strip(), unit)
    found = re.fullmatch(
        r"([-+0-9.,/ ]*[0-9.](?:\s*\\frac\{[0-9]+\}\{[0-9]+\})?|-?\\frac\{[0-9]+\}\{[0-9]+\})\s*"
        r"([A-Za-z][A-Za-z./ '-]*(?:\^\s*\{?[0-9]\}?)?)",
        s,
    )
    if found:
        unit, spaced = _unit_words(found[2]), s[len(found[1])] == " "
        is_word = len(found[2].strip(" .")) > 1  # `3 m` may be three times m
        if unit is not None and is_word and (spaced or _unit(unit)[0].endswith(".")):
            return _scaled(found[1].strip(), unit)
    return s, money


_WORD_BEFORE = re.compile(r"\\(?:text|mathrm|mbox)\s*\{[^{}]*\}")


def _unit_words(text: str) -> str | None:
    """A unit in lower case with its power behind it (`cm 2`); None where the words are no unit."""
    plain = re.sub(r"\^?\s*\{?\s*\\(?:circ|degree)\s*\}?", " degrees ", text).strip(" .")
    if re.search(r"[-+*=(\\]|\.\.|(?<!\^)(?<!\^\{)[0-9]", plain.replace("^ ", "^")):
        return None
    if re.fullmatch(r"[ABDEG-Z]", plain):  # a capital is no unit, but for degrees
        return None
    words = re.findall(r"[A-Za-z]+|[%¢]|[0-9]", plain.lower())
    scale, rest = words[:1] if words and words[0] in SCALES else [], words
    rest = rest[len(scale) :]
    if (
        len(rest) > _MOST_WORDS
        or any(word in _NO_UNIT for word in rest)
        or (rest and rest[0] in _POWERS and len(rest) == 1)
    ):
        return None
    if len(rest) == 1 and len(rest[0]) == 1 and not _unit(rest[0])[0].endswith(".") and rest[0] != "%":
        return None
    return " ".join(scale + ["%" if word in ("percent", "%") else word for word in rest])


def _scaled(value: str, unit: str) -> tuple[str, str]:
    words = unit.split()
    if words and words[0] in SCALES:
        amount = number(value)
        if amount is None:
            return value, unit
        return str(amount * SCALES[words[0]]), " ".join(words[1:])
    return value, unit


def _unit(unit: str) -> tuple[str, int]:
    """A unit's shortest known name (with a dot; without one it is not known) and its power."""
    power, names = 1, []
    for word in unit.split():
        if word in _POWERS:
            power = _POWERS[word]
        elif word.isdigit():
            power = int(word)
        else:
            names.append(word)
    name = " ".join(names)
    return next((min(known, key=len) + "." for known in _KNOWN_UNITS if name in known), name), power


def units_agree(gold: str, answer: str) -> bool:
    """Whether two units may stand for each other: unless their powers differ, or both are known and differ."""
    (a, power), (b, other) = _unit(gold), _unit(answer)
    return power == other and (a == b or not (a.endswith(".") and b.endswith(".")))


def words(s: str) -> str | None:
    r"""A text answer in lower case without wrappers and punctuation (`\text{(A)}` → `a`), or None: not text."""
    plain = re.sub(_WRAPPED, r" \1 ", s)
    is_wrapped = plain != s
    plain = re.sub(r"[\s'\"“”‘’`]+", " ", plain).strip(" .,;:!?()")
    if not re.fullmatch(r"[A-Za-zÀ-ÿ][A-Za-zÀ-ÿ0-9 \-]*", plain) or any(map(_NO_TEXT.fullmatch, plain.split())):
        return None
    if any(c.isdigit() for c in plain) and not re.search(r"[^\W0-9_]{3}", plain):
        return None
    if is_wrapped or re.fullmatch(r"\(?[A-Z]\)?", s) or re.search(r"[^\W0-9_]{3}", plain):
        return re.sub(r"\s+", " ", plain).lower()
    return plain if re.fullmatch(r"[A-Za-z]{2}", plain) else None  # one letter is a variable, `x - y` an expression


_NO_TEXT = re.compile(r"(?:sin|cos|tan|log|ln|exp|sqrt|pi|nan|inf|infinity|oo|zoo)", re.IGNORECASE)
