"""Reports from run directories made by hand, with what real runs seldom have."""

import json

import pytest
import yaml

from rarecot.errors import ConfigError
from rarecot.evaluation import records
from rarecot.evaluation.harness import save_responses
from rarecot.evaluation.metrics import summarise
from rarecot.mixtures.build import build
from rarecot.mixtures.spec import MixtureSpec
from rarecot.report import figures, html
from rarecot.report.data import conditions, read_run
from rarecot.tasks import Parity
from rarecot.types import Completion, Response


def make_run(folder, p_cot=0.25, seed=0, stages=("sft", "grpo"), text="01"):
    """A run whose n-th evaluation has n long responses out of eight."""
    folder.mkdir(parents=True)
    spec = MixtureSpec(task=Parity(d=6), p_cot=p_cot, n=16, n_rl=8, n_test=8, seed=seed)
    (folder / "manifest.json").write_text(json.dumps(build(spec).manifest))
    (folder / "config.yaml").write_text(yaml.safe_dump({stage: {} for stage in stages}))
    for stage in stages:
        for step in range(4):
            for split, decoding in (("test", "greedy"), ("test", "sampled"), ("rollouts", "sampled")):
                if split == "rollouts" and stage == "sft":
                    continue
                responses = [
                    Response(str(i), Completion([3] * n + [2], text, "stop"), kind, "correct" if i % 2 else "wrong")
                    for i, (n, kind) in enumerate([(6, "long")] * (step + 1) + [(1, "short")] * (7 - step))
                ]
                record = {
                    "stage": stage,
                    "step": step,
                    "sequences_seen": 100 * step,
                    "tokens_seen": 0,
                    "split": split,
                    "seed": seed,
                    "decoding": decoding,
                    "temperature": float(decoding == "sampled"),
                    "protocol": "native",
                    "samples": 1,
                    "max_new_tokens": 7,
                    "sampling_seed": step,
                    **summarise(responses),
                }
                records.append(folder, record)
                if split == "test":
                    path = folder / records.COMPLETIONS / records.completions_name(record)
                    save_responses(path, responses, ["010101="] * 8)
    return read_run(folder)


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
