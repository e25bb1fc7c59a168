"""Reports from run directories made by hand, with what real runs seldom have."""

import pytest
from made_runs import make_run

from rarecot.errors import ConfigError
from rarecot.evaluation import records
from rarecot.report import figures, html
from rarecot.report.data import conditions, read_run


def report(runs, tmp_path):
    pictures = figures.save_all(runs, tmp_path / "figures")
    html.write(runs, pictures, tmp_path / "report.html")
    return pictures, (tmp_path / "report.html").read_text()


def test_table_shows_the_last_evaluation_of_each_stage(tmp_path):
    run = make_run(tmp_path / "a")
    sft, grpo = html.table([run])
    assert (sft["stage"], grpo["stage"]) == ("NTP", "GRPO")
    assert grpo["sequences"] == "300"
    assert grpo["greedy"].startswith("50.0% [")
    assert grpo["long_share"].startswith("50.0% [")
    assert grpo["median"] == "3.5"
    assert "50.0%" in html.text_table([run])


def test_page_escapes_what_models_write(tmp_path):
    run = make_run(tmp_path / "a", text="<script>alert(1)</script>")
    _, page = report([run], tmp_path)
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


@pytest.mark.parametrize(
    "runs",
    [
        [{"stages": ("sft",)}],
        [{"p_cot": 0.0}],
        [{"seed": 0}, {"seed": 1}],
        [{"p_cot": 0.5, "stages": ("sft",)}, {"p_cot": 0.1}],
    ],
    ids=["ntp only", "no long mode", "two seeds", "two conditions"],
)
@pytest.mark.slow
def test_any_set_of_runs_gives_figures(tmp_path, runs):
    made = [make_run(tmp_path / str(i), **options) for i, options in enumerate(runs)]
    pictures, page = report(made, tmp_path)
    assert page.count("data:image/png") == len(pictures) >= 4
    assert ("rounds" in pictures) == any(run.rl_stage for run in made)


def test_rollouts_by_vllm_show_the_mismatch(tmp_path):
    run = make_run(tmp_path / "a")
    for record in run.records:
        if record["split"] == "rollouts":
            fields = {"log_ratio_mean_long": -1e-4, "log_ratio_max_long": 1e-2, "is_cut_share_long": 0.0}
            short = {"log_ratio_mean_short": None, "log_ratio_max_short": None, "is_cut_share_short": None}
            record.update(
                fields | (short if record["step"] == 2 else {k.replace("long", "short"): 1e-5 for k in fields})
            )
    pictures, page = report([run], tmp_path)
    assert pictures["mismatch"].stat().st_size > 10_000
    assert "log π_trainer" in page


def test_seeds_are_one_condition_and_mixtures_are_not(tmp_path):
    made = [make_run(tmp_path / "a"), make_run(tmp_path / "b", seed=1), make_run(tmp_path / "c", p_cot=0.5)]
    assert [len(members) for members in conditions(made).values()] == [2, 1]
    assert list(conditions(made)) == ["d = 6, p_cot = 0.25", "d = 6, p_cot = 0.5"]


def test_runs_of_other_options_are_other_conditions(tmp_path):
    made = [make_run(tmp_path / "a"), make_run(tmp_path / "b")]
    made[0].config["grpo"]["loss_type"], made[1].config["grpo"]["loss_type"] = "grpo", "dr_grpo"
    assert list(conditions(made)) == [f"d = 6, p_cot = 0.25, grpo.loss_type = {x}" for x in ("grpo", "dr_grpo")]


def test_the_same_run_twice_is_refused(tmp_path):
    run = make_run(tmp_path / "a")
    with pytest.raises(ConfigError, match="count twice"):
        conditions([run, run])


def test_other_temperatures_and_sizes_do_not_mix_into_a_curve(tmp_path):
    run = make_run(tmp_path / "a")
    known = run.last("grpo", "sampled")
    for changes in ({"temperature": 0.5, "accuracy": 0.9}, {"n": 4, "accuracy": 0.1}):
        records.append(run.dir, {**known, **changes})
    again = read_run(run.dir)
    assert [r["accuracy"] for r in again.series("grpo", "sampled")] == [0.5] * 4
    assert len(again.records) == len(run.records) + 2


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"no config\.yaml"):
        read_run(tmp_path)
    (tmp_path / "config.yaml").write_text("{}")
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(ConfigError, match="no records"):
        read_run(tmp_path)


def test_other_protocols_and_problems_stand_beside_the_curves(tmp_path):
    run = make_run(tmp_path / "a")
    before = [html.table([run]), [run.series(stage, "greedy") for stage in ("sft", "grpo")]]
    last = run.series("grpo", "greedy")[-1]
    some = {"accuracy_lenient": 0.75, "accuracy_lenient_ci": [0.5, 0.9], "pass_at": {"1": 0.5, "4": 0.9}}
    some |= {"pass_at_ci": {"1": [0.4, 0.6], "4": [0.8, 0.95]}, "maj_at": {"4": 0.6}, "maj_at_ci": {"4": [0.5, 0.7]}}
    run.records.append({**last, "protocol": "meta-8shot", "suite": "gsm8k", "accuracy": 0.9, "n": 4000})
    run.records.append({**last, "step": 2, "protocol": "meta-8shot", "suite": "gsm8k", "accuracy": 0.8, "n": 4000})
    run.records.append({**last, "protocol": "meta-8shot", "decoding": "sampled", "samples": 4, "n": 32, **some})
    greedy, several = html.evaluations_table([run])
    assert greedy["accuracy"].startswith("90.0%"), "of the last checkpoint that has it"
    assert (greedy["asked"], greedy["protocol"]) == ("4000 of gsm8k", "meta-8shot")
    assert several["lenient"] == "75.0% [50.0%, 90.0%]"
    assert several["repeated"] == "pass@4 90.0% [80.0%, 95.0%], maj@4 60.0% [50.0%, 70.0%]"
    assert "avg@4" in several["decoding"]
    assert "meta-8shot" in html.text_table([run])
    assert [html.table([run]), [run.series(stage, "greedy") for stage in ("sft", "grpo")]] == before
    _, page = report([run], tmp_path)
    assert "Other protocols" in page
