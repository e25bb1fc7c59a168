"""One line at the end of a stage: what changed, in numbers."""

from pathlib import Path

from rarecot.evaluation import records


def verdict(run_dir: Path) -> str:
    """For example: `greedy 51 % → 100 %, median length 1 → 50, 9 600 GRPO samples`.

    An RL stage is held against the last evaluation of next-token prediction, which asked the same problems; a stage
    without one before it against its own first.
    """
    own = [r for r in records.read(run_dir) if r["split"] == "test" and records.is_own(r)]
    greedy = [r for r in own if r["decoding"] == "greedy"]
    if not greedy:
        return f"{run_dir}: nothing was evaluated."
    last = greedy[-1]
    before = [r for r in greedy if r["stage"] == "sft" != last["stage"]]
    first = before[-1] if before else next(r for r in greedy if r["stage"] == last["stage"])
    seen = f"{last['sequences_seen']:,}".replace(",", " ")
    what = "demonstrations" if last["stage"] == "sft" else "samples"
    return (
        f"{run_dir}: greedy {first['accuracy']:.0%} → {last['accuracy']:.0%}, median length "
        f"{first['length_median']:g} → {last['length_median']:g}, {seen} {records.STAGE_NAMES[last['stage']]} {what}"
    )
