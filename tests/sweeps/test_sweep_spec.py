"""A sweep's YAML → its runs; every mistake is said, all at once and before anything runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from rarecot.errors import ConfigError
from rarecot.sweeps import plan
from rarecot.sweeps.spec import read_sweep

TINY = ROOT / "recipes/parity/tiny"
EXPERIMENTS = sorted((ROOT / "recipes/experiments").glob("*.yaml"))


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """Stages and further keys of a sweep → the sweep."""
    monkeypatch.chdir(ROOT)

    def read(stages, start=None, **more):
        path = tmp_path / "sweep.yaml"
        path.write_text(yaml.safe_dump({"stages": stages, "sweep_dir": str(tmp_path / "out"), **more}, sort_keys=False))
        return read_sweep(path, start=start)

    return read


def ntp(**more):
    return {"recipe": "sft", "config": str(TINY / "sft.yaml"), **more}


def rl(recipe="grpo", **more):
    return {"recipe": recipe, "after": "ntp", "config": str(TINY / f"{recipe}.yaml"), **more}


def test_a_grid_is_every_combination(sweep):
    made = sweep({"ntp": ntp(grid={"p_cot": [0.25, 0.5], "seed": [0, 1, 2]}, set={"max_steps": 4})})
    assert [run.values for run in made.runs] == [{"p_cot": p, "seed": s} for p in (0.25, 0.5) for s in (0, 1, 2)]
    assert made.runs[4].keys == {"p_cot": 0.5, "seed": 1, "max_steps": 4}
    assert made.runs[4].run_dir == Path("ntp/p_cot=0.5,seed=1")
    assert made.runs[4].words(Path("out"))["p_cot"] == ["0.5"]
    assert made.swept == {"p_cot", "seed"}
    plan.check(made)


def test_a_stage_without_a_grid_goes_on_in_the_same_run_directory(sweep):
    made = sweep({"ntp": ntp(grid={"seed": [0, 1]}), "grpo": rl()})
    assert [(run.recipe, str(run.run_dir), run.after) for run in made.runs] == [
        ("sft", "ntp/seed=0", None),
        ("sft", "ntp/seed=1", None),
        ("grpo", "ntp/seed=0", 0),
        ("grpo", "ntp/seed=1", 1),
    ]
    assert made.runs[2].starts_from is None
    assert made.runs[3].keys["seed"] == 1


def test_stages_after_one_branch_off_its_checkpoint_and_keep_its_mixture(sweep):
    stages = {"ntp": ntp(set={"d": 7, "p_cot": 0.25}, grid={"seed": [0, 1]})}
    stages["star"] = rl("star", grid={"temperature": [0.5, 1.0]}, set={"max_completion_length": 8})
    stages["grpo"] = rl("grpo", set={"max_completion_length": 8})
    made = sweep(stages)
    assert len(made.runs) == 2 + 4 + 2
    run = made.runs[5]
    assert run.values == {"seed": 1, "temperature": 1.0}
    assert run.starts_from == Path("ntp/seed=1/sft")
    assert (run.keys["d"], run.keys["p_cot"], run.keys["seed"]) == (7, 0.25, 1)
    assert "n_rl" not in run.keys, "only what its own config would make otherwise"
    assert str(made.runs[-1].run_dir) == "grpo/seed=1", "two stages after one cannot share its directory"
    assert [r.id for r in made.family(1)] == [1, 4, 5, 7]
    plan.check(made)


def test_axes_may_set_several_keys_and_values_may_be_lists(sweep):
    sizes = {"small": {"num_layers": 1, "hidden_size": 64}, "large": {"num_layers": 2, "hidden_size": 128}}
    made = sweep(
        {"ntp": ntp(grid={"size": sizes}), "grpo": rl(grid={"reward_funcs": [["answer"], ["answer", "chain"]]})}
    )
    assert made.runs[1].values == {"size": "large"}
    assert made.runs[1].keys == {"num_layers": 2, "hidden_size": 128}
    assert made.runs[-1].words(Path("out"))["reward_funcs"] == ["answer", "chain"]
    assert str(made.runs[-1].run_dir) == "grpo/size=large,reward_funcs=answer+chain"


def test_branches_are_known_before_the_run(sweep):
    made = sweep({"ntp": ntp(set={"max_steps": 25, "save_steps": 10}), "grpo": rl(checkpoints={"every": 1})})
    assert [run.values["checkpoint"] for run in made.runs[1:]] == [10, 20, 25]
    assert made.runs[2].starts_from == Path("ntp/run/sft/checkpoint-20")
    made = sweep({"ntp": ntp(set={"max_steps": 25, "save_steps": 10}), "grpo": rl(checkpoints={"every": 2})})
    assert [run.values["checkpoint"] for run in made.runs[1:]] == [20]


def problems(make):
    with pytest.raises(ConfigError) as refused:
        make()
    return refused.value.problems


def problems_or_none(make):
    try:
        make()
    except ConfigError as error:
        return error.problems
    return []


def test_the_same_recipe_twice_has_directories_of_its_own(sweep):
    made = sweep({"ntp": ntp(), "more": {**ntp(), "after": "ntp"}, "grpo": {**rl(), "after": "more"}})
    assert [str(run.run_dir) for run in made.runs] == ["ntp/run", "more/run", "more/run"]
    assert made.runs[1].starts_from == Path("ntp/run/sft")
    plan.check(made)


def test_every_mistake_of_a_grid_is_said_once(sweep):
    stages = {"ntp": ntp(grid={"p_cott": [0.1, 0.2], "seed": [0, 1]}, set={"max_step": 3})}
    stages["grpo"] = rl(set={"temperature": -1}, grid={"n_test": [16, "x"]})
    figure = [{"plot": "final", "x": "p_cot"}]
    found = problems(lambda: plan.check(sweep(stages, figure=figure)))
    text = " ".join(found)
    assert "'p_cott' is no option of sft; did you mean 'p_cot'? (in 4 runs)" in text
    assert "'max_step' is no option of sft; did you mean 'max_steps'?" in text
    assert "stage grpo: the command line: temperature is -1" in text
    assert "n_test is 'x': it must be a whole number" in text
    assert "p_cot" in found[-1], "the figure asks for what is not swept"
    assert sum("n_test is 'x'" in problem for problem in found) == 1
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        ({}, "has no stages"),
        ({"ntp": {"recipe": "stf", "config": str(TINY / "sft.yaml")}}, "recipe is 'stf'; did you mean 'sft'?"),
        ({"ntp": {"recipe": "sft", "config": "nowhere.yaml"}}, "there is no config"),
        ({"grpo": rl()}, "after is 'ntp', which is no stage before it. There is none before it."),
        ({"ntp": ntp(grid={"p_cot": 0.1})}, "grid: p_cot must be a list"),
        ({"ntp": ntp(gird={})}, "'gird' is no key of a stage; did you mean 'grid'?"),
        (
            {"ntp": ntp(grid={"seed": [0]}), "grpo": rl(grid={"seed": [1]})},
            "seed is swept by a stage before it already",
        ),
        ({"ntp": ntp(), "grpo": rl(checkpoints={"every": 0})}, "checkpoints must be"),
        ({"ntp": ntp(checkpoints={"every": 2})}, "there is neither `after` nor `from`"),
        ({"grpo": {**rl(), "after": "", "from": "/nowhere"}}, "no complete checkpoint in /nowhere/sft"),
    ],
)
def test_mistakes_in_stages(sweep, stages, expected):
    assert expected in " ".join(problems(lambda: sweep(stages)))


def test_a_directory_holds_one_sweep_which_may_grow(sweep):
    small = sweep({"ntp": ntp(grid={"seed": [0, 1]})})
    plan.write(small, plan.check(small))
    plan.check(small)
    plan.check(sweep({"ntp": ntp(grid={"seed": [0, 1, 2]})}))
    other = problems(lambda: plan.check(sweep({"ntp": ntp(grid={"seed": [1, 2]})})))
    assert "its run ntp/seed=0 (sft) is not in this grid" in other[0]
    changed = problems(lambda: plan.check(sweep({"ntp": ntp(grid={"seed": [0, 1]}, set={"learning_rate": 0.5})})))
    assert "learning_rate 0.001 → '0.5'" in changed[0]
    written = json.loads((small.dir / "sweep.json").read_text())
    assert [run["values"] for run in written["runs"]] == [{"seed": 0}, {"seed": 1}]


def test_a_sweep_goes_on_under_a_version_with_more_options(sweep):
    """What a recipe has learned since is no difference as long as nobody asks for it."""
    made = sweep({"ntp": ntp(grid={"seed": [0, 1]})})
    plan.write(made, plan.check(made))
    written = json.loads((made.dir / "sweep.json").read_text())
    for entry in written["runs"]:
        assert entry["asked"].pop("global_batch_size") == 0
    (made.dir / "sweep.json").write_text(json.dumps(written))
    plan.check(made)
    found = problems(lambda: plan.check(sweep({"ntp": ntp(grid={"seed": [0, 1]}, set={"global_batch_size": 16})})))
    assert "global_batch_size 0 → 16" in found[0]


def test_a_mixture_that_changes_on_the_way_is_refused(sweep):
    stages = {"ntp": ntp(), "grpo": rl(set={"n_rl": 8})}
    assert "another mixture (n_rl 16 → 8)" in problems(lambda: plan.check(sweep(stages)))[0]


def test_a_changed_mixture_is_another_sweep(sweep, tmp_path):
    mixture = tmp_path / "mix.yaml"
    stages = {"ntp": ntp(set={"mixture": str(mixture)})}
    mixture.write_text((ROOT / "data_mixes/parity-tiny.yaml").read_text())
    made = sweep(stages)
    plan.write(made, plan.check(made))
    plan.check(sweep(stages))
    mixture.write_text(mixture.read_text().replace("p_cot: 0.5", "p_cot: 0.25"))
    assert "p_cot 0.5 → 0.25" in problems(lambda: plan.check(sweep(stages)))[0]


def test_values_reach_the_recipe_as_they_are(sweep):
    """What was checked is what a command line of those words is read as."""
    from rarecot.sweeps.local import command
    from rarecot.training.request import parse

    values = {"learning_rate": 1e-05, "max_length": None, "gradient_checkpointing": True, "run_name": ""}
    values |= {"lr_scheduler_kwargs": {"min_lr": 0.1}}
    made = sweep({"ntp": ntp(set=values)})
    (run,) = made.runs
    _, _, *words = command(run, Path("out"), ROOT / "recipes")
    request = parse("sft", "", words)
    assert {key: request.trainer_value(key) for key in ("learning_rate", "max_length", "gradient_checkpointing")} == {
        "learning_rate": 1e-05,
        "max_length": None,
        "gradient_checkpointing": True,
    }
    assert json.loads(request.from_command_line["lr_scheduler_kwargs"][0]) == {"min_lr": 0.1}
    assert "empty list" in problems(lambda: sweep({"ntp": ntp(grid={"reward_weights": [[]]})}))[0]


def test_branching_off_a_run_that_is_there(sweep, tmp_path, learned):
    import shutil

    run = tmp_path / "there"
    shutil.copytree(learned, run / "sft" / learned.name)
    manifest = {"task": "parity", "d": 7, "p_cot": 0.5, "n": 16, "n_rl": 64, "n_test": 16, "seed": 3}
    (run / "manifest.json").write_text(json.dumps(manifest))
    stages = {"ntp": ntp(), "star": rl("star", set={"max_completion_length": 8}), "grpo": {**rl(), "after": "star"}}
    stages["grpo"]["set"] = {"max_completion_length": 8}
    made = sweep(stages, start=run)
    assert [(r.stage, r.after) for r in made.runs] == [("star", None), ("grpo", 0)]
    assert made.runs[0].starts_from == (run / "sft" / learned.name).resolve()
    assert (made.runs[0].keys["d"], made.runs[0].keys["n_rl"], made.runs[0].keys["seed"]) == (7, 64, 3)
    plan.check(made)
    figure = [{"plot": "course", "recipe": "sft"}, {"plot": "course", "recipe": "star", "by": ["p_cot"]}]
    figure.append({"plot": "final", "x": "p_cot"})
    swept = {"ntp": ntp(grid={"p_cot": [0.25, 0.5]}), "star": rl("star", set={"max_completion_length": 8})}
    assert sweep(swept, start=run, figure=figure).figure == [{"plot": "course", "recipe": "star", "by": []}]
    assert "has no stage after next-token prediction" in problems(lambda: sweep({"ntp": ntp()}, start=run))[0]
    (run / "sft" / learned.name / "trainer_state.json").write_text('{"global_step": 10, "max_steps": 20}')
    assert "next-token prediction is not finished" in problems(lambda: sweep(stages, start=run))[0]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda p: p.stem)
def test_experiments(path, tmp_path, monkeypatch):
    """Each says what it shows and costs, asks its recipes for nothing that they do not know, and has a figure."""
    monkeypatch.chdir(ROOT)
    assert path.read_text().startswith(f"# ({int(path.stem[:2])}) ")
    made = read_sweep(path, tmp_path)
    assert made.about["shows"].endswith(".")
    assert set(made.about["cost"]) == {"two_cores", "gpu"}
    assert made.about["paper"]
    assert made.figure
    found = problems_or_none(lambda: plan.check(made))
    assert [problem for problem in found if "can be had from the hub" not in problem] == []


def test_every_experiment_is_there():
    assert [int(path.stem[:2]) for path in EXPERIMENTS] == list(range(1, 19))


def test_refusal_loads_no_model_and_exits_2(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump({"stages": {"ntp": ntp(grid={"p_cot": [7]})}, "sweep_dir": str(tmp_path / "out")}))
    code = (
        "import runpy, sys; sys.argv = ['sweep.py', '--config', sys.argv[1]]\n"
        "try:\n"
        "    runpy.run_path('recipes/sweep.py', run_name='__main__')\n"
        "finally:\n"
        "    assert not {'torch', 'transformers', 'trl', 'matplotlib'} & set(sys.modules), 'heavy import'\n"
    )
    result = subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2, result.stderr
    assert "stage ntp: data_mixes/parity-tiny.yaml: p_cot is 7" in result.stderr
    assert not (tmp_path / "out").exists()
