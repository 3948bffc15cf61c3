"""Nothing is left behind."""

from tests.leaks import nothing_left

__all__ = ["nothing_left"]
