"""The overlay in a run says what the report says, whenever the run was interrupted."""

from types import SimpleNamespace

import pytest
import yaml

from rarecot.evaluation import records
from rarecot.evaluation.metrics import wilson
from rarecot.forecast.overlay import overlay
from rarecot.training.rl.live import Live

CONFIG = {"reward_funcs": ["chain"], "temperature": 0.7}


def record(n_round, p, split="rollouts", n=4000, temperature=0.7):
    n_long = round(p * n)
    rates = {"long": (0.98, n_long), "short": (0.5, n - n_long)}
    return {
        "stage": "star",
        "step": n_round,
        "round": n_round,
        "split": split,
        "decoding": "sampled",
        "seed": 0,
        "temperature": temperature,
        "n": n,
        "samples": 1,
        "max_new_tokens": 21,
        "protocol": "native",
        "long_share": n_long / n,
        "long_share_ci": list(wilson(n_long, n)),
        **{f"accuracy_{kind}": rate for kind, (rate, _) in rates.items()},
        **{f"accuracy_{kind}_ci": list(wilson(rate * count, count)) for kind, (rate, count) in rates.items()},
    }


def watched(folder, path, resumed_at=()):
    """What is printed over a run whose rollouts are long at these rates; a new process begins before some of its rounds."""
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump({"star": CONFIG}))
    run = SimpleNamespace(
        dir=folder, request=SimpleNamespace(stage="star"), mixture=SimpleNamespace(manifest={"task": "parity"})
    )
    records.append(folder, record(0, 0.1, "test", temperature=1.0))
    live = Live(run)
    for number, p in enumerate(path):
        if number in resumed_at:
            live = Live(run)
        live.usual()
        records.append(folder, record(number, p))
        live(record(number, p))
    return [str(alarm) for alarm in overlay(records.read(folder), "star", CONFIG, "parity").alarms]


FOLLOWING = (0.060, 0.070, 0.088, 0.121, 0.191, 0.339)  # Theorem 2 and `tempered` from 0.1, at temperature 0.7


@pytest.mark.parametrize("resumed_at", [(), (1,), (2, 4)])
@pytest.mark.parametrize("path", [FOLLOWING, (0.06,) * 4 + (0.02,) * 3], ids=["as expected", "not"])
def test_alarms_are_those_of_the_report(tmp_path, capsys, path, resumed_at):
    reported = watched(tmp_path / "run", path, resumed_at)
    lines = capsys.readouterr().out.splitlines()
    printed = [line.removeprefix("ALARM ") for line in lines if line.startswith("ALARM")]
    assert [line for line in lines if line.startswith("expected")] == lines[:1]
    assert printed == reported
    assert bool(reported) == (path is not FOLLOWING)


def test_rounds_of_a_killed_run_that_come_again(tmp_path, capsys):
    """A run that was killed after its third round and goes on from its first: what lies ahead is not taken for the past."""
    watched(tmp_path / "run", FOLLOWING[:4])
    run = SimpleNamespace(
        dir=tmp_path / "run",
        request=SimpleNamespace(stage="star"),
        mixture=SimpleNamespace(manifest={"task": "parity"}),
    )
    capsys.readouterr()
    Live(run)(record(1, FOLLOWING[1]))
    assert capsys.readouterr().out == ""  # no alarm, and what is expected was said at the start
