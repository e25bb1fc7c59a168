"""Every experiment on the linear model through the real command: table, results.json, figure, refusals."""

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT

from rarecot.report import linear as report
from rarecot.theory.linear import experiments
from rarecot.theory.linear.spec import SEVERAL, LinearSpec

SMALL = {"d": (4,), "samples": (400,), "round_samples": 300, "rounds": 2, "seeds": 2, "inputs": 100}
LISTS = {"d": (3, 4), "p": (0.2, 0.4), "samples": (200, 400, 900), "lambda_chain": (0.1, 1e-3)}


def points_of(name):
    spec = LinearSpec(**{**SMALL, "experiment": name, **{key: LISTS[key] for key in SEVERAL[name]}})
    assert spec.problems() == []
    rows = [row for part in experiments.run(spec) for row in part]
    return experiments.summarise(rows), experiments.slopes(rows) if name == "rate" else None


@pytest.mark.parametrize("name", SEVERAL)
def test_table_and_figure(name, tmp_path, monkeypatch):
    monkeypatch.setitem(report.STYLE, "savefig.dpi", 40)
    points, slopes = points_of(name)
    lines = report.table(name, points, slopes).splitlines()
    assert len([line for line in lines if line.startswith("|")]) == len(points) + 2
    assert "2 seeds: mean [range over seeds]." in lines
    assert sum(line.startswith("slope") for line in lines) == (5 if name == "rate" else 0)
    _, fields = report.COLUMNS[name]
    assert set(fields) <= {key for point in points for key in point}
    path = report.save(name, points, slopes, tmp_path / "figure.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 5_000


def test_what_is_drawn_is_what_was_measured():
    points, _ = points_of("calibration")
    with report.plt.rc_context(report.STYLE):
        figure = report.calibration(points)
    errors = figure.axes[1]
    drawn = {tuple(line.get_ydata()) for line in errors.lines}
    for d in (3, 4):
        own = tuple(point["long_error"] for point in points if point["d"] == d)
        assert own in drawn
    report.plt.close(figure)


def command(*words):
    line = [sys.executable, str(ROOT / "recipes/linear.py"), *words]
    return subprocess.run(line, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


@pytest.mark.slow
def test_the_command_writes_results_and_figure(tmp_path):
    words = ["--d", "4", "--p", "0.2,0.4", "--samples=500", "--seeds", "1", "--inputs", "100"]
    done = command("--config", str(ROOT / "recipes/linear/theorem1.yaml"), *words, "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert "greedy accuracy" in done.stdout
    results = json.loads((tmp_path / "out/results.json").read_text())
    assert [point["p"] for point in results["points"]] == [0.2, 0.4]
    assert results["options"]["samples"] == [500]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["calibration.png", "results.json"]


def test_the_command_refuses_everything_at_once(tmp_path):
    out = tmp_path / "out"
    words = f"--p 0,0.3 --lamda_chain 1 --lambda_heads -1 --d 1 --samples 0 --out {out} --foo".split()
    done = command("--config", str(ROOT / "recipes/linear/theorem1.yaml"), *words)
    assert done.returncode == 2
    assert "these 6 problems" in done.stderr
    for word in ("p is 0.0", "did you mean 'lambda_chain'?", "lambda_heads is -1", "d is 1", "samples is 0", "'--foo'"):
        assert word in done.stderr
    assert not out.exists()
    assert command("--config", str(tmp_path / "none.yaml")).returncode == 2
    (tmp_path / "file").write_text("")
    words = ("--config", str(ROOT / "recipes/linear/rate.yaml"), "--out", str(tmp_path / "file"))
    assert "cannot be made a folder" in command(*words).stderr
