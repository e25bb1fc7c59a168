"""Every option of every recipe and command, attacked with what it is not: refused at once, in words, before anything loads or is
written, or taken as what it is. The options are found, not listed: a new one is attacked without anybody writing it down.
"""

import ast
import dataclasses
import importlib.util
import math
import signal
import subprocess
import sys
import time
import typing
from pathlib import Path

import pytest
import yaml
from attacks.options_values import (
    ANYTHING,
    COMMANDS,
    FILES,
    NEVER,
    STAGES,
    UNUSUAL,
    ask,
    intervals,
    kind_of,
    options,
    taken,
    unbent,
)
from conftest import ROOT, run_command
from hypothesis import given, settings
from hypothesis import strategies as st

from rarecot import command_line
from rarecot.errors import ConfigError
from rarecot.evaluation.protocols.protocol import Protocol, protocol_named
from rarecot.evaluation.suite import Suite, read_suite
from rarecot.mixtures.spec import mixture_keys, read_mapping
from rarecot.sweeps.plan import check as check_sweep
from rarecot.sweeps.spec import _KEYS, _STAGE_KEYS, read_sweep
from rarecot.theory.linear.spec import LinearSpec
from rarecot.training.arguments import ARGUMENTS
from rarecot.training.options import trainer_options
from rarecot.training.ranges import CHOICES, INTERVALS
from rarecot.training.request import _RESERVED, default_config, make_request, parse


def attack(stage: str, key: str, run_dir: Path, names) -> int:
    """Hold one option against values by name; the number of cases."""
    kind, may_be_null = kind_of(stage, key)
    cases = 0
    for name in names:
        value = ANYTHING[name]
        wrong = name in NEVER.get(kind, set()) and not (name in ("null", "empty") and may_be_null)
        wrong = wrong and name not in UNUSUAL.get(key, set())
        for on_command_line in (False, True):
            if on_command_line and (not isinstance(value, str | int | float)):
                continue
            cases += 1
            problems, request = ask(stage, run_dir, on_command_line, **{key: value})
            said, where = (
                " ".join(problems),
                f"{stage} {key} {name} {'words' if on_command_line else 'YAML'}: {problems}",
            )
            if wrong and not (
                on_command_line and (kind is str or kind is list) and name != "nul"
            ):  # all words are text
                assert key in said, where
                assert (
                    name in ("null", "empty", "an empty list", "long", "huge", "nul", "nested")
                    or str(value)[:5] in said
                    or "is no option of" in said
                ), where
            if request is not None and not on_command_line and value is not None and name != "an empty list":
                assert unbent(value, taken(request, key)), f"{where}: {taken(request, key)!r}"
            assert not any(len(problem) > 2000 for problem in problems), where
            assert all(problem.rstrip().endswith((".", "?", ")")) for problem in problems), where
    return cases


@pytest.mark.parametrize("stage", STAGES)
def test_no_option_is_bent_to_fit(stage, tmp_path):
    """Every option, a few values each: the rest is `test_every_option_against_everything`."""
    names = ("word", "a mapping", "nan")
    some = enumerate(options(stage)[STAGES.index(stage) :: len(STAGES)])
    cases = sum(attack(stage, key, tmp_path / "run", [names[i % 3]]) for i, key in some)
    assert cases > 40
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_every_option_against_everything(stage, tmp_path):
    cases = sum(attack(stage, key, tmp_path / "run", ANYTHING) for key in options(stage))
    assert cases > 5000
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_what_lies_beyond_its_range_is_refused(stage, tmp_path):
    beyond = intervals(stage)
    assert len(beyond) > 60
    for key, bound in beyond:
        problems, _ = ask(stage, tmp_path / "run", True, **{key: bound})
        assert any(key in problem for problem in problems), (key, bound, problems)


@given(st.data())
@settings(deadline=None, derandomize=True, max_examples=8)
def test_two_faults_are_both_named(data):
    stage = data.draw(st.sampled_from(STAGES))
    keys = [key for key in options(stage) if kind_of(stage, key)[0] in (int, float, bool, "choice")]
    others = {key for key in mixture_keys() if key not in read_mapping(ROOT / "data_mixes/parity-tiny.yaml")}
    keys = [key for key in keys if key not in others]  # of other tasks: no option here
    one, other = data.draw(st.lists(st.sampled_from(keys), min_size=2, max_size=2, unique=True))
    problems, _ = ask(stage, Path("/nowhere/run"), data.draw(st.booleans()), **{one: "nosuch", other: "12abc"})
    assert any(one in problem and "nosuch" in problem for problem in problems), problems
    assert any(other in problem and "12abc" in problem for problem in problems), problems


@given(st.text(max_size=30), st.sampled_from(STAGES))
@settings(deadline=None, derandomize=True, max_examples=15)
def test_an_unknown_key_is_refused(key, stage):
    if key not in {*options(stage), *_RESERVED}:
        problems, _ = ask(stage, Path("/nowhere/run"), False, **{key: 1})
        assert any("is no option of" in problem for problem in problems)


@pytest.mark.parametrize("stage", STAGES)
def test_the_nearest_option_is_suggested(stage, tmp_path):
    for key in options(stage)[::12]:
        problems, _ = ask(stage, tmp_path, False, **{key + "_": 1})
        assert f"did you mean '{key}'" in " ".join(problems)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--max_steps", "3", "--max_steps", "4"], "--max_steps is given twice"),
        (["--max-steps", "3", "--max_steps=4"], "--max_steps is given twice"),
        (["--max_steps"], "max_steps has no value"),
        (["--run_dir", "--move_aside"], "run_dir has no value"),
        (["--run_dir="], "run_dir is empty"),
        (["--max_steps", "3", "4"], "max_steps is ['3', '4']: it takes one value"),
        (["--config", "a.yaml", "b.yaml"], "--config names"),
        (["--config"], "--config names nothing"),
        (["3", "--max_steps", "3"], "cannot read '3'"),
        (["--max_steps", "1.5"], "max_steps is '1.5': it must be a whole number"),
        (["--fp16", "1"], "fp16 is '1': it must be true or false"),
        (["--seed", "-1"], "seed is -1: it must be 0 or more"),
        (["--seed", "1", "2"], "seed is ['1', '2']: it takes one value"),
        (["--", "3"], "is no option of sft"),
        (["--optim", "adamw"], "did you mean"),
        (["--save_steps", "2.5"], "whole number of steps"),
        (["--lr_scheduler_kwargs", "{'a': 1}"], "no JSON object"),
        (["--mixture", "nowhere.yaml"], "mixture is nowhere.yaml, but there is no file"),
    ],
)
def test_words_that_are_no_options(words, said):
    with pytest.raises(ConfigError) as refused:
        parse("sft", "", words)
    assert said in str(refused.value)


def test_what_is_written_on_a_command_line_arrives(tmp_path):
    """Switches, null, YAML's `no`, JSON and lists are what they say."""
    given = {
        "gradient_checkpointing": [],
        "max_length": ["null"],
        "save_total_limit": ["None"],
        "logging_strategy": ["no"],
    }
    given |= {"lr_scheduler_kwargs": ['{"min_lr": 0.1}'], "lora_target_modules": ["a"], "learning_rate": ["1e-3"]}
    base = {**read_mapping(default_config("sft")), "run_dir": str(tmp_path / "run"), "logging_strategy": False}
    request = make_request("sft", base, given, default_config("sft"))
    expected = {"gradient_checkpointing": True, "max_length": None, "save_total_limit": None, "logging_strategy": "no"}
    expected |= {"lr_scheduler_kwargs": {"min_lr": 0.1}, "lora_target_modules": ["a"], "learning_rate": 1e-3}
    assert {key: request.trainer_value(key) for key in expected} == expected


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n == "deep" else n for n in FILES])
def test_a_file_that_is_no_mapping(name, tmp_path):
    content, said = FILES[name]
    path = tmp_path / "file.yaml"
    path.write_bytes(content)
    readers = [read_mapping, read_suite, read_sweep, lambda p: parse("sft", "", ["--config", str(p)])]
    readers.append(lambda p: protocol_named(str(p), "gsm8k"))
    for read in readers:
        with pytest.raises(ConfigError) as refused:
            read(path)
        assert said in str(refused.value)
        assert len(str(refused.value)) < 2000


@pytest.mark.parametrize("name", ["/nowhere/x.yaml", "/", "x" * 5000, "a\0b"])
def test_a_path_that_is_no_file(name):
    for read in (read_mapping, read_suite, read_sweep):
        with pytest.raises(ConfigError):
            read(Path(name))


SWEEP = {"sweep_dir": "s", "stages": {"ntp": {"recipe": "sft", "config": str(default_config("sft"))}}, "figure": []}
SWEEP["stages"]["rl"] = {"recipe": "grpo", "config": str(default_config("grpo")), "after": "ntp", "set": {}, "grid": {}}
PROTOCOL = {"question": "{problem}", "max_new_tokens": 5}


def structured(tmp_path: Path):
    """(what, key, reader of a value of it) of each YAML that is no recipe, for each key that it may hold."""
    path = tmp_path / "file.yaml"

    def file(values):
        path.write_text(yaml.safe_dump(values, allow_unicode=True))
        return path

    def sweep(values):
        check_sweep(read_sweep(file(values), sweep_dir=None))

    for key in _KEYS:
        yield "sweep", key, lambda value, key=key: sweep({**SWEEP, key: value})
    for key in _STAGE_KEYS:
        for stage in ("ntp", "rl"):
            held = {stage: {**SWEEP["stages"][stage]}}
            yield (
                "sweep",
                f"{stage}.{key}",
                lambda value, key=key, held=held, stage=stage: sweep(
                    {**SWEEP, "stages": {**SWEEP["stages"], stage: {**held[stage], key: value}}}
                ),
            )
    for key in [*(f.name for f in dataclasses.fields(Suite) if f.name != "name"), "mixture", "problems"]:
        yield "suite", key, lambda value, key=key: read_suite(file({key: value}))
    for key in (f.name for f in dataclasses.fields(Protocol) if f.name != "name"):
        held = {**PROTOCOL}
        yield (
            "protocol",
            key,
            lambda value, key=key, held=held: protocol_named(
                str(file({"source": "x", "tasks": {"gsm8k": {**held, key: value}}})), "gsm8k"
            ),
        )
    for key in ("source", "tasks"):
        yield (
            "protocol",
            key,
            lambda value, key=key: protocol_named(
                str(file({"source": "x", "tasks": {"gsm8k": PROTOCOL}, key: value})), "gsm8k"
            ),
        )
    for key in (f.name for f in dataclasses.fields(LinearSpec)):
        yield "linear", key, lambda value, key=key: _raise(LinearSpec.from_mapping({key: value})[1])


def _raise(problems):
    if problems:
        raise ConfigError(problems)


@pytest.mark.slow
def test_sweeps_suites_protocols_and_linear_specs(tmp_path, monkeypatch):
    """Each key of each, against everything that a YAML can hold: refused in words, or taken; a mapping where a number belongs never is."""
    monkeypatch.chdir(tmp_path)
    refused = taken_ = 0
    for what, key, read in structured(tmp_path):
        for name, value in ANYTHING.items():
            try:
                read(value)
                taken_ += 1
                assert key == "cost" or what == "protocol" or name not in ("nested", "date", "nul"), (
                    what,
                    key,
                    name,
                )  # cost is for people alone
            except ConfigError:
                refused += 1
    assert (refused > 600, taken_ > 50) == (True, True), (refused, taken_)
    assert {path.name for path in tmp_path.iterdir()} == {"file.yaml"}


# Scripts with a parser: found, and their options with them.
SCRIPTS = [
    path
    for folder in ("recipes", "eval", "data_mixes", "slurm")
    for path in sorted((ROOT / folder).glob("*.py"))
    if "Parser(__doc__)" in path.read_text()
]


@pytest.mark.slow
def test_no_script_has_a_parser_of_its_own():
    for folder in ("recipes", "eval", "data_mixes", "slurm", "src"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.name != "command_line.py":
                calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
                assert not any(ast.unparse(call.func).endswith("ArgumentParser") for call in calls), path
    assert len(SCRIPTS) >= 14


class Found(Exception):
    """A script's parser."""


@pytest.fixture
def script(monkeypatch, tmp_path):
    """Runs a script's `main` in this process, in an empty folder; what signals do afterwards is as before."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)}

    def run(path: Path, words: list[str]) -> None:
        module = importlib.util.module_from_spec(
            found := importlib.util.spec_from_file_location(f"{path.stem}_script", path)
        )
        found.loader.exec_module(module)
        monkeypatch.setattr(sys, "argv", [str(path), *words])
        module.main()

    monkeypatch.chdir(tmp_path)
    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def parser_of(run, path: Path, monkeypatch) -> command_line.Parser:
    def stop(self, *_):
        raise Found(self)

    with monkeypatch.context() as patch:
        patch.setattr(command_line.Parser, "parse_known_args", stop)
        with pytest.raises(Found) as found:
            run(path, [])
    return found.value.args[0]


@pytest.mark.slow
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_every_option_of_every_script(path, script, monkeypatch, tmp_path):
    """A word that is none of its values, and twice: both named, with the option, by one refusal; nothing is written."""
    actions = [a for a in parser_of(script, path, monkeypatch)._actions if "-h" not in a.option_strings]
    needed = []
    for action in actions:
        if action.required:
            needed += [*action.option_strings[:1], "verl" if action.dest == "to" else "/nowhere"]
    for action in actions:
        name = action.option_strings[0] if action.option_strings else None
        rest = [word for i, word in enumerate(needed) if name not in (word, needed[i - 1] if i else "")]
        if name and action.nargs != 0:
            with pytest.raises(ConfigError) as refused:
                script(path, [*rest, name, "a\0b"])
            assert name.lstrip("-") in str(refused.value), name
        if name:
            twice = [name] if action.nargs == 0 else [name, "1"]
            with pytest.raises(ConfigError, match=f"{name} is given twice"):
                script(path, [*rest, *twice, *twice])
    with pytest.raises(ConfigError):  # the first letters of an option are none
        script(path, [*needed, f"{actions[-1].option_strings[0][:-1] if actions[-1].option_strings else '--x'}", "3"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_numbers_of_scripts(path, script, monkeypatch, tmp_path):
    """Options whose default is a number refuse what is none, and say so with everything else."""
    actions = parser_of(script, path, monkeypatch)._actions
    needed = [
        word
        for a in actions
        if a.required
        for word in (*a.option_strings[:1], "verl" if a.dest == "to" else "/nowhere")
    ]
    numbers = [
        a.option_strings[0]
        for a in actions
        if a.option_strings
        and isinstance(a.default, int | float)
        and not isinstance(a.default, bool)
        and a.nargs is None
    ]
    for word in ("nosuch", "nan", "inf", "٣", ""):
        words = [part for name in numbers for part in (name, word)]
        if not words:
            continue
        with pytest.raises(ConfigError) as refused:
            script(path, [*needed, *words])
        assert all(name in str(refused.value) for name in words[::2]), (word, str(refused.value))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_model_folders(tmp_path):
    """A folder whose files are no model's: refused, whatever they hold."""
    folder = tmp_path / "model"
    folder.mkdir()
    contents = [
        b"",
        b"[]",
        b"null",
        b"3",
        b'"x"',
        b"{",
        bytes(range(256)),
        b'{"max_position_embeddings": "x"}',
        b'{"vocab_size": null}',
    ]
    for config in contents:
        for tokenizer in (None, *contents):
            (folder / "config.json").write_bytes(config)
            (folder / "tokenizer.json").unlink(missing_ok=True)
            if tokenizer is not None:
                (folder / "tokenizer.json").write_bytes(tokenizer)
            problems, _ = ask("grpo", tmp_path / "run", True, model_name_or_path=str(folder))
            assert problems, (config, tokenizer)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_what_is_taken_is_taken_by_trl(stage, tmp_path, recwarn):
    """TRL makes its config of whatever was not refused, or says in words why not; and its types are those that its source was read for."""
    import trl

    from rarecot.stages import STAGES as ALL
    from rarecot.training.trl_config import trl_config

    fields = {f.name: f for c in (trl.ModelConfig, getattr(trl, ALL[stage].config)) for f in dataclasses.fields(c)}
    hints = {**typing.get_type_hints(trl.ModelConfig), **typing.get_type_hints(getattr(trl, ALL[stage].config))}
    made, said_by_trl = 0, []
    for key, option in trainer_options(stage).items():
        choices = fields[key].metadata.get("choices")
        assert not choices or set(option.choices) <= set(choices), key
        said = str(hints[key])
        lower = [kind.split("[")[0] for kind in option.kinds if kind[0].islower()]
        assert option.choices or all(kind in said for kind in lower), (key, said)
        for value in (0, 1, 2, 0.5, True, False, None, "x", "1e-3", {"a": 1}, ["a", "b"], 1000, *option.choices):
            problems, request = ask(stage, tmp_path / "run", False, **{key: value})
            if problems:
                continue
            try:
                config, model = trl_config(request)
            except ConfigError as refused:
                said_by_trl.append(str(refused))
                continue
            made += 1
            got = getattr(config, key, getattr(model, key, None))
            assert got is not None or request.trainer[key] is None or not isinstance(value, int), (key, value, got)
    assert made > 300
    assert all("TRL" in text or "GPUs at once" in text for text in said_by_trl)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_no_refusal_imports_torch():
    """All options of all stages, in a process of its own."""
    code = (
        "import sys; sys.path.insert(0, 'tests/attacks'); from pathlib import Path\n"
        "from rarecot.errors import ConfigError\n"
        "from rarecot.mixtures.spec import mixture_keys, read_mapping\n"
        "from rarecot.training.arguments import ARGUMENTS\n"
        "from rarecot.training.options import trainer_options\n"
        "from rarecot.training.request import default_config, make_request\n"
        "for stage in ARGUMENTS:\n"
        "    for key in [*vars(ARGUMENTS[stage]()), *mixture_keys(), *trainer_options(stage)]:\n"
        "        try:\n"
        "            make_request(stage, read_mapping(default_config(stage)), {key: ['nosuch']}, default_config(stage))\n"
        "        except ConfigError:\n"
        "            pass\n"
        "assert not {'torch', 'transformers', 'trl', 'datasets', 'vllm'} & set(sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_real_commands(words, tmp_path):
    """Exit code 2, every fault named, no traceback, no file, in less than 2 s more than Python itself takes."""
    started = time.perf_counter()
    run_command("python", "-c", "import yaml, numpy, tokenizers", cwd=tmp_path)
    base = time.perf_counter() - started
    words = [str(ROOT / word) if "/" in word and (ROOT / word).exists() and word[0] != "/" else word for word in words]
    started = time.perf_counter()
    result = run_command("python", *words, cwd=tmp_path)
    seconds = time.perf_counter() - started
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert "Nothing was run" in result.stderr
    assert seconds < 2 + base, result.stderr
    assert list(tmp_path.iterdir()) == []


def test_every_range_and_choice_belongs_to_an_option():
    """The tables name no option that there is none of any more."""
    known = {key for stage in STAGES for key in [*vars(ARGUMENTS[stage]()), *mixture_keys(), *trainer_options(stage)]}
    assert set(INTERVALS) | set(CHOICES) <= known
    assert all(not math.isnan(float(end)) for interval in INTERVALS.values() for end in interval[1:-1].split(","))
