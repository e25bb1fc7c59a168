import json
from dataclasses import replace
from itertools import islice, pairwise

import pytest
from datasets import Dataset, load_from_disk

from rarecot.errors import ConfigError
from rarecot.mixtures.build import build, column, load
from rarecot.mixtures.spec import MixtureSpec
from rarecot.tasks import Parity


def spec(**changes):
    options = {"task": Parity(d=12), "p_cot": 0.25, "n": 100, "n_rl": 30, "n_test": 20, "seed": 3}
    return MixtureSpec(**{**options, **changes})


def block(mixture, index=0):
    n = mixture.spec.n
    return list(islice(mixture.train, index * n, (index + 1) * n))


@pytest.mark.parametrize("online", [False, True])
@pytest.mark.parametrize(
    ("p_cot", "n"), [(0, 100), (1, 100), (0.25, 100), (0.1, 10), (0.5, 101), (0.013, 1000), (1 / 3, 99), (0.29, 100)]
)
def test_share_is_exact(p_cot, n, online):
    mixture = build(spec(p_cot=p_cot, n=n, online=online))
    for index in (0, 1) if online else (0,):
        rows = block(mixture, index)
        assert sum(row["kind"] == "long" for row in rows) == round(p_cot * n)
    assert mixture.manifest["n_long"] == round(p_cot * n)
    assert mixture.manifest["p_cot_realised"] == round(p_cot * n) / n


@pytest.mark.parametrize("online", [False, True])
def test_raising_p_cot_only_turns_short_into_long(online):
    shares = [0.0, 0.05, 0.25, 0.26, 0.8, 1.0]
    task = Parity(d=12, chain_noise=0.1)
    by_share = [block(build(spec(task=task, p_cot=p, online=online)), int(online)) for p in shares]
    for lower, higher in pairwise(by_share):
        assert [row["problem_id"] for row in lower] == [row["problem_id"] for row in higher]
        assert not any(a["kind"] == "long" and b["kind"] == "short" for a, b in zip(lower, higher, strict=True))
        assert all(a == b for a, b in zip(lower, higher, strict=True) if a["kind"] == b["kind"])


def test_columns_hold_what_they_say():
    mixture = build(spec())
    for row in mixture.train:
        bits = row["prompt"].removesuffix("=")
        assert row["answer"] == str(bits.count("1") % 2)
        assert len(row["completion"]) == (12 if row["kind"] == "long" else 1)
        assert row["completion"][-1] == row["answer"]
        assert row["problem_id"] == f"parity-{bits}"
    assert mixture.train.column_names == ["prompt", "completion", "answer", "kind", "problem_id"]
    assert mixture.rl.column_names == ["prompt", "answer", "long", "short", "style", "problem_id"]


@pytest.mark.parametrize("online", [False, True])
def test_splits_are_disjoint_even_when_they_fill_the_space(online):
    # 64 problems of 6 bits: 20 + 20 held out leave 24 for training
    mixture = build(spec(task=Parity(d=6), n=24, n_rl=20, n_test=20, p_cot=0.5, online=online))
    rl, test = set(column(mixture.rl, "problem_id")), set(column(mixture.test, "problem_id"))
    train = {row["problem_id"] for row in islice(mixture.train, 240)}
    assert len(rl) == len(test) == 20
    assert not rl & test
    assert not train & (rl | test)


def test_same_seed_same_mixture_other_seed_another():
    first, again, other = build(spec()), build(spec()), build(spec(seed=4))
    assert first.manifest == again.manifest
    assert first.manifest["sha256"] != other.manifest["sha256"]
    assert first.train[:]["prompt"] != other.train[:]["prompt"]


def test_online_stream_restarts_the_same_and_has_fresh_blocks():
    mixture = build(spec(online=True, task=Parity(d=40)))
    assert block(mixture, 0) == block(mixture, 0)
    ids = [row["problem_id"] for row in islice(mixture.train, 500)]
    assert len(set(ids)) == 500


def test_resizing_training_leaves_the_other_splits_alone():
    small, large = build(spec(n=10)), build(spec(n=1000))
    assert small.test[:] == large.test[:]
    assert small.rl[:] == large.rl[:]


def test_hash_notices_the_share_and_the_noise():
    hashes = {build(s).manifest["sha256"] for s in (spec(), spec(p_cot=0.26), spec(task=Parity(12, chain_noise=0.1)))}
    assert len(hashes) == 3


@pytest.mark.parametrize("split", ["fixed", "rl", "test"])
def test_hash_notices_every_cell_of_every_split(split):
    mixture = build(spec(n=6, n_rl=5, n_test=4))
    rows = getattr(mixture, split)
    hashes = {mixture.manifest["sha256"]}
    for name in rows.column_names:
        columns = {**rows[:], name: [*rows[name][:-1], rows[name][-1] + "0"]}
        hashes.add(replace(mixture, **{split: Dataset.from_dict(columns)}).manifest["sha256"])
    assert len(hashes) == 1 + len(rows.column_names)


def test_saved_mixture_reads_back(tmp_path):
    mixture = build(spec())
    mixture.save(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert {"task", "n", "n_long", "p_cot", "p_cot_realised", "seed", "sha256", "dropped"} <= set(manifest)
    assert manifest["completion_characters"]["long"] == {"n": 25, "min": 12, "median": 12.0, "p95": 12.0, "max": 12}
    assert load_from_disk(tmp_path)["train"].num_rows == 100
    again = load(tmp_path)
    assert again.manifest == mixture.manifest
    assert again.train[:] == mixture.train[:]


def test_changed_data_are_refused(tmp_path):
    build(spec()).save(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "sha256": "0" * 64}))
    with pytest.raises(ConfigError, match="not those"):
        load(tmp_path)


def test_overlap_in_built_data_is_refused(tmp_path):
    from datasets import DatasetDict

    build(spec()).save(tmp_path / "a")
    splits = load_from_disk(tmp_path / "a")
    DatasetDict({**splits, "test": splits["rl"]}).save_to_disk(tmp_path / "b")
    (tmp_path / "b" / "manifest.json").write_text((tmp_path / "a" / "manifest.json").read_text())
    with pytest.raises(ConfigError, match="share 30 problems"):
        load(tmp_path / "b")
