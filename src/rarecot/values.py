"""What users write, in a YAML or on a command line, read as what an option takes. Nothing is bent until it fits: 1.5 is no whole
number, `true` is no 1, and what is no number is no option's number."""

import datetime
import math
import os
import typing
from typing import Any

LARGEST = 2**63 - 1  # what a tensor's index, and most of what is behind an option, can hold
_BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}
_SHOWN = 60  # characters of a wrong value that a sentence repeats


def shown(value: Any) -> str:
    """A value as a sentence about it shows it: as Python writes it, shortened."""
    try:
        text = str(value) if isinstance(value, datetime.date) else repr(value)
    except (ValueError, RecursionError):  # numbers of thousands of digits, lists that hold themselves
        return f"a {type(value).__name__} that is too large to show"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"


def coerce(value: Any, kind: Any) -> Any:
    """`value` (from YAML or the command line) as a `kind`: bool, int, float, str, dict, or a list of one of them.

    Raises:
        ValueError: with the end of a sentence that starts with the key.
    """
    if typing.get_origin(kind) is list or kind is list:
        if not isinstance(value, list):
            raise ValueError(f"is {shown(value)}: it must be a list, in a YAML.")
        return value
    if kind is dict:
        if not isinstance(value, dict):
            raise ValueError(f"is {shown(value)}: it must be a mapping, in a YAML.")
        return value
    if kind is bool:
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.strip().lower() in _BOOLEANS:
            return _BOOLEANS[value.strip().lower()]
        raise ValueError(f"is {shown(value)}: it must be true or false.")
    return _text(value) if kind is str else _number(value, kind)


def within(value: float, interval: str) -> str:
    """Why a number lies outside an interval, as the end of a sentence; empty if it does not.

    Args:
        value: the number.
        interval: in brackets, `[1, inf)`, `(0, 1]`: a round one excludes its end.
    """
    low, high = (float(end) for end in interval[1:-1].split(","))
    above = value > low or (value == low and interval[0] == "[")
    below = value < high or (value == high and interval[-1] == "]")
    if above and below:
        return ""
    least = f"{low:.10g} or more" if interval[0] == "[" else "positive" if low == 0 else f"more than {low:.10g}"
    if below and high >= 1e6:
        return f"is {shown(value)}: it must be {least}."
    return f"is {shown(value)}: it must be {least}, and {'at most' if interval[-1] == ']' else 'below'} {high:.10g}."


def path_problem(text: str) -> str:
    """Why a text cannot be a path, as the end of a sentence; empty if it can be one."""
    if not text.strip():
        return "is empty: name a path."
    try:
        os.stat(text)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"is {shown(text)}, which cannot be looked up ({error.strerror}). Name another path."
    except ValueError as error:
        return f"is {shown(text)}, which is no path ({error}). Name another one."
    return ""


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(
            f"is {'null' if value is None else shown(value)}: it must be text. Put it in quotes, or leave it out."
        )
    if "\0" in value or (not value.isprintable() and any(0xD800 <= ord(c) < 0xE000 for c in value)):
        raise ValueError(f"is {shown(value)}: it holds characters that no text has. Write it anew.")
    return value.strip()


def _number(value: Any, kind: type) -> Any:
    wanted = "a whole number" if kind is int else "a number"
    wrong = ValueError(f"is {'null' if value is None else shown(value)}: it must be {wanted}.")
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise wrong
    try:
        text = str(value).strip()
        number = float(text) if text.isascii() else math.nan
        exact = int(text) if kind is int and not {".", "e", "E"} & set(text) else number
    except ValueError:
        raise wrong from None
    if math.isnan(number) or (kind is int and not (math.isinf(number) or float(number).is_integer())):
        raise wrong
    if not abs(exact) <= (LARGEST if kind is int else 1e300):
        raise ValueError(f"is {shown(value)}: it must be {wanted} that a computer can count with.")
    return int(exact) if kind is int else number
