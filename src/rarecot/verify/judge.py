"""Responses → verdicts."""

from collections.abc import Sequence

from rarecot.parsing import STYLES, parse
from rarecot.types import Verdict
from rarecot.verify.compare import at_once, readable_at_once
from rarecot.verify.pool import Pool, shared


def verify(gold: str, response: str, style: str) -> Verdict:
    """Whether a response answers a problem; see `verify_all`."""
    return verify_all([gold], [response], [style])[0]


def verify_all(
    golds: Sequence[str], responses: Sequence[str], styles: Sequence[str], pool: Pool | None = None
) -> list[Verdict]:
    r"""Whether responses answer their problems.

    The answer is what the response marks as such (`rarecot.parsing`): the last `#### …` or the last `\boxed{…}`. It is
    right when it is the same mathematical object as the gold; in an exact style, only when it is the same string.

    Args:
        golds: B gold answers.
        responses: B decoded responses, without special tokens.
        styles: B keys of `rarecot.parsing.STYLES`.
        pool: the processes that do algebra; those of this process where None.

    Returns:
        For each `correct`, `wrong` (also: marked, but empty or never closed), `no_answer` (nothing is marked),
        `timed_out`, or `unparseable_gold` (nothing could be held against it).
    """
    verdicts: dict[int, Verdict] = {}
    open_pairs: dict[int, tuple[str, str | None]] = {}
    for i, (gold, response, style) in enumerate(zip(golds, responses, styles, strict=True)):
        answer = parse(response, style).answer
        if answer is None:
            verdicts[i] = "no_answer"
        elif STYLES[style].exact:
            verdicts[i] = "correct" if answer == gold else "wrong"
        elif (decided := at_once(gold, answer)) is not None:
            verdicts[i] = "correct" if decided else "wrong"
        else:
            open_pairs[i] = (gold, answer)
    if open_pairs:
        found = (pool or shared()).compare(list(open_pairs.values()))
        verdicts |= dict(zip(open_pairs, found, strict=True))
    return [verdicts[i] for i in range(len(golds))]


def judge(response: str, gold: str, style: str, finished: bool = True) -> Verdict:
    """Whether a completed response answers a problem; see `judge_all`."""
    return judge_all([response], [gold], [style], [finished])[0]


def judge_all(
    responses: Sequence[str], golds: Sequence[str], styles: Sequence[str], finished: Sequence[bool]
) -> list[Verdict]:
    """Verdicts, where a response that was cut off is `truncated`, whatever it says by then: the answer is what the model
    ends on, and it did not end."""
    ended = [i for i, end in enumerate(finished) if end]
    found = verify_all([golds[i] for i in ended], [responses[i] for i in ended], [styles[i] for i in ended])
    verdicts: list[Verdict] = ["truncated"] * len(responses)
    for i, verdict in zip(ended, found, strict=True):
        verdicts[i] = verdict
    return verdicts


def ungradable(golds: Sequence[str], pool: Pool | None = None) -> list[int]:
    """Positions of the golds that nothing can be compared with: empty, or not to be read as number, word or formula."""
    at_first_sight = {i: readable_at_once(gold) for i, gold in enumerate(golds)}
    unsure = [i for i, readable in at_first_sight.items() if readable is None]
    if unsure:
        found = (pool or shared()).compare([(golds[i], None) for i in unsure])
        at_first_sight |= {i: verdict != "unparseable_gold" for i, verdict in zip(unsure, found, strict=True)}
    return [i for i, readable in sorted(at_first_sight.items()) if not readable]
