"""A recognised line as the worker takes it."""

from typing import Any

from aiosd.policy.program import DiscardTo, DuplicateTo, Joiner, Pipeline, ReadFrom, Redirect, Simple, Word


def render_stages(pipeline: Pipeline) -> tuple[tuple[Any, ...], ...]:
    """A pipeline as the worker takes it: marshal-able tuples."""
    return tuple(_render_stage(stage) for stage in pipeline.stages)


def _render_stage(stage: Simple) -> tuple[Any, ...]:
    return tuple(map(_render_word, stage.argv)), tuple(map(_render_redirect, stage.redirects))


def _render_word(word: Word) -> tuple[str, str | None, bool]:
    return word.text, word.pattern, word.home


def _render_redirect(redirect: Redirect) -> tuple[Any, ...]:
    match redirect:
        case DiscardTo():
            return "discard", redirect.fd
        case DuplicateTo():
            return "duplicate", redirect.fd, redirect.source
        case ReadFrom():
            return "read", 0, _render_word(redirect.path)


def skips(joiner: Joiner, status: int) -> bool:
    """Whether a pipeline is passed over after that status of the one before it."""
    return (joiner is Joiner.AND and status != 0) or (joiner is Joiner.OR and status == 0)
