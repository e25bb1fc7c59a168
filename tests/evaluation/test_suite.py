import pytest
from conftest import DATA

from rarecot.errors import ConfigError
from rarecot.evaluation.questions import questions_of
from rarecot.evaluation.suite import Suite, read_suite


def suite(tmp_path, text, name="mine"):
    path = tmp_path / f"{name}.yaml"
    path.write_text(text)
    return path


def gsm8k(tmp_path, golds=("7", "8"), prompts=("A?", "B?"), name="data"):
    folder = tmp_path / name
    folder.mkdir()
    rows = [f'{{"question": "{p}", "answer": "so\\n#### {gold}"}}\n' for p, gold in zip(prompts, golds, strict=True)]
    (folder / "test.jsonl").write_text("".join(rows))
    return folder


def test_published_problems_give_a_suite_its_name(tmp_path):
    path = suite(
        tmp_path, f"problems: {{task: gsm8k, source: {DATA / 'gsm8k'}}}\nn: 3\nk: [1, 2]\nsamples: 2\n", "mine"
    )
    found, spec = read_suite(path)
    assert (found.name, found.n, found.k, found.ks) == ("mine", 3, (1, 2), (1, 2))
    assert spec.task.source == str(DATA / "gsm8k")
    assert Suite(samples=8).ks == (1, 2, 4, 8)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("samples: 4\nk: [1, 8]\n", "pass@8 cannot be estimated from fewer than 8"),
        ("problems: {task: parity}\n", "no corpus with a test split"),
        ("problems: {task: gsm8k, source: x, p_cot: 0.5}\n", "p_cot belong to a mixture"),
        ("problems: {task: gsm8k, source: x}\nsplit: rl\n", "are a test split"),
        ("problems: gsm8k\n", "must hold `task:`"),
        ("problems: {task: gsm8k, source: x}\nmixture: data_mixes/gsm8k.yaml\n", "names a mixture and problems"),
        ("name: mine\n", "'name' is no option"),
        ("k: [many]\n", "whole number"),
    ],
)
def test_a_wrong_suite_is_refused(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said):
        read_suite(suite(tmp_path, text))


def ask(source, tmp_path, **options):
    found, spec = read_suite(suite(tmp_path, f"problems: {{task: gsm8k, source: {source}}}\n"))
    return questions_of(found, spec)


def test_a_test_split_alone_can_be_asked(tmp_path):
    questions = ask(gsm8k(tmp_path), tmp_path)
    assert list(questions.rows["prompt"]) == ["A?", "B?"]
    assert questions.suite.n == 2


def test_repeated_problems_stay_as_they_were_published(tmp_path):
    assert len(ask(gsm8k(tmp_path, prompts=("A?", "A?")), tmp_path).rows) == 2


def test_golds_that_cannot_be_parsed_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"1 of 2 gold answers .* cannot be compared with anything: gsm8k-.*\\\\frac"):
        ask(gsm8k(tmp_path, golds=("7", "\\\\\\\\frac{1}{")), tmp_path)
