"""Which checkpoints count, and in which order: on folders as stages leave them."""

import json
import struct

import pytest

from rarecot import checkpoints


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
    assert len(checkpoints.damage(tmp_path)) == faults
