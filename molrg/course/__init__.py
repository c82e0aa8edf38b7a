"""Self-checks of the exercises: `check` says "right", or what is off, never the solution."""

from molrg.course.compare import Off
from molrg.course.registry import Result, check, registered, self_check

__all__ = ["Off", "Result", "check", "registered", "self_check"]
