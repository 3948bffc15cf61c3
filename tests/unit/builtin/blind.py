"""What somebody asked who had not seen the data, in everyday and in formal words: all of it is understood."""

BLIND_ENGLISH: dict[str, tuple[str, ...]] = {
    "network_check": (
        "I can't get online, what's wrong?",
        "is the internet connection working",
    ),
    "listening_ports": (
        "show open listening ports",
        "Which TCP and UDP ports is this server listening on?",
    ),
    "port_user": (
        "what's running on port 8080",
        "Which process is holding port 443?",
    ),
    "connections": (
        "show established tcp connections",
        "Which remote hosts is this machine connected to right now?",
    ),
    "dns_servers": (
        "which dns server am I using",
        "What nameservers is this machine configured with?",
    ),
    "hostname": (
        "what's this machine called",
        "hostname?",
    ),
    "firewall": (
        "is the firewall on",
        "Show me the current firewall rules",
    ),
    "disk_space": (
        "how much disk space is left",
        "df",
    ),
    "folder_space": ("how much room is left on /var",),
    "big_files": (
        "find the largest files under /var",
        "What are the 10 biggest files in my home directory?",
    ),
    "big_folders": (
        "which directories take up the most space",
        "Show me the largest folders in /home",
    ),
    "find_file": (
        "where is nginx.conf",
        "Find all .log files larger than 100 MB that changed in the last week",
    ),
    "text_in_files": (
        "grep for PermitRootLogin in /etc/ssh",
        "Which files under /etc mention 192.168.1.10?",
    ),
    "file_user": (
        "who has /var/lib/dpkg/lock open",
        "Which process is using /mnt/usb? I can't unmount it.",
    ),
    "service_logs": (
        "show me the nginx log",
        "What did sshd write to its log since this morning?",
    ),
    "recent_errors": ("any errors in the journal today?",),
    "kernel_messages": (
        "dmesg",
        "What has the kernel been saying lately?",
    ),
    "boot_time": (
        "why does booting take so long",
        "How many seconds did the last boot take?",
    ),
    "mounts": (
        "list mounted filesystems",
        "What's mounted on /mnt/data?",
    ),
    "hardware": (
        "what hardware is in this machine",
        "Give me an overview of this computer's hardware specs",
    ),
    "disks": (
        "lsblk",
        "Which drives are installed and how are they partitioned?",
    ),
    "usb": (
        "what's plugged into usb",
        "Does the system see my USB stick?",
    ),
    "pci": (
        "which graphics card do I have",
        "lspci",
    ),
    "temperature": (
        "how hot is the cpu",
        "Is this machine overheating?",
    ),
    "battery": (
        "how much battery is left",
        "Is my laptop charging?",
    ),
    "time": (
        "what time is it",
        "What's today's date on this server?",
    ),
    "set_timezone": (
        "set timezone to Europe/Berlin",
        "Please change the time zone of this server to Asia/Tokyo",
    ),
    "environment": (
        "show environment variables",
        "What is $PATH set to?",
    ),
    "memory": (
        "how much ram is free",
        "Is the machine swapping?",
    ),
    "addresses": (
        "what's my ip",
        "Which IPv4 and IPv6 addresses does eth0 have?",
    ),
    "pending_approvals": (
        "what's waiting for my approval",
        "Are there any requests I still have to approve?",
    ),
    "record": (
        "what have you done so far today",
        "Show me a history of the actions you carried out on this machine",
    ),
    "security_check": (
        "run a security audit",
        "Is this server secure?",
    ),
    "install_package": ("install htop",),
    "remove_package": (
        "uninstall apache2",
        "Please remove the package libreoffice",
    ),
    "update_packages": (
        "upgrade everything",
        "Please install all available updates",
    ),
    "search_package": ("search packages for redis",),
    "package_info": (
        "what version of openssl is installed",
        "Tell me about the package curl",
    ),
    "file_owner": (
        "which package does /usr/bin/dig belong to",
        "What package provided /etc/login.defs?",
    ),
    "package_files": (
        "list files installed by nginx",
        "What files does the package openssh-server contain?",
    ),
    "package_history": ("what was installed last week",),
    "pending_updates": (
        "any updates available?",
        "Which packages can be upgraded?",
    ),
    "orphans": (
        "list orphaned packages",
        "Are there any leftover dependencies nothing needs anymore?",
    ),
    "package_count": (
        "how many packages are installed",
        "list all installed packages",
    ),
    "logged_in": (
        "who's on the system right now",
        "Is anybody else logged in at the moment?",
    ),
    "last_logins": (
        "who logged in recently",
        "When did alice last log in?",
    ),
    "failed_logins": (
        "show failed login attempts",
        "Has someone been trying to brute-force ssh?",
    ),
    "users": (
        "list user accounts",
        "Which users exist on this machine?",
    ),
    "groups": (
        "who is in the sudo group",
        "List all the groups on this system",
    ),
    "user_info": (
        "which groups is bob in",
        "id www-data",
    ),
    "top_cpu": (
        "what's eating my cpu",
        "Which processes are using the most CPU right now?",
    ),
    "top_memory": (
        "which process uses the most memory",
        "what's hogging all the ram",
    ),
    "uptime": (
        "how long has this server been up",
        "What's the load average?",
    ),
    "failed_services": (
        "any failed units?",
        "Which services have crashed or failed to start?",
    ),
    "service_state": (
        "is nginx running",
        "What's the status of the postgresql service?",
    ),
    "system": (
        "what distro is this",
        "Which kernel version am I running?",
    ),
    "run": ("run: ls -la /opt",),
    "help": (
        "what can you do",
        "help",
    ),
    "greeting": (
        "hi there",
        "Good morning!",
    ),
    "find_process": (
        "is there a firefox process",
        "What's the PID of gunicorn?",
    ),
    "kill_process": (
        "kill 4312",
        "Firefox is frozen, please kill it",
    ),
    "running_services": (
        "list running services",
        "Which services are active right now?",
    ),
    "enabled_services": (
        "what starts automatically at boot",
        "List all enabled services",
    ),
    "start_service": (
        "start nginx",
        "Could you start the docker service please?",
    ),
    "stop_service": (
        "stop apache2",
        "Please shut down the postgresql service",
    ),
    "restart_service": (
        "restart sshd",
        "Please restart the nginx service",
    ),
    "enable_service": (
        "enable docker at boot",
        "Make sure postgresql starts automatically when the machine boots",
    ),
    "disable_service": (
        "disable bluetooth on startup",
        "Please don't start cups automatically at boot any more",
    ),
    "timers": (
        "list systemd timers",
        "When will the logrotate timer fire next?",
    ),
    "scheduled_jobs": ("show cron jobs",),
}

BLIND_JAPANESE: dict[str, tuple[str, ...]] = {
    "network_check": (
        "ネットにつながってる？",
        "インターネットに接続できないのですが、原因を調べていただけますか。",
    ),
    "listening_ports": (
        "LISTENしてるポート一覧",
        "このサーバーで現在開いて待ち受けているポートをすべて教えてください。",
    ),
    "port_user": (
        "8080番を掴んでるの誰",
        "ポート443を使用しているプロセスを教えてください。",
    ),
    "connections": (
        "今張られてるTCPコネクション見せて",
        "現在、どのホストと通信が確立されているか一覧で確認したいです。",
    ),
    "dns_servers": (
        "DNSどこ向いてる？",
        "名前解決に使用しているサーバーのアドレスを教えてください。",
    ),
    "hostname": (
        "ホスト名は？",
        "このマシンの名前を教えてください。",
    ),
    "firewall": (
        "ファイアウォールの状態",
        "現在有効なファイアウォールのルールを確認したいのですが。",
    ),
    "disk_space": (
        "ディスクの空きどれくらい",
        "各ファイルシステムの使用率と残り容量を表示してください。",
    ),
    "folder_space": (
        "/var/log にはあとどれだけ書き込める？",
        "/home/tanaka が置かれているディスクの残り容量を教えてください。",
    ),
    "big_files": (
        "容量食ってるファイル上位20件",
        "/var の下でサイズの大きいファイルを大きい順に並べてください。",
    ),
    "big_folders": (
        "一番重いディレクトリどれ",
        "/home 配下のどのフォルダが容量を使っているのか調べてください。",
    ),
    "find_file": (
        "nginx.conf どこ",
        "/home/suzuki の中から、過去3日以内に更新された PDF ファイルを探してください。",
    ),
    "text_in_files": (
        "/etc 以下で「PermitRootLogin」って書いてあるファイル探して",
        "/var/www の中で、文字列 db_password を含む行を検索していただけますか。",
    ),
    "file_user": (
        "/var/lib/dpkg/lock を掴んでるプロセスは？",
        "/mnt/usb がビジーでアンマウントできません。どのプロセスが使用しているか教えてください。",
    ),
    "service_logs": (
        "nginxのログ見せて",
        "sshd サービスの直近のログを50行ほど表示してください。",
    ),
    "recent_errors": (
        "最近エラー出てる？",
        "今日の0時以降にジャーナルに記録されたエラーを一覧にしてください。",
    ),
    "kernel_messages": (
        "dmesg見せて",
        "カーネルが出力した直近のメッセージを確認したいです。",
    ),
    "boot_time": (
        "起動に何秒かかった？",
        "ブートに時間がかかっているようなので、どのユニットが遅いのか教えてください。",
    ),
    "mounts": (
        "マウント一覧",
        "どのデバイスがどこにマウントされているか表示してください。",
    ),
    "hardware": (
        "このマシンのスペックは？",
        "CPUの型番やマザーボードなど、ハードウェアの構成を教えてください。",
    ),
    "disks": (
        "パーティション構成を見せて",
        "接続されているディスクとそのパーティションの一覧をお願いします。",
    ),
    "usb": (
        "USBに何が挿さってる？",
        "接続中のUSB機器を一覧表示してください。",
    ),
    "pci": (
        "グラボは何が載ってる？",
        "PCIデバイスの一覧を表示していただけますか。",
    ),
    "temperature": (
        "CPU温度",
        "現在の各センサーの温度を確認してください。",
    ),
    "battery": (
        "バッテリー残量",
        "バッテリーの残りと劣化の度合いを教えてください。",
    ),
    "time": (
        "今何時？",
        "現在の日時とタイムゾーンの設定を教えてください。",
    ),
    "set_timezone": (
        "タイムゾーンをAsia/Tokyoにして",
        "このサーバーのタイムゾーンをUTCに変更してください。",
    ),
    "environment": (
        "PATHの中身は？",
        "設定されている環境変数をすべて表示してください。",
    ),
    "memory": (
        "メモリどれくらい空いてる",
        "搭載メモリの総容量と使用量、スワップの状況を教えてください。",
    ),
    "addresses": (
        "IPアドレス教えて",
        "eth0 に割り当てられている IP アドレスと MAC アドレスを確認したいです。",
    ),
    "pending_approvals": (
        "承認待ちある？",
        "私の承認を待っている操作があれば一覧で見せてください。",
    ),
    "record": (
        "これまで何をやった？",
        "あなたがこのマシンに対して行った操作の履歴を見せてください。",
    ),
    "security_check": (
        "セキュリティチェックして",
        "このサーバーのセキュリティに問題がないか点検をお願いします。",
    ),
    "fix_finding": ("さっきのセキュリティ診断の指摘、3番を直して",),
    "install_package": (
        "htop入れて",
        "nginx をインストールしていただけますか。",
    ),
    "remove_package": (
        "apache2をアンインストール",
        "不要になった libreoffice パッケージを削除してください。",
    ),
    "update_packages": (
        "全部アップデートして",
        "インストールされているすべてのパッケージを最新版に更新してください。",
    ),
    "search_package": ("リポジトリから「redis」に関連するパッケージを検索してください。",),
    "package_info": (
        "opensslのバージョンは？",
        "インストールされている curl パッケージの詳細情報を表示してください。",
    ),
    "file_owner": (
        "/usr/bin/dig はどのパッケージ？",
        "/etc/ssh/sshd_config がどのパッケージに含まれているファイルか調べてください。",
    ),
    "package_files": ("nginxパッケージの中身のファイル一覧",),
    "package_history": (
        "最近インストールしたパッケージは？",
        "7月1日以降にインストールや更新が行われたパッケージの履歴を確認したいです。",
    ),
    "pending_updates": (
        "更新可能なパッケージある？",
        "まだ適用していないアップデートの一覧を見せてください。",
    ),
    "orphans": (
        "孤立パッケージの一覧",
        "どのパッケージからも必要とされなくなった依存パッケージを教えてください。",
    ),
    "package_count": (
        "パッケージ何個入ってる？",
        "インストール済みのパッケージの一覧と総数を教えてください。",
    ),
    "logged_in": (
        "今誰が入ってる？",
        "現在ログインしているユーザーを教えてください。",
    ),
    "last_logins": (
        "直近のログイン履歴",
        "先週このサーバーにログインした人の記録を確認したいのですが。",
    ),
    "failed_logins": (
        "ログイン失敗の記録",
        "昨夜から SSH のログインに失敗した試行がどれくらいあるか教えてください。",
    ),
    "users": (
        "ユーザー一覧",
        "このマシンに登録されているユーザーアカウントをすべて表示してください。",
    ),
    "groups": (
        "グループ一覧を出して",
        "wheel グループに所属しているメンバーを教えてください。",
    ),
    "user_info": (
        "tanakaのUIDと所属グループ",
        "ユーザー suzuki がどのグループに所属しているか確認してください。",
    ),
    "top_cpu": (
        "CPU食ってるプロセスは？",
        "現在のCPU使用率と、負荷の高いプロセスを教えてください。",
    ),
    "top_memory": (
        "メモリ食ってるプロセス上位10個",
        "メモリ使用量の多い順にプロセスを並べて表示してください。",
    ),
    "uptime": (
        "uptimeは？",
        "前回の起動から何日間動き続けているか教えてください。",
    ),
    "failed_services": (
        "落ちてるサービスある？",
        "起動に失敗しているユニットがあれば一覧で教えてください。",
    ),
    "service_state": (
        "nginx動いてる？",
        "sshd サービスの現在の状態を確認してください。",
    ),
    "system": (
        "OSのバージョンは？",
        "このマシンのディストリビューション名とカーネルのバージョンを教えてください。",
    ),
    "run": (
        "「ls -la /tmp」を実行して",
        "次のコマンドをそのまま実行してください: df -hT /home",
    ),
    "help": (
        "何ができるの？",
        "このアシスタントの使い方と、依頼できることを教えてください。",
    ),
    "greeting": (
        "おはよう",
        "こんにちは、はじめまして。",
    ),
    "find_process": (
        "firefoxのプロセスある？",
        "java という名前のプロセスの PID を調べてください。",
    ),
    "kill_process": (
        "PID 4321 をkillして",
        "応答しなくなった firefox のプロセスを強制終了してください。",
    ),
    "running_services": (
        "稼働中のサービス一覧",
        "現在動作しているサービスをすべて表示してください。",
    ),
    "enabled_services": (
        "自動起動が有効なサービス一覧",
        "ブート時に自動的に立ち上がるサービスを教えてください。",
    ),
    "start_service": (
        "nginx起動して",
        "停止している postgresql サービスを開始してください。",
    ),
    "stop_service": (
        "apache2止めて",
        "cups サービスを停止していただけますか。",
    ),
    "restart_service": (
        "sshd再起動",
        "設定を変更したので nginx を再起動してください。",
    ),
    "enable_service": (
        "dockerを自動起動オンに",
        "マシンの起動時に postgresql が自動で立ち上がるように設定してください。",
    ),
    "disable_service": (
        "bluetoothの自動起動を切って",
        "次回のブートから cups が自動的に起動しないようにしてください。",
    ),
    "timers": (
        "systemdタイマー一覧",
        "有効なタイマーと次回の発動時刻を表示してください。",
    ),
    "scheduled_jobs": ("定期的に実行されるように設定されているジョブをすべて教えてください。",),
}
