"""`python -m bench [NAME ...]`: measure, each figure with its floor beside it in the same run."""

import sys

from bench import activation, client, confine, egress, memory, policy, step, turn, understanding

_MEASURES = {
    "client": ("The client, and a whole warm question", client.measure, 40),
    "confine": ("A confined command, and beside it others of the kind", confine.measure, 100),
    "egress": ("The proxy's throughput", egress.measure, 12),
    "policy": ("Decisions of the policy", policy.measure, 20),
    "step": ("A further confined command in a turn", step.measure, 100),
    "turn": ("A whole turn of a model behind HTTP", turn.measure, 20),
    "activation": ("From a cold socket to the first answer", activation.measure, 10),
    "understanding": ("What the built-in model adds to a question", understanding.measure, 3),
    "memory": ("Idle memory", memory.measure, 1),
}


def main() -> None:
    """Run what is named, or everything."""
    wanted = sys.argv[1:] or list(_MEASURES)
    unknown = [name for name in wanted if name not in _MEASURES]
    if unknown:
        sys.exit(f"bench: there is no {unknown[0]}; there are {', '.join(_MEASURES)}")
    for name in wanted:
        title, measure, rounds = _MEASURES[name]
        print(f"\n{title}\n")
        print(measure(rounds))


main()
