"""A protocol's prompts: the problem behind its examples, as text or as a chat."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rarecot.errors import ConfigError
from rarecot.evaluation.protocols.protocol import PROBLEM, SOLUTION, Example, Protocol
from rarecot.rendering import chat_texts
from rarecot.tasks.corpus import problem_id


@dataclass(frozen=True)
class Prompts:
    """Renders problems as a protocol asks them; takes the place of `rarecot.rendering.Template`.

    Args:
        protocol: one with a question.
        drawn: problem → the examples drawn for it; empty where the protocol draws none.
    """

    protocol: Protocol
    drawn: Mapping[str, tuple[Example, ...]]

    def texts(self, tokenizer: Any, prompts: Sequence[str]) -> list[str]:
        """The prompts as text which the tokenizer, adding its special tokens, turns into the ids that a model reads."""
        if self.is_chat(tokenizer):
            return chat_texts(tokenizer, [self._turns(prompt) for prompt in prompts])
        return [self._plain(prompt) for prompt in prompts]

    def is_chat(self, tokenizer: Any) -> bool:
        """Whether this tokenizer's chat template is used."""
        return self.protocol.chat == "always" or (self.protocol.chat == "auto" and bool(tokenizer.chat_template))

    def stop(self, tokenizer: Any) -> tuple[str, ...]:
        """The strings that end a response."""
        return self.protocol.stop if self.protocol.stop_in_chat or not self.is_chat(tokenizer) else ()

    def examples(self, prompt: str) -> tuple[Example, ...]:
        """The worked examples before a problem."""
        return self.drawn[prompt] if self.protocol.draw else self.protocol.examples

    def _question(self, problem: str) -> str:
        return self.protocol.question.replace(PROBLEM, problem)

    def _answer(self, example: Example) -> str:
        return self.protocol.answer.replace(SOLUTION, example.solution)

    def _turns(self, prompt: str) -> list[dict[str, str]]:
        turns = [{"role": "system", "content": self.protocol.system}] if self.protocol.system else []
        for example in self.examples(prompt):
            turns.append({"role": "user", "content": self._question(example.problem)})
            turns.append({"role": "assistant", "content": self._answer(example)})
        return [*turns, {"role": "user", "content": self._question(prompt)}]

    def _plain(self, prompt: str) -> str:
        system = [self.protocol.system] if self.protocol.system else []
        examples = [self._question(e.problem) + self._answer(e) for e in self.examples(prompt)]
        return self.protocol.separator.join([*system, *examples, self._question(prompt)])


def prompts_of(protocol: Protocol, problems: Sequence[str], training: Sequence[Example]) -> Prompts:
    """The prompts of a protocol, its examples drawn where it draws them.

    Args:
        protocol: one with a question.
        problems: the whole test split, in its own order.
        training: the whole training split, in its own order; may be empty where nothing is drawn.

    Raises:
        ConfigError: fewer training problems than examples.
    """
    if not protocol.draw:
        return Prompts(protocol, {})
    if len(training) < protocol.draw:
        raise ConfigError(
            [
                f"protocol {protocol.name} draws {protocol.draw} examples for each problem, but the source's training split has "
                f"{len(training)}. Name a source with train.jsonl in it, or another protocol."
            ]
        )
    generator = random.Random(protocol.draw_seed)
    order = list(range(len(problems)))
    generator.shuffle(order)
    drawn = {problems[i]: tuple(generator.sample(training, protocol.draw)) for i in order}
    return Prompts(protocol, drawn)


def examples_of_themselves(prompts: Prompts, problems: Sequence[str]) -> list[str]:
    """The sentence for problems that are asked behind an example which is the problem itself, solution included; or none.

    Args:
        prompts: of the protocol.
        problems: what is asked.
    """
    told = []
    for problem in problems:
        asked = problem_id("", problem)
        if any(problem_id("", example.problem) == asked for example in prompts.examples(problem)):
            told.append(problem)
    if not told:
        return []
    return [
        f"protocol {prompts.protocol.name} shows {len(told)} of {len(problems)} problems their own solution as an example, for example "
        f"{told[0][:80]!r}. Take them out of the test problems, or out of what examples come from."
    ]
