"""Reports over sweeps, from run directories made by hand: the numbers behind the panels, and what is missing."""

import json
import subprocess
import sys

import pytest
import yaml
from conftest import run_command

from rarecot.errors import ConfigError
from rarecot.evaluation.metrics import wilson
from rarecot.evaluation.records import FILE as RECORDS
from rarecot.report.sweep import figures as sweep_figures
from rarecot.report.sweep import html as sweep_html
from rarecot.report.sweep.curves import (
    aligned,
    cells,
    course_curve,
    crossing,
    curve_crossing,
    final_curve,
    recursion_pairs,
)
from rarecot.report.sweep.data import is_sweep, read_sweep, text
from rarecot.report.sweep.panels import PLOTS, THEORY, Panel, panel_problems

N = 100


def record(stage, step, accuracy=0.5, long_share=0.25, split="test", decoding="greedy", **more):
    temperature = 0.0 if decoding == "greedy" else 1.0
    return {
        "stage": stage,
        "step": step,
        "split": split,
        "decoding": decoding,
        "temperature": temperature,
        "seed": 0,
        "n": N,
        "samples": 1,
        "sequences_seen": 10 * step,
        "sampling_seed": step,
        "protocol": "native",
        "accuracy": accuracy,
        "accuracy_ci": list(wilson(accuracy * N, N)),
        "max_new_tokens": 21,
        "length_median": 1 + 19 * long_share,
        "length_mean": 1 + 19 * long_share,
        "long_share": long_share,
        "long_share_ci": list(wilson(long_share * N, N)),
        "accuracy_long": 1.0,
        "accuracy_long_ci": [0.9, 1.0],
        "accuracy_short": 0.5,
        "accuracy_short_ci": None,
        **more,
    }


def make_sweep(folder, runs, figure=(), name="try"):
    """A sweep; each run is (recipe, values, records), and one without records is missing."""
    listed = []
    for i, (recipe, values, found) in enumerate(runs):
        place = f"{recipe}/{i}"
        listed.append({"id": i, "stage": recipe, "recipe": recipe, "run_dir": place, "values": values, "after": None})
        if found:
            (folder / place).mkdir(parents=True)
            p_cot = values.get("p_cot", 0.25)
            manifest = {
                "task": "parity",
                "d": 20,
                "p_cot": p_cot,
                "p_cot_realised": p_cot,
                "seed": values.get("seed", 0),
            }
            (folder / place / "manifest.json").write_text(json.dumps(manifest))
            (folder / place / "config.yaml").write_text(yaml.safe_dump({recipe: {"max_steps": 4}}))
            (folder / place / RECORDS).write_text("".join(json.dumps(r) + "\n" for r in found))
    folder.mkdir(exist_ok=True)
    said = {"name": name, "shows": f"What {name} shows.", "paper": "§2", "cost": {"gpu": "3 min"}}
    (folder / "sweep.json").write_text(json.dumps({**said, "figure": list(figure), "runs": listed}))
    return folder


def threshold_runs():
    """Three seeds over p_cot; the middle point differs by seed: crossings at 0.35, 0.325 and 0.3."""
    middle = {0: 0.5, 1: 2 / 3, 2: 0.75}
    return [
        ("sft", {"p_cot": p, "seed": seed}, [record("sft", 4, a), record("sft", 4, 0.6, p, decoding="sampled")])
        for seed in middle
        for p, a in ((0.2, 0.5), (0.3, middle[seed]), (0.4, 1.0))
    ]


def test_seeds_are_one_row_of_the_table(tmp_path):
    sweep = read_sweep(make_sweep(tmp_path / "s", threshold_runs()))
    rows = sweep_html.table(sweep)
    assert [row["swept.p_cot"] for row in rows] == ["0.2", "0.3", "0.4"]
    assert [row["seeds"] for row in rows] == ["3"] * 3
    assert rows[1]["greedy"] == "63.9% (50.0%–75.0%)"
    assert rows[1]["long_share"] == "30.0% (30.0%–30.0%)"
    assert rows[1]["accuracy_long"] == "100.0% (100.0%–100.0%)"
    assert rows[1]["sequences"] == "40"
    assert "63.9% (50.0%–75.0%)" in sweep_html.text_table(sweep)


def test_one_seed_has_its_interval(tmp_path):
    sweep = read_sweep(make_sweep(tmp_path / "s", [("sft", {"p_cot": 0.2, "seed": 0}, [record("sft", 4, 0.5)])]))
    (row,) = sweep_html.table(sweep)
    assert row["greedy"] == "50.0% [40.4%, 59.6%]"
    assert (row["long_share"], row["median"]) == ("–", "5.75")


def test_crossing_of_the_mean_and_of_the_seeds(tmp_path):
    sweep = read_sweep(make_sweep(tmp_path / "s", threshold_runs()))
    curve = final_curve(sweep.runs, Panel("final", x="p_cot"))
    mean = (0.5 + 2 / 3 + 0.75) / 3
    assert (curve[1].x, curve[1].mean) == (0.3, pytest.approx(mean))
    assert (curve[1].low, curve[1].high) == (0.5, 0.75)
    found = curve_crossing(curve)
    assert found.mean == pytest.approx(0.3 + 0.1 * (0.75 - mean) / (1 - mean))
    assert sorted(found.seeds) == pytest.approx([0.3, 0.325, 0.35])
    assert str(found) == "crosses 75 % at 0.331 (3 seeds: 0.3–0.35)"


def test_a_seed_with_a_gap_has_no_crossing_of_its_own(tmp_path):
    runs = threshold_runs()
    runs[2] = (*runs[2][:2], None)  # seed 0 at 0.4
    runs[1] = (*runs[1][:2], None)
    found = curve_crossing(final_curve(read_sweep(make_sweep(tmp_path / "s", runs)).runs, Panel("final", x="p_cot")))
    assert (len(found.seeds), found.of) == (2, 3)


@pytest.mark.parametrize(
    ("points", "where"),
    [
        ([(0, 0.5), (1, 1.0)], 0.5),
        ([(0, 0.5), (2, 0.75), (3, 1.0)], 2.0),
        ([(0, 0.5), (1, 0.6)], None),
        ([(0, 0.9), (1, 0.5), (2, 1.0)], None),
        ([], None),
    ],
    ids=["between", "at a point", "never", "above from the first on", "no points"],
)
def test_crossing(points, where):
    assert crossing(points) == where


def test_missing_and_unfinished_runs_are_named(tmp_path):
    runs = threshold_runs()
    runs[4] = (*runs[4][:2], None)
    runs[5] = (*runs[5][:2], [record("sft", 3, 1.0)])
    folder = make_sweep(tmp_path / "s", runs, [{"plot": "final", "x": "p_cot"}])
    sweep = read_sweep(folder)
    assert sweep.notes[0] == "1 of 9 runs is missing: sft/4 (NTP)."
    assert sweep.notes[1] == "1 of 9 runs did not come to their end: sft/5 (NTP) at 3 of 4 steps."
    assert sweep_html.table(sweep)[1]["seeds"] == "2 of 3"
    result = run_command("python", "eval/report.py", folder)
    assert result.returncode == 0, result.stderr
    assert all(note in result.stdout for note in sweep.notes)
    assert sweep.notes[0] in (folder / "report.html").read_text()
    assert (folder / "figures/1-final-accuracy.png").stat().st_size > 10_000
    assert (folder / "figures/overview.png").stat().st_size > 10_000


def test_a_stage_without_records_in_a_shared_directory_is_missing(tmp_path):
    folder = make_sweep(tmp_path / "s", [("sft", {"seed": 0}, [record("sft", 4)])])
    said = json.loads((folder / "sweep.json").read_text())
    said["runs"].append({**said["runs"][0], "id": 1, "stage": "rl", "recipe": "grpo", "after": 0})
    (folder / "sweep.json").write_text(json.dumps(said))
    sweep = read_sweep(folder)
    assert [run.name for run in sweep.missing] == ["sft/0 (GRPO)"]
    assert [row["seeds"] for row in sweep_html.table(sweep)] == ["1", "0 of 1"]


def test_no_run_at_all_and_the_same_records_twice_are_refused(tmp_path):
    empty = make_sweep(tmp_path / "a", [("sft", {"seed": 0}, None)])
    assert is_sweep(empty)
    with pytest.raises(ConfigError, match="none of the 1 runs"):
        read_sweep(empty)
    twice = make_sweep(tmp_path / "b", [("sft", {"seed": 0}, [record("sft", 4)])])
    said = json.loads((twice / "sweep.json").read_text())
    said["runs"] *= 2
    (twice / "sweep.json").write_text(json.dumps(said))
    with pytest.raises(ConfigError, match="2 runs of sft in sft/0"):
        read_sweep(twice)
    assert run_command("python", "eval/report.py", empty, twice).returncode == 2


def test_branching_is_an_axis_of_the_rl_runs_alone(tmp_path):
    runs = [("sft", {"seed": 0}, [record("sft", 4)])]
    runs += [
        ("grpo", {"seed": 0, "checkpoint": c}, [record("grpo", 4, a)]) for c, a in ((400, 1.0), (0, 0.5), (50, 0.7))
    ]
    sweep = read_sweep(make_sweep(tmp_path / "s", runs, [{"plot": "final", "x": "checkpoint"}]))
    (panel,) = sweep.panels
    assert sweep.by(panel) == ()
    assert [(p.x, p.mean) for p in final_curve(sweep.shown(panel), panel)] == [(0, 0.5), (50, 0.7), (400, 1.0)]
    assert [(row["stage"], row["swept.checkpoint"]) for row in sweep_html.table(sweep)] == [
        *(("NTP", ""), ("GRPO", "0"), ("GRPO", "50"), ("GRPO", "400"))
    ]


def test_curves_are_told_apart_by_what_varies(tmp_path):
    runs = [
        (recipe, {"p_cot": p, "seed": s, "reward_funcs": ["answer", "length_penalty"]}, [record(recipe, 4)])
        for recipe in ("star", "grpo")
        for p in (0.1, 0.2)
        for s in (0, 1)
    ]
    figure = [{"plot": "course"}, {"plot": "final", "x": "recipe", "recipe": ["star", "grpo"]}]
    sweep = read_sweep(make_sweep(tmp_path / "s", runs, [*figure, {"plot": "final", "x": "p_cot", "recipe": "star"}]))
    assert [sweep.by(panel) for panel in sweep.panels] == [("p_cot",), ("p_cot",), ()]
    assert [len(sweep.shown(panel)) for panel in sweep.panels] == [4, 8, 4]
    assert text(sweep.runs[0].value("reward_funcs")) == "answer + length_penalty"


@pytest.mark.parametrize(("after", "count"), [(0.4, 1), (0.45, 1), (0.6, 0), (0.2, 0)])
def test_rounds_that_agree_with_the_recursion(after, count):
    """From 0.25 the odds × 2 give 0.4; with 100 responses each, intervals of ± 0.08 and ± 0.1 explain 0.15 at most."""
    from rarecot.report.sweep.curves import agreeing

    pair = (record("star", 0, long_share=0.25), record("star", 1, long_share=after))
    assert agreeing([pair], 2.0) == count


def test_an_unfinished_star_run_is_named(tmp_path):
    found = [record("star", 7, round=2), record("star", 20, round=5)]
    runs = [("star", {"seed": 0}, found), ("star", {"seed": 1}, found[:1])]
    folder = make_sweep(tmp_path / "s", runs, [{"plot": "course", "x": "round"}])
    for i in range(2):
        (folder / f"star/{i}/config.yaml").write_text(yaml.safe_dump({"star": {"max_steps": -1, "rounds": 5}}))
    assert read_sweep(folder).notes == ["1 of 2 runs did not come to their end: star/1 (STaR) at 2 of 5 rounds."]


def test_a_curve_that_is_always_above_is_told_from_one_that_never_is(tmp_path):
    for accuracy, said in ((0.9, "above 75 % from the first point on"), (0.5, "does not reach 75 %")):
        runs = [("sft", {"p_cot": p}, [record("sft", 4, accuracy)]) for p in (0.1, 0.2)]
        sweep = read_sweep(make_sweep(tmp_path / f"s{accuracy}", runs, [{"plot": "final", "x": "p_cot"}]))
        assert str(curve_crossing(final_curve(sweep.runs, sweep.panels[0]))) == said


def test_a_panel_may_show_a_part_of_a_sweep(tmp_path):
    runs = [
        ("grpo", {"temperature": t, "reward_funcs": [name]}, [record("grpo", 4)])
        for t in (0.7, 1.0)
        for name in ("answer", "chain")
    ]
    figure = [
        {"plot": "course", "where": {"temperature": 1.0}},
        {"plot": "final", "x": "temperature", "where": {"reward_funcs": ["chain"]}},
    ]
    sweep = read_sweep(make_sweep(tmp_path / "s", runs, figure))
    assert [run.values["temperature"] for run in sweep.shown(sweep.panels[0])] == [1.0, 1.0]
    assert [run.values["reward_funcs"] for run in sweep.shown(sweep.panels[1])] == [["chain"], ["chain"]]
    assert [sweep.by(panel) for panel in sweep.panels] == [("reward_funcs",), ()]
    found = panel_problems(
        [{"plot": "course", "where": {"temprature": 1}}, {"plot": "course", "where": 3}], {"temperature"}
    )
    assert "where is 'temprature', which is no swept key; did you mean 'temperature'" in found[0]
    assert "where is 3" in found[1]


@pytest.mark.parametrize(
    ("rates", "expected"), [((0, 0), 2), ((0.5, 0), 1 / 0.75), ((1, 0), 1), ((0.2, 0.1), 0.9 / 0.55)]
)
def test_the_factor_of_the_recursion_is_what_the_verifier_rewards(tmp_path, rates, expected):
    from rarecot.report.sweep.overlays import factor

    sweep = read_sweep(make_sweep(tmp_path / "s", [("star", {}, [record("star", 4)])]))
    sweep.runs[0].data.config["star"] |= dict(zip(("false_positive_rate", "false_negative_rate"), rates, strict=True))
    assert factor(sweep.runs[0], 0.5) == pytest.approx(expected)


def test_rounds_are_paired_with_the_next_and_never_over_a_gap(tmp_path):
    def rollouts(step, share, **more):
        return record("star", step, 0.5, share, "rollouts", "sampled", **more)

    shares = {0: 0.1, 1: 0.2, 3: 0.5, 4: 0.7}
    star = [rollouts(7 * n, share, round=n) for n, share in shares.items()]
    old = [rollouts(n, share) for n, share in shares.items()]  # before records knew rounds
    sweep = read_sweep(make_sweep(tmp_path / "s", [("star", {"seed": 0}, star), ("star", {"seed": 1}, old)]))
    for run in sweep.runs:
        assert [(a["long_share"], b["long_share"]) for a, b in recursion_pairs(run)] == [(0.1, 0.2), (0.5, 0.7)]


def test_a_course_is_a_mean_where_seeds_share_their_places(tmp_path):
    found = {0: ((0, 0.1), (7, 0.3)), 1: ((0, 0.3), (9, 0.5))}
    runs = [
        ("star", {"seed": seed}, [record("star", step, 0.5, share, round=n) for n, (step, share) in enumerate(points)])
        for seed, points in found.items()
    ]
    sweep = read_sweep(make_sweep(tmp_path / "s", runs))
    rounds = course_curve(sweep.runs, Panel("course", "long_share", x="round"))
    assert [(p.x, pytest.approx(p.mean), p.low, p.high) for p in rounds] == [(0, 0.2, 0.1, 0.3), (1, 0.4, 0.3, 0.5)]
    assert aligned(rounds)
    assert not aligned(course_curve(sweep.runs, Panel("course", "long_share", x="step")))


def test_cells_of_a_heat_map(tmp_path):
    accuracy = {(0.1, 0.7): (0.5, 0.6), (0.1, 1.0): (0.7,), (0.4, 0.7): (1.0, 0.9)}
    runs = [
        ("grpo", {"p_cot": p, "temperature": t, "seed": seed}, [record("grpo", 4, a)])
        for (p, t), values in accuracy.items()
        for seed, a in enumerate(values)
    ]
    sweep = read_sweep(make_sweep(tmp_path / "s", runs, [{"plot": "heatmap", "x": "temperature", "y": "p_cot"}]))
    found = {at: p.mean for at, p in cells(sweep.runs, sweep.panels[0]).items()}
    assert found == pytest.approx({(0.7, 0.1): 0.55, (1.0, 0.1): 0.7, (0.7, 0.4): 0.95})
    figure = sweep_figures.plt.figure(layout="constrained")
    sweep_figures.draw_panel(figure, sweep.panels[0], sweep)
    written = {t.get_position(): t.get_text() for t in figure.axes[0].texts}
    sweep_figures.plt.close(figure)
    assert written == {(0, 0): "55%", (1, 0): "70%", (0, 1): "95%", (1, 1): "–"}


def test_every_problem_of_a_figure_is_said_at_once():
    figure = [
        {"plot": "finl", "theory": ["treshold"], "colour": "red"},
        {"plot": "final", "x": "pcot", "field": "acuracy"},
        {"plot": "heatmap", "x": "p_cot", "y": "p_cot", "by": ["p_cot", "widht"]},
        {"plot": "course", "x": "rounds", "field": "reward_mean"},
        {"plot": "recursion", "recipe": "sft", "x": "p_cot", "field": "accuracy"},
        {"plot": "final", "log_x": "yes", "by": "p_cot"},
        "final",
    ]
    said = panel_problems(figure, {"p_cot", "width", "seed"})
    wanted = [
        *(
            "plot is 'finl', which is unknown; did you mean 'final'?",
            "did you mean 'threshold'?",
            "unknown key 'colour'",
        ),
        *("x is 'pcot', which is no swept key; did you mean 'p_cot'?", "did you mean 'accuracy'?"),
        *("x and y are both p_cot", "by names p_cot, which is an axis", "did you mean 'width'?"),
        *("did you mean 'round'?", "reward_mean is measured on RL's own rollouts alone"),
        *("makes no rollouts", "a recursion has no x", "field is 'accuracy', but a recursion"),
        *("log_x is 'yes'", "by is 'p_cot'. Give a list", "(final) has no x", "Panel 7 of figure is 'final'"),
    ]
    for sentence in wanted:
        assert sum(sentence in problem for problem in said) == 1, sentence
    assert len(said) == len(wanted)


def test_a_good_figure_has_no_problems_and_a_bad_one_stops_the_report(tmp_path):
    good = [
        {"plot": "final", "x": "recipe", "recipe": ["star", "grpo"], "by": ["stage"]},
        {"plot": "course", "x": "round", "field": "reward_mean", "measured": "rollouts", "theory": list(THEORY)},
        {"plot": "heatmap", "x": "p_cot", "y": "seed", "log_x": False, "title": "t"},
        {"plot": "recursion"},
    ]
    assert panel_problems(good, {"p_cot", "seed"}) == []
    assert {panel["plot"] for panel in good} == set(PLOTS)
    assert len(panel_problems({"plot": "final"}, set())) == 1
    folder = make_sweep(tmp_path / "s", [("sft", {"seed": 0}, [record("sft", 4)])], [{"plot": "final", "x": "p_cot"}])
    with pytest.raises(ConfigError, match="no swept key"):
        read_sweep(folder)


def test_panels_are_checked_without_heavy_imports():
    code = (
        "import sys, rarecot.report.sweep.panels; print({'numpy', 'matplotlib', 'torch', 'pyarrow'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_page_escapes_names(tmp_path):
    hostile = "<script>alert(1)</script>"
    runs = [("sft", {"p_cot": p, "seed": 0, "note": hostile + str(p)}, [record("sft", 4)]) for p in (0.1, 0.2)]
    panel = {"plot": "final", "x": "p_cot", "by": [], "title": hostile}
    sweep = read_sweep(make_sweep(tmp_path / "s", runs, [panel], name=hostile))
    sweep_html.write(sweep, sweep_figures.save_all(sweep, tmp_path / "figures"), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 4  # title, heading, table, caption
    assert page.count("data:image/png") == 1  # of one panel the overview shows nothing more


def test_every_plot_draws_every_overlay(tmp_path):
    """Overlays are silent where they do not apply; the captions say what is shown."""
    runs = []
    for p in (0.1, 0.4):
        for price in (0.0, 0.05):
            found = [
                r
                for n in range(4)
                for r in (
                    record("star", n, 1.0, min(1.0, p * 2**n), round=n),
                    record("star", n, 1.0, min(1.0, p * 2**n), "rollouts", "sampled", round=n, reward_mean=0.5),
                )
            ]
            runs.append(("star", {"p_cot": p, "reward_weights": [1, price], "seed": 0}, found))
    options = [
        *(
            {"plot": "final", "x": x, "field": f}
            for x in ("p_cot", "reward_weights")
            for f in ("accuracy", "long_share")
        ),
        *(
            {"plot": "course", "x": x, "field": "long_share", "measured": "rollouts"}
            for x in ("round", "sequences_seen")
        ),
        *({"plot": "heatmap", "x": "p_cot", "y": "reward_weights"}, {"plot": "recursion"}),
        {"plot": "final", "x": "reward_weights", "log_x": True, "field": "length_median"},
    ]
    sweep = read_sweep(make_sweep(tmp_path / "s", runs, [{**panel, "theory": list(THEORY)} for panel in options]))
    drawn = []
    for panel in sweep.panels:
        figure = sweep_figures.plt.figure(layout="constrained")
        sweep_figures.draw_panel(figure, panel, sweep)
        drawn.append(" | ".join(t.get_text() for legend in figure.legends for t in legend.get_texts()))
        sweep_figures.plt.close(figure)
    assert "guessing: 50%" in drawn[0]
    assert "threshold g/(1 + g) = 0.333" in drawn[0]
    assert "calibrated" in drawn[1]
    assert "= 0.0263 (d = 20)" in drawn[2]  # (1 - 1/2) / (20 - 1)
    assert "odds × 2 a round" in drawn[4]
    assert "odds × 2 a round" not in drawn[5]
    assert "threshold p_cot = 0.333" in drawn[6]
    assert "2p/(1 + p), Theorem 2" in drawn[7]
    assert "guessing" not in drawn[8]
