"""Tasks: what is asked, and its short and long demonstrations. One file a task, one line here."""

from rarecot.tasks.base import Corpus, Generated, Loaded, Task
from rarecot.tasks.blend import Blend
from rarecot.tasks.gsm8k import Gsm8k
from rarecot.tasks.hendrycks import Math
from rarecot.tasks.multiplication import Multiplication
from rarecot.tasks.own import Jsonl
from rarecot.tasks.parity import Parity
from rarecot.tasks.parity_words import ParityWords

TASKS: dict[str, type[Task]] = {
    "parity": Parity,
    "multiplication": Multiplication,
    "parity_words": ParityWords,
    "gsm8k": Gsm8k,
    "math": Math,
    "jsonl": Jsonl,
    "blend": Blend,
}

__all__ = [
    "TASKS",
    "Blend",
    "Corpus",
    "Generated",
    "Gsm8k",
    "Jsonl",
    "Loaded",
    "Math",
    "Multiplication",
    "Parity",
    "ParityWords",
    "Task",
]
