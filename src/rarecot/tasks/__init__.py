"""Tasks: what is asked, and its short and long demonstrations. One file a task, one line here."""

from rarecot.tasks.base import Task
from rarecot.tasks.parity import Parity

TASKS: dict[str, type[Task]] = {"parity": Parity}

__all__ = ["TASKS", "Parity", "Task"]
