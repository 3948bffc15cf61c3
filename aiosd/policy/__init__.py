from aiosd.policy.recogniser import recognise
from aiosd.policy.program import Program
