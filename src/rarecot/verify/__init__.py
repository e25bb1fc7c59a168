"""Is an answer right? Our own door in front of math-verify."""

from rarecot.verify.compare import normal_form
from rarecot.verify.judge import judge, judge_all, ungradable, verify, verify_all

__all__ = ["judge", "judge_all", "normal_form", "ungradable", "verify", "verify_all"]
