"""Readable names for sessions: adjective-adjective-surname, of people who made computing."""

import random
import re
from collections.abc import Iterator

from aiosd.errors import InvalidRequestError

_ADJECTIVES = (
    "able agile amber ample apt austere avid aware azure bold brave breezy bright brisk calm candid careful "
    "cheerful civil clear clever cool cosy crisp curious daring deft direct dry eager early earnest easy even "
    "exact fair fast fine firm fluent fond frank free fresh gentle glad golden good grand green happy hardy "
    "honest humble ideal jolly keen kind late level light lively loyal lucid lucky mellow merry mild modest neat "
    "nimble noble novel open patient plain polite prime prompt proper proud quick quiet rapid rare ready rich "
    "ripe robust rosy round royal safe sharp silent simple sincere sleek smart smooth snug sober solid sound "
    "spare stable steady still stout sunny sure sweet swift tame tidy true upbeat urban vivid warm wide wise "
    "witty young zesty"
).split()
_SURNAMES = (
    "aiken allen amdahl atanasoff babbage backus bartik bernstein boole borg brooks cerf church clarke codd cray "
    "dahl dijkstra eckert engelbart estrin floyd goldberg gray hamilton hamming hoare holberton holmes hopper "
    "huffman huskey iverson jacobson johnson kahn kay kernighan kilburn kleene knuth lamarr lamport landin liskov "
    "lovelace mauchly mccarthy mcilroy meltzer milner minsky moore morris naur neumann noyce nygaard ousterhout "
    "pascal perlis perlman ritchie ross sammet scott shannon snyder spence stallman stonebraker strachey "
    "sutherland tanenbaum tarjan thompson torvalds turing wilkes wirth wescoff zuse"
).split()


_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_ID = re.compile(r"[0-9a-f]{26}")


def check_name(name: str) -> None:
    """InvalidRequestError for what a session cannot be called."""
    if not _NAME.fullmatch(name) or _ID.fullmatch(name):
        raise InvalidRequestError(f"{name!r} is no name", hint="use up to 40 small letters, digits and - between them")


def propose_names(count: int = 4) -> Iterator[str]:
    """`count` names, the last with a number, so that one of them is free."""
    chosen = random.SystemRandom()
    for index in range(count):
        first, second = chosen.sample(_ADJECTIVES, 2)
        name = f"{first}-{second}-{chosen.choice(_SURNAMES)}"
        yield name if index < count - 1 else f"{name}-{chosen.randrange(10_000):04d}"
