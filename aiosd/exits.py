"""The exit statuses of every command of ours, and nothing else: the thin clients import this.

Source: sysexits(3) where it has a fitting number; 79 to 81, 124 and 130 by the custom of such tools.
"""

OK = 0  # done
FAILED = 1  # the task failed
USAGE = 64  # the command line is wrong
BAD_INPUT = 65  # the request was understood and is not possible
UNREACHABLE = 69  # no daemon, or no model
INTERNAL = 70  # a bug of ours
RETRY_LATER = 75  # busy, or a limit
DENIED = 77  # refused by policy or by a person
BROKEN = 78  # configuration, sandbox or storage
NOBODY_TO_ASK = 79  # an approval was needed and nobody answered
BUDGET = 80  # steps, tokens or seconds used up
TIMEOUT = 124  # a command ran out of time
INTERRUPTED = 130  # cancelled
