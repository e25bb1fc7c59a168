"""Which checkpoints count, and in which order: on folders as stages leave them."""

import json
import struct

import pytest

from rarecot import checkpoints, model_files


def saved(stage_dir, step, whole=True, max_steps=100):
    folder = stage_dir / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step, "max_steps": max_steps}))
    if whole:
        checkpoints.stamp(folder, {"step": step})
    return folder


def test_checkpoints_come_in_the_order_of_their_steps_and_only_whole_ones(tmp_path):
    stage = tmp_path / "sft"
    nine, hundred, ten = (saved(stage, step) for step in (9, 100, 10))
    half = saved(stage, 200, whole=False)
    (stage / "checkpoint-300.part").mkdir()
    assert checkpoints.complete(stage) == [nine, ten, hundred]
    assert checkpoints.newest(stage) == hundred
    assert checkpoints.incomplete(tmp_path) == [half]


def test_a_stage_goes_on_from_the_newest_wherever_it_lies(tmp_path):
    assert checkpoints.resumable(tmp_path) is None
    saved(tmp_path, 9)
    ten = saved(tmp_path, 10)
    assert checkpoints.resumable(tmp_path) == ten
    apart = saved(tmp_path / checkpoints.STOPPED, 12)
    saved(tmp_path / checkpoints.STOPPED, 13, whole=False)
    assert checkpoints.resumable(tmp_path) == apart
    assert checkpoints.newest(tmp_path) == ten
    regular = saved(tmp_path, 20)
    assert checkpoints.resumable(tmp_path) == regular


def test_the_last_is_known_by_its_trainer_or_its_stamp(tmp_path):
    assert not checkpoints.is_last(saved(tmp_path / "a", 99))
    last = saved(tmp_path / "a", 100)
    assert checkpoints.is_last(last)
    checkpoints.stamp(last, {"is_last": False})  # a round of STaR, before its evaluation
    assert not checkpoints.is_last(last)


@pytest.mark.parametrize(("missing", "faults"), [(0, 0), (1, 1), (15, 1), (16, 1), (40, 1)])
def test_weights_that_end_too_early_are_damaged(tmp_path, missing, faults):
    header = json.dumps({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    whole = struct.pack("<Q", len(header)) + header + bytes(16)
    (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) - missing])
    assert len(model_files.damage(tmp_path)) == faults


def test_the_newest_are_kept_and_a_half_removed_one_counts_no_more(tmp_path, monkeypatch):
    for step in (2, 10, 9, 30):
        saved(tmp_path, step)
    saved(tmp_path, 40, whole=False)
    (tmp_path / "checkpoint-2" / "trainer_state.json").touch()  # the last to be changed, and still the oldest
    checkpoints.keep_newest(tmp_path, None)
    checkpoints.keep_newest(tmp_path, 0)
    assert len(checkpoints.complete(tmp_path)) == 4
    checkpoints.keep_newest(tmp_path, 3)
    assert [checkpoints.step_of(folder) for folder in checkpoints.complete(tmp_path)] == [9, 10, 30]

    def killed(folder):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            checkpoints.keep_newest(tmp_path, 2)
    assert (tmp_path / "checkpoint-9").is_dir()
    assert [checkpoints.step_of(folder) for folder in checkpoints.complete(tmp_path)] == [10, 30]
    checkpoints.remove_incomplete(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-30"]
