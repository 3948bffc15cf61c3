"""What a program given to an interpreter as text plainly runs or removes: constants handed to a call that does.

`os.system("rm -rf /")`, `subprocess.run(["rm", "-rf", "/"])`, `shutil.rmtree("/")`. For what is denied only: it finds
what is written out, in whichever language, and cannot know what a program computes. Pure, linear.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

_STRING: Final = r"""(?:"[^"\n]*"|'[^'\n]*')"""
_RUNS: Final = re.compile(
    r"(?:\b(?:system|execute|exec[a-zA-Z]*|spawn[a-zA-Z]*|popen[234]?|Popen|run|call|check_call|check_output|shell_exec"
    rf"|passthru|getoutput|getstatusoutput)[\s(\[{{]*|\|\s*)({_STRING}(?:[,\s]+{_STRING})*)"
)
_BACKTICKS: Final = re.compile(r"`([^`\n]*)`")
_REMOVES: Final = re.compile(
    rf"\b(?:rmtree|rm_rf|rm_r|rmSync|rmdirSync|remove_tree|remove_entry_secure|rimraf|remove_dir_all)[\s(\[]*({_STRING})"
)
_STRINGS: Final = re.compile(_STRING)


def texts_run(text: str) -> Iterator[str]:
    """Each constant that it hands to a shell or starts as a command, as shell text."""
    for found in _RUNS.finditer(text):
        yield " ".join(string[1:-1] for string in _STRINGS.findall(found[1]))
    for found in _BACKTICKS.finditer(text):
        yield found[1]


def trees_removed(text: str) -> Sequence[str]:
    """Each constant path that it removes with all that is below."""
    return [found[1][1:-1] for found in _REMOVES.finditer(text)]
