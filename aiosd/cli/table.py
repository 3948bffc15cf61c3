"""The command line as one table: it drives parsing, help, man page and completion.

A verb: its words, its operands, one sentence, its options. An option: short, long, the name of its value ("" for a
flag), one sentence.
"""

TIERS = ("auto_allow", "notify", "require_approval", "deny")

ASK_OPTIONS = (
    ("-c", "--continue", "", "go on with the newest session"),
    ("-s", "--session", "NAME", "go on with the session of this name or id"),
    ("", "--fork", "", "go on in a copy of it; it stays as it is"),
    ("", "--name", "NAME", "what the new session is called"),
    ("-m", "--model", "NAME", "ask this model from now on in the session; aios models lists them"),
    ("-a", "--attach", "FILE...", "send this file along; commands find it in uploads; may be said several times"),
    ("-o", "--output", "FILE", "write the answer to this file too"),
    ("", "--schema", "FILE", "the answer is JSON that fits this JSON Schema"),
    ("", "--plan", "", "only read: say what would be changed, change nothing"),
    ("", "--yes-to", "TIER", "run up to this tier, auto_allow or notify, and ask nobody about the rest"),
    ("", "--timeout", "SECONDS", "end the turn after that, with status 124"),
    ("", "--budget", "AMOUNT", "end the turn when it has cost that, by the model's prices, with status 80"),
    ("", "--wait", "SECONDS", "how long an approval waits for an answer, at most what is configured"),
    ("", "--json", "", "print the events, one JSON object a line (docs/json.md)"),
)

CHAT_OPTIONS = (
    *ASK_OPTIONS[:5],
    ("", "--plain", "", "text and line ends and nothing else: no colour, no rewriting, no keys"),
)

VERBS = (
    (
        "ask",
        "[WORD ...]",
        "Ask a question or say what to do; what comes on standard input is added to it.",
        ASK_OPTIONS,
    ),
    (
        "run",
        "[--] COMMAND ...",
        "Run a command of your own through the guard: decided, confined and recorded as a model's would be.",
        (
            (
                "-p",
                "--profile",
                "PROFILE",
                "in this confinement instead, unasked: read-only, or workspace (writes here)",
            ),
            ("-t", "--timeout", "SECONDS", "how long it may take, at most what is configured"),
            ("-i", "--stdin", "", "let it read what comes on standard input"),
            ("-b", "--background", "", "begin it and print its number; see aios jobs"),
        ),
    ),
    ("jobs", "", "List your commands in the background.", ()),
    (
        "job output",
        "ID",
        "Print what a command in the background has written.",
        (("", "--grep", "TEXT", "its lines that hold this, with their numbers"),),
    ),
    (
        "job wait",
        "ID",
        "Wait until a command in the background has ended; its exit status.",
        (("-t", "--timeout", "SECONDS", "no longer than this"),),
    ),
    ("job kill", "ID", "End a command in the background.", ()),
    ("chat", "", "Talk at the terminal: /help there tells more.", CHAT_OPTIONS),
    (
        "sessions",
        "[NAME]",
        "List your sessions, or show one with its turns.",
        (("", "--search", "TEXT", "those in whose name, questions or answers this stands"),),
    ),
    ("session rename", "NAME NEW", "Name a session.", ()),
    (
        "session file",
        "NAME PATH",
        "Print a file that a session keeps, such as outputs/report.txt; aios sessions NAME lists them.",
        (("-o", "--output", "FILE", "write it to this file instead"),),
    ),
    ("session attach", "NAME", "Watch the turn that runs in a session; its cards and questions come here too.", ()),
    (
        "session export",
        "NAME",
        "Print a session: as Markdown, or otherwise.",
        (
            ("", "--json", "", "as one JSON object"),
            ("", "--script", "", "what was run, as a shell script to read and change"),
        ),
    ),
    ("session delete", "NAME", "Delete a session and all that was said in it. The record of what ran stays.", ()),
    ("cancel", "NAME", "Interrupt the turn that runs in a session.", ()),
    (
        "log",
        "",
        "Show what was proposed, decided and done, as recorded by the guard.",
        (
            ("-s", "--session", "NAME", "of this session only"),
            ("-t", "--tier", "TIER", f"of this tier only: {', '.join(TIERS[:-1])} or {TIERS[-1]}"),
            ("-u", "--user", "USER", "of this user only (others' records are for root)"),
            ("", "--since", "TIME", "not before: 2026-01-31, '2026-01-31 14:00', today, yesterday, 30m, 2h or 7d ago"),
            ("", "--until", "TIME", "not after"),
            ("-n", "--lines", "COUNT", "the newest COUNT records (100)"),
            ("", "--sent", "", "list what was sent to models outside this daemon instead"),
            ("", "--show", "NUMBER", "print the text of one of those requests"),
            ("", "--verify", "", "check the chain of the record instead (for root)"),
            ("", "--json", "", "print the records, one JSON object a line"),
        ),
    ),
    ("pending", "", "List what waits for an answer of yours.", ()),
    (
        "approve",
        "ID...",
        "Show what is asked, and approve it; several as one list, all, some or one by one.",
        (
            ("-y", "--yes", "", "without asking again"),
            ("-e", "--edit", "LINE", "put this line in its place: it is judged, and asked about, anew"),
        ),
    ),
    (
        "stop",
        "[SESSION]",
        "Stop what the AI does for you, or in one session, in its tracks; for root and administrators, everybody's.",
        (
            ("", "--kill", "", "end it instead"),
            ("", "--everybody", "", "everybody's (for root always)"),
        ),
    ),
    ("thaw", "[SESSION]", "Let go on what was stopped.", (("", "--everybody", "", "everybody's (for root always)"),)),
    (
        "lease list",
        "",
        "List what you have allowed for longer than once.",
        (
            ("", "--all", "", "those that are over too, from the record, with how they ended"),
            ("", "--json", "", "print them, one JSON object a line"),
        ),
    ),
    ("lease revoke", "ID", "End a lease.", ()),
    (
        "deny",
        "ID [REASON ...]",
        "Deny what is asked, and what else its session has waiting; the reason goes back to the model.",
        (),
    ),
    ("skip", "ID [REASON ...]", "Leave this step out: the model is told, and goes on with the rest.", ()),
    (
        "policy check",
        "[--] [LINE]",
        "Say what would become of a command line, and why. Nothing is run.",
        (
            ("", "--root", "", "as if it asked for root"),
            ("", "--json", "", "print the verdict as JSON"),
            ("", "--policy", "FILE", "judge by this file alone, without a daemon"),
            ("", "--batch", "", "judge JSON lines {id, command, cwd} from standard input, without a daemon"),
        ),
    ),
    (
        "policy show",
        "",
        "Print every rule in force, where it stands and how often it decided.",
        (
            ("", "--policy", "FILE", "of this file alone"),
            ("", "--json", "", "print the rules, one JSON object a line"),
        ),
    ),
    ("policy test", "[FILE ...]", "Check files of rules with their examples; without a file, those in force.", ()),
    (
        "policy backtest",
        "FILE",
        "Replay the record against a proposed file of rules, and list what would be decided otherwise.",
        (
            ("", "--since", "TIME", "from this time on; as for aios log"),
            ("", "--json", "", "print the changes, one JSON object a line"),
        ),
    ),
    (
        "policy import",
        "FILE",
        "Print the FolderPolicies of a JSON file as [[folder]] tables, for a file in /etc/aios/policy.d.",
        (),
    ),
    ("models", "", "List the models that can be asked.", ()),
    (
        "model add",
        "NAME",
        "Add a model: says what will be sent to whom, asks a test question there, stores the key apart.",
        (
            ("", "--provider", "PROVIDER", "its protocol: anthropic or openai"),
            ("", "--server-name", "MODEL", "what its server calls it (NAME)"),
            ("", "--base-url", "URL", "where it is (the provider's own address)"),
            ("", "--key-file", "FILE", "read the key from here, - is standard input (asked for at the terminal)"),
            ("", "--no-key", "", "it needs none"),
            ("", "--default", "", "ask it from now on where nobody says otherwise"),
            ("-y", "--yes", "", "without asking"),
        ),
    ),
    ("status", "", "Say how the daemon is.", ()),
    ("doctor", "", "Try what works here, and say what to do about the rest.", ()),
    ("config show", "", "Print the effective configuration and where each value came from.", ()),
    (
        "login enable",
        "[SERVICE ...]",
        "Show at each login what waits for you: put our line into these PAM services (login and sshd).",
        (),
    ),
    ("login disable", "[SERVICE ...]", "Take that line out again (of every service that has it).", ()),
    ("login status", "[SERVICE ...]", "List the services, and which of them have the line.", ()),
    (
        "setup",
        "",
        "Create the AI's user and the first configuration. It shows all it will do, asks, and can be undone.",
        (
            ("", "--user", "NAME", "the user's name (ai)"),
            ("", "--import", "FILE", "take over the [permissions] of a founding config.toml, as rules for this user"),
            ("", "--autologin", "TTY", "log the user in on this terminal: tty1, ttyS0, hvc0, console or pts/0"),
            ("", "--undo", "", "take back what was set up, as far as nobody has changed it since"),
            ("-y", "--yes", "", "without asking"),
        ),
    ),
    ("completion", "bash|zsh|fish", "Print a completion script for a shell.", ()),
    ("help", "[VERB]", "Print this, or what a verb takes.", ()),
)

EXIT_STATUSES = (
    (0, "done"),
    (1, "the task failed, or was not understood"),
    (64, "the command line is wrong"),
    (65, "the request is not possible"),
    (69, "no daemon, or no model"),
    (70, "a bug"),
    (75, "busy; try again"),
    (77, "denied, by policy or by a person"),
    (78, "configuration, sandbox or storage is broken"),
    (79, "an approval was needed and nobody answered"),
    (80, "the turn's budget is used up"),
    (124, "a command ran out of time"),
    (130, "interrupted"),
)
