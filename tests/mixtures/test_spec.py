import dataclasses
import typing

import pytest

from rarecot.errors import ConfigError
from rarecot.mixtures.spec import MixtureSpec, mixture_keys
from rarecot.tasks import TASKS
from rarecot.values import coerce

GOOD = {"task": "parity", "d": 12, "n": 100, "n_rl": 10, "n_test": 10}


def problems_of(**changes):
    with pytest.raises(ConfigError) as refused:
        MixtureSpec.from_mapping({**GOOD, **changes})
    return refused.value.problems


def test_good_mapping_round_trips():
    spec = MixtureSpec.from_mapping(GOOD)
    assert MixtureSpec.from_mapping(spec.to_mapping()) == spec


@pytest.mark.parametrize("task", TASKS)
def test_an_option_has_one_type_in_all_tasks(task):
    hints, keys = typing.get_type_hints(TASKS[task]), mixture_keys()
    names = [field.name for field in dataclasses.fields(TASKS[task])]
    assert {name: hints[name] for name in names} == {name: keys[name] for name in names}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"p_cot": 1.2}, ["p_cot is 1.2", "between 0 and 1"]),
        ({"p_cot": -0.1}, ["p_cot"]),
        ({"n": 0}, ["training split would be empty"]),
        ({"n_rl": 0}, ["RL split would be empty"]),
        ({"n_test": -5}, ["test split would be empty"]),
        ({"d": 6, "n": 60}, ["80 distinct problems", "only 64", "overlap"]),
        ({"task": "parrity"}, ["did you mean 'parity'"]),
        ({"p_cto": 0.5}, ["did you mean 'p_cot'"]),
        ({"n": "many"}, ["whole number"]),
        ({"n": 1.5}, ["whole number"]),
        ({"p_cot": "half"}, ["must be a number"]),
        ({"p_cot": True}, ["must be a number"]),
        ({"online": "perhaps"}, ["true or false"]),
        ({"online": True, "n": 64, "p_cot": 0.01}, ["as 1 of 64", "Raise n"]),
        ({"leap": 12}, ["leap < d"]),
    ],
)
def test_bad_values_are_refused_with_the_reason(changes, words):
    text = " ".join(problems_of(**changes))
    assert all(word in text for word in words), text


def test_all_problems_at_once():
    assert len(problems_of(p_cot=2, n_rl=0, n="x", nonsense=1)) == 4


def test_no_task():
    with pytest.raises(ConfigError, match="names no task"):
        MixtureSpec.from_mapping({"d": 5})


@pytest.mark.parametrize(
    ("value", "kind", "result"),
    [
        ("1e3", int, 1000),
        (7.0, int, 7),
        ("1e-4", float, 1e-4),
        ("True", bool, True),
        (False, bool, False),
        (" 3 ", str, "3"),
    ],
)
def test_coerce(value, kind, result):
    got = coerce(value, kind)
    assert got == result
    assert type(got) is kind
