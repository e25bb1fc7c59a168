"""The list of mutations fits the program as it is; and (slow) the tests notice every one."""

import importlib.util
import sys
from pathlib import Path

import pytest
from conftest import ROOT, run_command

MUTATE = Path(__file__).with_name("mutate.py")


@pytest.fixture(scope="module")
def mutate():
    spec = importlib.util.spec_from_file_location("mutate", MUTATE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutate"] = module  # dataclasses look there
    spec.loader.exec_module(module)
    yield module
    del sys.modules["mutate"]


def test_each_can_be_made_and_has_a_test_that_is_to_notice(mutate):
    listed = mutate.mutations()
    assert [fault for mutation in listed if (fault := mutation.fault(ROOT))] == []
    names = [mutation.name for mutation in listed]
    assert len(set(names)) == len(names) >= 30
    assert len({(m.file, m.source, m.replacement) for m in listed}) == len(listed)
    for mutation in listed:
        assert mutation.breaks
        assert mutation.tests
        for test in mutation.tests:
            path, _, name = test.partition("::")
            assert not name or f"def {name.partition('[')[0]}(" in (ROOT / path).read_text(), test


def test_what_no_longer_fits_is_told(mutate):
    good = mutate.mutations()[0]
    told = {
        "0 times": {"source": "this is nowhere"},
        "no Python": {"replacement": "for ("},
        "changes nothing": {"replacement": good.source},
    }
    for word, changes in told.items():
        assert word in mutate.Mutation(**{**vars(good), **changes}).fault(ROOT)


def test_a_failing_test_is_no_broken_pytest(mutate):
    assert mutate.verdict(1, "FAILED tests/a.py::test_b[x y] - assert") == (True, "tests/a.py::test_b")
    assert mutate.verdict(0, "3 passed") == (False, "no test noticed")
    assert mutate.verdict(4, "ERROR: not found: tests/a.py::test_c")[0] is False
    assert mutate.verdict(None, "")[0] is True


@pytest.mark.slow
def test_the_tests_notice_every_one():
    result = run_command("python", MUTATE, "--jobs", "2", timeout=3000)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "SURVIVED" not in result.stdout
