from rarecot.evaluation import records
from rarecot.training.verdict import verdict


def record(stage, step, accuracy, length, n=256):
    return {
        "stage": stage,
        "step": step,
        "seed": 0,
        "split": "test",
        "decoding": "greedy",
        "n": n,
        "accuracy": accuracy,
        "length_median": length,
        "sequences_seen": 256 * step,
    }


def test_rl_is_held_against_the_end_of_ntp(tmp_path):
    assert "nothing was evaluated" in verdict(tmp_path)
    for made in (record("sft", 0, 0.0, 51), record("sft", 100, 0.51, 1, n=1024)):
        records.append(tmp_path, made)
    assert verdict(tmp_path).endswith("greedy 0% → 51%, median length 51 → 1, 25 600 NTP demonstrations")
    for made in (record("grpo", 0, 0.44, 1), record("grpo", 30, 1.0, 50, n=1024)):
        records.append(tmp_path, made)
    assert verdict(tmp_path).endswith("greedy 51% → 100%, median length 1 → 50, 7 680 GRPO samples")
