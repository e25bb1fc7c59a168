"""The overlay during a run: says what is to be expected as soon as it can be said, and raises an alarm when it does not come."""

from typing import Any

import yaml

from rarecot.evaluation import records
from rarecot.forecast import overlay, paths
from rarecot.forecast.overlay import Expected
from rarecot.forecast.paths import FITTED
from rarecot.theory.predict import GUESS_RATES
from rarecot.training.run import CONFIG, Run

AHEAD = 64  # rounds that an expectation is computed for at least
WATCHED = 64  # last rounds that an alarm is looked for in: its cost is the same at every round


class Live:
    """Watches a stage's rollouts, on rank 0.

    Args:
        run: the open run, whose config has been written.
    """

    def __init__(self, run: Run):
        self.stage = run.request.stage
        self.config: dict[str, Any] = yaml.safe_load((run.dir / CONFIG).read_text())[self.stage]
        self.run = run
        # Read when the first batch comes: evaluations before RL are made until then.
        self.evaluations: list[dict[str, Any]] = []
        self.rounds: dict[int, dict[str, Any]] | None = None
        self.asked = paths.asked_of(self.stage, self.config, GUESS_RATES.get(run.mixture.manifest["task"]))
        self.expected: Expected | None = None

    def usual(self) -> tuple[float, float]:
        """Share of right answers among long and short responses before RL; 0 where it is not known."""
        before = self._before()
        known = (before.success_long, before.success_short) if before else (None, None)
        return tuple(share.value if share else 0.0 for share in known)

    def __call__(self, record: dict[str, Any]) -> None:
        """A batch of rollouts was recorded (and is in the run's records)."""
        now = record["round"]
        rounds = self._rounds()
        rounds.setdefault(now, record)
        before = self._before()
        # A run that was killed and resumes may have recorded rounds that now come again.
        rollouts = [rounds[n] for n in sorted(rounds) if n <= now]
        if before is None or self.asked.not_modelled:
            return
        if self.expected is None or len(self.expected.middle) <= now:
            first = self.expected is None
            self.expected = overlay.expect(before, self.asked, rollouts, max(AHEAD, 2 * now))
            if (
                first and self.expected is not None and now == (0 if self.stage == "star" else FITTED)
            ):  # once a run: each round of STaR has a watch of its own
                print(self._announced(self.expected, now), flush=True)
        for alarm in overlay.alarms(
            before, self.asked, rollouts, self.expected, self.config, since=max(0, len(rollouts) - WATCHED)
        ):
            if alarm.round == now:
                print(f"ALARM {alarm}", flush=True)

    def _rounds(self) -> dict[int, dict[str, Any]]:
        """Round → its rollouts' record."""
        if self.rounds is None:
            known = records.read(self.run.dir)
            self.evaluations = [record for record in known if record["split"] != "rollouts"]
            self.rounds = {record["round"]: record for record in overlay.by_round(known, self.stage)}
        return self.rounds

    def _before(self) -> paths.Before | None:
        rounds = self._rounds()
        known = [*self.evaluations, *([rounds[0]] if 0 in rounds else [])]
        return paths.before_of(known, self.stage, self.asked.temperature, self.config.get("starts_from"))

    def _announced(self, expected: Expected, now: int) -> str:
        said = [
            f"{expected.low[n]:.0%}–{expected.high[n]:.0%} at round {n}" for n in sorted({now + 1, now + 5, now + 20})
        ]
        return f"expected share of long rollouts ({expected.words}): {', '.join(said)}"
