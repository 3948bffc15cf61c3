"""Option data, one TOML file for each family of commands. This package holds no code: `knowledge` reads the files.

A table is a command, under its bare name; `"egrep|fgrep"` describes several. Only what is written here is known, and
what is not known is never harmless. Keep to what the tool's manual says; the tests compare with the tools installed.

Options are words in a string, each one option under all its spellings, separated by commas: `-k:,--key:` is wrong,
`-k,--key:` is right. The last character says whether it takes a value: none, `:` required (rest of the word, or the
next word), `?` optional (rest of the word only), `_` always the next word, `~` the next
word where there is one, `;` words up to `;` or `+`. `-abc` is the
three flags -a, -b and -c where the style is `gnu`; `-NUM` is a dash and digits.

    options      options that add no effect to the command's own
    scripts      options whose value is a script, as the first operand is where operands = script
    reads  writes  network  changes  endless  misleads  destructive  runs
                 options with that effect; `reads` is harmless, `misleads` would list its own process when confined
    local        options whose value is a file, and with a colon in it one of another host
    effects      the effects of the command itself, besides reading; also `root`: it cannot succeed without
    facets       what of the host it must observe: processes sockets bus journal logins
    sees         a table, facet = options: what these options observe in addition
    operands     what they are: path, unit, text (the default), none, format (only `+…`), name (no `=`),
                 local (files, as the options below), script (sed: only printing and plain s)
    counts       the numbers of operands that are harmless (for tools whose second operand is written)
    needs        a list; of each entry's options at least one must be given
    style        gnu (the default: getopt_long), words (whole words with one dash), raw (no options at all)
    stops        true: the first operand ends the options
    verbs        a table, effects = words: subcommands by their effects (`none` for harmless ones)
    bare         the effects of the command without a subcommand
    sub          a table for each subcommand of which there is more to say
    nested       true: options before and after the subcommand are different ones, those after it are in `sub`
    form         an array of tables: ways to use the command, each complete; harmless if one of them is
    wraps        it runs another command, after so many operands of its own; -1: any of its words may be that command
    shell        true: it is a shell
    code         true: it runs programs of its own language, which its words may hold
    into         which operands are paths that it writes: all, last (of several), of (those that begin with `of=`)
    suspect      a table, effect = { options = regular expression }: values of these options ('' is the operands) that
                 have this effect, where others have none
    use          names of option groups (tables whose name begins with `_`) to take in
"""
