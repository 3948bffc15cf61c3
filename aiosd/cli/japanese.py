"""The Japanese of what the client says, by its English."""

JAPANESE = {
    "run": "実行",
    "do": "操作",
    "as": "実行者",
    "with": "内容",
    "in": "場所",
    "within": "隔離",
    "because": "理由",
    "rule": "規則",
    "claim": "主張",
    "until": "期限",
    "approval": "承認",
    "root, for {who}": "root（依頼者: {who}）",
    "the model says: {claim}": "モデルの説明: {claim}",
    "[{count} more lines; all of it: varlinkctl … ListPending]": (
        "[ほかに{count}行。全体は varlinkctl … ListPending で確認]"
    ),
    "[y] yes, once  [s] skip  [n] no  [n REASON] no, and why  (no): ": (
        "[y] 今回だけ許可  [s] 見送り  [n] 拒否  [n 理由] 理由つき拒否  (拒否): "
    ),
    "[y] yes, once  [e] edit  [s] skip  [n] no  [n REASON] no, and why  (no): ": (
        "[y] 今回だけ許可  [e] 編集  [s] 見送り  [n] 拒否  [n 理由] 理由つき拒否  (拒否): "
    ),
    "[y] yes, once  [l] yes, for 30 min  [e] edit  [s] skip  [n REASON] no  (no): ": (
        "[y] 今回だけ許可  [l] 30分間許可  [e] 編集  [s] 見送り  [n 理由] 拒否  (拒否): "
    ),
    "instead: ": "代わりに: ",
    "skipped": "見送りました",
    "it is judged anew, and asked about again where it has to be: aios pending": (
        "改めて判定し、必要ならもう一度確認します: aios pending"
    ),
    "reach": "接続先",
    "for": "要求元",
    "{command} wants to connect to it": "{command} が接続を求めています",
    "[y] yes, for this command  [l] yes, for this session  [n] no  [n REASON] no, and why  (no): ": (
        "[y] このコマンドだけ許可  [l] このセッションの間許可  [n] 拒否  [n 理由] 理由つき拒否  (拒否): "
    ),
    "approved": "許可しました",
    "denied": "拒否しました",
    "nothing waits for an answer": "回答待ちの承認はありません",
    "answer with: aios approve ID   or: aios deny ID [REASON]": "回答: aios approve ID   または: aios deny ID [理由]",
    "! approval {id} waits, and cannot be shown: {why}": "! 承認 {id} が回答待ちですが、表示できません: {why}",
    "! waits until {until} for: aios approve {id}  (or: aios deny {id})": (
        "! {until} まで回答を待ちます: aios approve {id}  (または: aios deny {id})"
    ),
    "there is no terminal to ask at; add --yes if you have seen what is asked": (
        "確認に使う端末がありません。内容を確認済みなら --yes を付けてください"
    ),
    "no approval {id} is pending; aios pending lists what is": (
        "回答待ちの承認 {id} はありません。aios pending で一覧を確認できます"
    ),
    "it was answered elsewhere, or is over": "別の場所で回答されたか、終了しました",
    "nobody is here to answer": "回答する人がいません",
    "number or words: ": "番号または言葉: ",
    "answer: ": "回答: ",
    "the daemon ended in the middle of the turn": "処理の途中でデーモンが終了しました",
    "go on with: aios ask --session {name} ...": "続きは: aios ask --session {name} ...",
    "no daemon answers at {path} ({why})": "{path} でデーモンが応答しません（{why}）",
    "start it with: systemctl enable --now aiosd.socket  (or, without the service: aiosd --standalone)": (
        "起動: systemctl enable --now aiosd.socket  (サービスなしでは: aiosd --standalone)"
    ),
    "no records": "記録はありません",
    "the record is whole": "記録に欠けや改変はありません",
    "revoked": "取り消しました",
    "the guard does not answer; all agent work was stopped by its cgroup": (
        "ガードが応答しないため、エージェントの作業をすべて cgroup で停止しました"
    ),
    "ended": "終了",
    "stopped": "停止",
    "{ended}: {actions} actions; denied: {approvals}; leases over: {leases}": (
        "{ended}: 操作{actions}件、拒否した承認{approvals}件、終了した許可{leases}件"
    ),
    "nothing more begins until: aios thaw": "aios thaw まで新しい操作は始まりません",
    "goes on: {actions} actions": "再開: 操作{actions}件",
    "there are no leases": "期間つきの許可はありません",
}

# How a line of the daemon's about a call begins.
NOTES = {
    "  announced: ": "  通知: ",
    "  denied": "  拒否",
    "  skipped": "  見送り",
    "  run instead: ": "  代わりに実行: ",
    "  refused": "  実行不可",
    "  unanswered": "  回答なし",
    "  timed out": "  時間切れ",
    "  cancelled": "  取り消し",
    "  ended with status ": "  終了ステータス ",
}
