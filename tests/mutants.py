"""`make mutants`: each defence taken out in turn, in a copy of the tree, and the test that notices.

A survivor fails the run.

Not a test itself: `tests/unit/test_defences.py` holds that every row of docs/defences.md has its mutant here, and that
each still fits the source.
"""

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_POLICY = "aiosd/policy"
_ROWS = "tests/unit/policy/test_rows.py"


@dataclass(frozen=True, slots=True)
class Mutant:
    """A defence of `row`, taken out: `old` becomes `new` in `file` (and in `more` files), and `test` must fail."""

    row: str
    file: str
    old: str
    new: str
    test: str
    more: tuple[tuple[str, str, str], ...] = ()

    @property
    def edits(self) -> tuple[tuple[str, str, str], ...]:
        """Each edit: file, what goes, what comes."""
        return ((self.file, self.old, self.new), *self.more)


MUTANTS = (
    Mutant(
        "A1",
        f"{_POLICY}/engine.py",
        "for pipeline in program.pipelines:\n            found",
        "for pipeline in program.pipelines[:1]:\n            found",
        f"{_ROWS}::test_a1_an_operator_brings_in_no_second_command",
    ),
    Mutant(
        "A2",
        f"{_POLICY}/recogniser.py",
        "        _refuse_unprintable(line)\n",
        "",
        f"{_ROWS}::test_a2_no_hidden_or_control_character_is_read_past",
    ),
    Mutant(
        "A3",
        f"{_POLICY}/engine.py",
        "for command, rules in zip(pipeline.stages, strict, strict=True)]",
        "for command, rules in list(zip(pipeline.stages, strict, strict=True))[:1]]",
        f"{_ROWS}::test_a3_every_stage_of_a_pipe_counts",
    ),
    Mutant(
        "A4",
        f"{_POLICY}/words.py",
        "            elif char:\n                raise OutsideError(self._at, WHY_CHARACTER[char])\n",
        "            elif char:\n                text.append(char)\n                self._at += 1\n",
        f"{_ROWS}::test_a4_a_substitution_leaves_the_language",
    ),
    Mutant(
        "A5",
        f"{_POLICY}/words.py",
        '                raise OutsideError(start, "a line continued in the middle of a word")\n',
        '                return ""\n',
        f"{_ROWS}::test_a5_a_line_continued_inside_a_word_leaves_the_language",
    ),
    Mutant(
        "A6",
        f"{_POLICY}/recogniser.py",
        "eval exec exit export fc",
        "eval exec exit fc",
        f"{_ROWS}::test_a6_nothing_sets_the_environment_of_what_runs_unasked",
    ),
    Mutant(
        "A7",
        f"{_POLICY}/judge.py",
        "        if form.search(word.text):\n",
        "        if False:\n",
        "tests/unit/policy/test_option_data.py::test_what_is_not_harmless_is_said_with_its_reason",
    ),
    Mutant(
        "A7",
        f"{_POLICY}/judge.py",
        "    if option.effect is not None:\n",
        "    if False:\n",
        f"{_ROWS}::test_a7_a_dangerous_option_of_a_harmless_tool_is_asked_about",
    ),
    Mutant(
        "A8",
        f"{_POLICY}/judge.py",
        "    if option is None:\n        known = len",
        "    if option is None and any(full.startswith(name) for full in spec.options):\n        return at + 1\n"
        "    if option is None:\n        known = len",
        f"{_ROWS}::test_a8_an_abbreviated_or_clustered_option_hides_nothing",
    ),
    Mutant(
        "A9",
        f"{_POLICY}/judge.py",
        "  # the latter have long names only\n                return at + 1\n",
        "\n                return at + 2\n",
        f"{_ROWS}::test_a9_what_is_a_value_and_what_an_option_is_known_by_arity",
    ),
    Mutant(
        "A10",
        f"{_POLICY}/judge.py",
        "        found.effects(0, name, (Effect.RUNS,))\n",
        "        pass\n",
        "tests/unit/policy/test_option_data.py",
    ),
    Mutant(
        "A11",
        f"{_POLICY}/engine.py",
        "self.allowing.get(command.argv[0].text, ())",
        "self.allowing.get(posixpath.basename(command.argv[0].text), ())",
        f"{_ROWS}::test_a11_only_a_bare_name_is_the_command_that_a_rule_names",
        (
            (
                f"{_POLICY}/rules.py",
                "return argv[0].text == self.words[0]",
                "return argv[0].text.endswith(self.words[0])",
            ),
            (
                f"{_POLICY}/judge.py",
                "    name = argv[0].text\n    spec =",
                "    name = argv[0].text.split('/')[-1]\n    spec =",
            ),
        ),
    ),
    Mutant(
        "A12",
        f"{_POLICY}/recogniser.py",
        '        if target.text != "/dev/null":\n',
        '        if target.text == "/dev/null2":\n',
        f"{_ROWS}::test_a12_a_redirection_that_writes_leaves_the_language",
    ),
    Mutant(
        "A13",
        f"{_POLICY}/recogniser.py",
        " builtin caller cd command",
        " builtin caller command",
        f"{_ROWS}::test_a13_nothing_changes_the_directory_before_a_command",
    ),
    Mutant(
        "A14",
        f"{_POLICY}/options/git.toml",
        "runs = '-c: -p,--paginate",
        "runs = '-p,--paginate",
        f"{_ROWS}::test_a14_git_is_given_no_configuration_and_no_other_repository",
        (
            (
                f"{_POLICY}/options/git.toml",
                "options = '-v,--version -P,--no-pager",
                "options = '-c: -v,--version -P,--no-pager",
            ),
        ),
    ),
    Mutant(
        "A15",
        f"{_POLICY}/engine.py",
        "        if size > MAX_LINE_BYTES:\n",
        "        if size > 2**40:\n",
        f"{_ROWS}::test_a15_a_line_over_a_limit_is_denied",
    ),
    Mutant(
        "A16",
        f"{_POLICY}/explain.py",
        "    tier = rules[0].ref.tier if len(rules) == 1 else strictest",
        "    tier = rules[0].ref.tier if len(rules) >= 1 else strictest",
        f"{_ROWS}::test_a16_the_strictest_rule_wins_in_any_order",
    ),
    Mutant(
        "A17",
        f"{_POLICY}/engine.py",
        "        tier = parts[0].tier if len(parts) == 1 else strictest",
        "        tier = parts[0].tier if len(parts) >= 1 else strictest",
        f"{_ROWS}::test_a17_no_check_that_says_yes_ends_the_others",
    ),
    Mutant(
        "A18",
        "aiosd/guard/leases.py",
        "_NEVER.isdisjoint(c.effect for c in each.concerns)",
        "True",
        "tests/unit/guard/test_leases.py::test_a18_no_lease_for_what_could_be_anything_or_needs_none",
    ),
    Mutant(
        "A19",
        f"{_POLICY}/explain.py",
        '    ref = RuleRef(name="opaque", tier=Tier.REQUIRE_APPROVAL)\n',
        '    ref = RuleRef(name="opaque", tier=Tier.AUTO_ALLOW)\n',
        f"{_ROWS}::test_a19_what_cannot_be_read_is_asked_about_and_said_so",
    ),
    Mutant(
        "A20",
        f"{_POLICY}/judge.py",
        "            if effect is not Effect.READS:\n",
        "            if effect not in (Effect.READS, Effect.NETWORK):\n",
        f"{_ROWS}::test_a20_what_asks_a_name_server_reaches_the_network",
    ),
    Mutant(
        "A21",
        f"{_POLICY}/options/systemd.toml",
        "destructive = '--vacuum-size: --vacuum-files: --vacuum-time:'\n",
        "",
        f"{_ROWS}::test_a21_no_listed_tool_destroys_the_record",
        (
            (
                f"{_POLICY}/options/systemd.toml",
                "--list-boots --disk-usage",
                "--list-boots --vacuum-size: --vacuum-time: --disk-usage",
            ),
        ),
    ),
    Mutant(
        "B1",
        "aiosd/cli/card.py",
        'else say("do"), escape(card["action"], newlines=True))',
        'else say("do"), card["action"])',
        "tests/unit/cli/test_cards.py::test_no_action_looks_like_another_fact_at_any_width",
    ),
    Mutant(
        "B2",
        "aiosd/cli/show.py",
        '    if " " <= char <= "~":\n        return True\n',
        "    return True\n",
        "tests/unit/cli/test_show.py::test_nothing_in_a_text_moves_the_cursor_hides_or_pretends",
    ),
    Mutant(
        "B2",
        "aiosd/cli/show.py",
        "    if len(scripts) < _SEVERAL or scripts <= _TOGETHER:\n",
        "    if True:\n",
        "tests/unit/cli/test_show.py::test_a_word_that_mixes_scripts_which_look_alike_is_marked",
    ),
    Mutant(
        "B3",
        "aiosd/guard/approvals.py",
        'json.dumps(_render(replace(self, claim="")), sort_keys=True)',
        'json.dumps(_render(replace(self, claim="", cwd="")), sort_keys=True)',
        "tests/unit/guard/test_approvals.py::test_the_digest_is_over_everything_that_is_asked",
    ),
    Mutant(
        "B4",
        "aiosd/guard/drift.py",
        "    changed = set(map(_without_own, before)) ^ set(map(_without_own, after))\n",
        "    changed = set[str]()\n",
        "tests/daemon/test_guard_drift.py",
    ),
    Mutant(
        "B5",
        "aiosd/guard/approvals.py",
        'reason = ? WHERE id = ? AND state = ?",',
        "reason = ? WHERE id = ? AND ? != ''\",",
        "tests/unit/guard/test_approvals.py",
    ),
    Mutant(
        "B6",
        "aiosd/guard/approvals.py",
        "            id=identity,",
        '            id=ApprovalId("0a1b2c3d"),',
        "tests/unit/guard/test_approvals.py::test_two_requests_alike_are_two_approvals",
    ),
    Mutant(
        "B6",
        "aiosd/guard/approvals.py",
        "        if said.state is State.DENIED:\n            self.dismiss(",
        "        if False:\n            self.dismiss(",
        "tests/unit/guard/test_approvals.py::test_b6_a_no_is_one_to_all_that_its_session_has_pending",
    ),
    Mutant(
        "B6",
        "aiosd/guard/asking.py",
        "        if _is_same(approval, draft) and self._approvals.is_open(approval)",
        "        if self._approvals.is_open(approval)",
        "tests/daemon/test_review.py::test_a_yes_given_ahead_is_to_the_same_action_of_the_same_call_once",
    ),
    Mutant(
        "B7",
        "aiosd/guard/approvals.py",
        "        if approval.run_as is RunAs.USER and who.uid != approval.uid:\n",
        "        if False:\n",
        "tests/unit/guard/test_approvals.py::test_who_may_approve_and_who_may_deny",
    ),
    Mutant(
        "B8",
        "aiosd/guard/asking.py",
        "        if count < settings.denials_in_a_row:\n",
        "        if count < 10**9:\n",
        "tests/daemon/test_guard_orders.py::test_after_denials_in_a_row_nobody_is_asked_for_a_while",
    ),
    Mutant(
        "B9",
        "aiosd/guard/approvals.py",
        "        expired = Answer(state=State.EXPIRED)\n        if not answered.done()",
        "        expired = Answer(state=State.APPROVED)\n        if not answered.done()",
        "tests/unit/guard/test_approvals.py::test_no_answer_in_time_is_no_for_good",
    ),
    Mutant(
        "D8",
        "aiosd/audit/journal.py",
        'out += name.encode() + b"\\n" + len(data).to_bytes(8, "little") + data + b"\\n"',
        'out += name.encode() + b"=" + data + b"\\n"',
        "tests/unit/audit/test_journal.py::test_no_value_makes_a_field",
    ),
    Mutant(
        "D9",
        "aiosd/audit/log.py",
        "if not self._chain.fits(_dump(entry), str(stated)):",
        "if False:",
        "tests/unit/audit/test_log.py::test_what_was_changed_is_found_and_where",
    ),
    Mutant(
        "D9",
        "aiosd/audit/log.py",
        "        if head.sequence > self._sequence:\n",
        "        if False:\n",
        "tests/unit/audit/test_log.py::test_what_was_cut_off_while_no_guard_ran_is_found_and_stays_found",
    ),
)


def main() -> None:
    """Run all, or those of the rows named."""
    wanted = set(sys.argv[1:])
    survivors = []
    with tempfile.TemporaryDirectory(prefix="aios-mutants-") as folder:
        tree = Path(folder) / "tree"
        tree.mkdir()
        for name in ("aiosd", "tests", "docs", "units", "packaging"):
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"), symlinks=True)
        shutil.copy(ROOT / "pyproject.toml", tree)
        for mutant in MUTANTS:
            if not wanted or mutant.row in wanted:
                red = _try(tree, mutant)
                print(f"{mutant.row:4} {mutant.file:36} {red or 'SURVIVED: ' + mutant.test}", flush=True)
                survivors += [] if red else [mutant.row]
    if survivors:
        sys.exit(f"survivors: {', '.join(survivors)}")


def _try(tree: Path, mutant: Mutant) -> str:
    """The test that went red; "" where none did."""
    whole = {file: (tree / file).read_text(encoding="utf-8") for file, _old, _new in mutant.edits}
    try:
        for file, old, new in mutant.edits:
            text = (tree / file).read_text(encoding="utf-8")
            assert text.count(old) == 1, f"{mutant.row}: {file} has {text.count(old)} of {old!r}"
            (tree / file).write_text(text.replace(old, new), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", mutant.test]
        ran = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=300, check=False)
    finally:
        for file, text in whole.items():
            (tree / file).write_text(text, encoding="utf-8")
    told = [line.split()[1] for line in ran.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return told[0] if ran.returncode == 1 and told else ""


if __name__ == "__main__":
    main()
