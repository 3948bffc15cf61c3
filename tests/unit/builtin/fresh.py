"""How people ask for the first fifteen things: per intent, a line a phrasing, in English and in Japanese.

Their older phrasings are all ones that the data was made to understand. These were written later, from the intents'
meaning, without trying any of them first; every other line is held out as in `everyday.py`. One that is mended goes to
the end of its list, and an untried one takes its place.
"""

FRESH = {
    "disk_space": (
        """
        how much free disk do we have
        are any of the disks getting full?
        what's the remaining capacity of the drives
        can you check the free space
        is the server running out of storage
        show disk utilisation
        """,
        """
        ディスクはあとどれくらい使える？
        ストレージの残りを教えて
        ディスクが一杯になっていないか確認して
        空き領域はどのくらい？
        ディスクの使用状況を見せて
        ドライブの空き容量を確認したい
        """,
    ),
    "folder_space": (
        """
        how much room is left on /var
        is /boot nearly full?
        free space in /srv please
        how full is /home
        disk usage of the partition with /opt
        what's left on /tmp
        """,
        """
        /var の残り容量は？
        /boot はいっぱい？
        /srv の空きを教えて
        /home の空き具合は？
        /opt のディスク使用率は
        /tmp にあとどれくらい余裕がある？
        /home はどれくらい空いている？
        """,
    ),
    "big_files": (
        """
        which files in /var/log are the largest?
        show the five largest files in /usr
        find huge files under /home
        what large files are there in /opt
        show me the heaviest files on the system
        biggest files below /srv please
        list the ten biggest files
        """,
        """
        /var/log で一番大きいファイルは？
        大きいファイルを10個見せて
        /home の巨大なファイルを探して
        /opt にある大きなファイルは？
        サイズの大きいファイルを一覧にして
        /srv で容量の大きいファイルを教えて
        """,
    ),
    "big_folders": (
        """
        which directory takes the most space?
        what is filling up /var
        show the size of the folders in /home
        what's eating my disk
        how large is /usr/share
        biggest directories under /opt
        """,
        """
        一番容量を使っているフォルダは？
        /var を埋めているのは何？
        /home のフォルダのサイズを見せて
        ディスクを食っているのはどこ？
        /usr/share の大きさは？
        /opt で大きいディレクトリは
        """,
    ),
    "memory": (
        """
        how much RAM is free
        is the memory full?
        show me the memory usage
        do we have enough memory left
        how much swap is used
        what's the total memory of this machine
        """,
        """
        空きメモリはどれくらい？
        メモリは足りている？
        メモリの使用量を見せて
        RAM の残りは？
        スワップは使われている？
        搭載メモリの合計は？
        """,
    ),
    "top_cpu": (
        """
        which process is using the most cpu?
        what is hogging the processor
        why is this machine so slow
        show the top processes
        how busy is the cpu
        which program keeps the processor busy
        what's eating all the cpu time
        """,
        """
        CPU を一番使っているプロセスは？
        何がCPUを食っているの？
        このマシンが重いのはなぜ？
        CPU 使用率の高いプロセスを見せて
        CPU の使用率は？
        動作が遅い原因を調べて
        """,
    ),
    "top_memory": (
        """
        which process uses the most memory?
        what is eating my ram
        who is hogging the memory
        show processes by memory usage
        what takes up so much memory
        top memory consumers
        """,
        """
        メモリを一番使っているプロセスは？
        何がメモリを食っている？
        メモリを占有しているのは何？
        メモリ使用量の多いプロセスを見せて
        メモリを消費しているプログラムは？
        RAM を食っているのは？
        """,
    ),
    "uptime": (
        """
        how long has the server been running?
        when was this machine booted
        what is the uptime
        show me the load average
        since when is it up
        when did it last reboot?
        """,
        """
        このサーバーはいつから動いている？
        最後に起動したのはいつ？
        アップタイムを教えて
        ロードアベレージは？
        起動してからどれくらい経った？
        最後に再起動したのはいつ？
        """,
    ),
    "system": (
        """
        what OS is this?
        which version of Debian is running here
        show the kernel version
        which linux distribution does this server use
        what release is this
        tell me the os version
        """,
        """
        この OS は何？
        カーネルのバージョンを教えて
        どのディストリビューション？
        Debian のバージョンは？
        OS のリリースを確認したい
        Linux のバージョンは？
        このシステムのアーキテクチャは？
        """,
    ),
    "failed_services": (
        """
        are there any failed units?
        did any service fail
        which daemons are broken
        show me services in failed state
        is everything running fine?
        any problems with the services
        """,
        """
        失敗しているユニットはある？
        落ちているサービスは？
        異常なサービスを教えて
        失敗したユニットを見せて
        サービスはすべて正常？
        何か問題のあるサービスは？
        エラーになっているサービスを一覧にして
        """,
    ),
    "service_state": (
        """
        is sshd up?
        what's the status of postgresql
        did docker crash
        is the cron service active
        why is nginx not running
        is mariadb still running
        check whether redis is alive
        """,
        """
        sshd は起動している？
        postgresql の状態を教えて
        docker は落ちている？
        cron サービスは動作中？
        nginx が動いていないのはなぜ？
        redis が生きているか確認して
        """,
    ),
    "addresses": (
        """
        what's the ip of this machine?
        show my network addresses
        which ip addresses does eth0 have
        what is the default gateway
        give me the IPv6 address
        list the network interfaces
        """,
        """
        このマシンの IP は？
        ネットワークのアドレスを見せて
        eth0 の IP アドレスは？
        デフォルトゲートウェイを教えて
        IPv6 アドレスは？
        ネットワークインターフェースの一覧
        """,
    ),
    "help": (
        """
        what can I ask you?
        help me
        what are you able to do
        what do you know about
        how do you work
        show me what you can do
        which questions do you understand
        """,
        """
        何を聞ける？
        ヘルプ
        あなたは何ができますか
        使い方を教えて
        どんな質問に答えられる？
        できることを教えて
        """,
    ),
    "greeting": (
        """
        hi there
        good morning
        hey
        good evening
        hello aios
        greetings
        """,
        """
        おはようございます
        やあ
        こんばんは
        はじめまして
        どうも
        こんにちは aios
        """,
    ),
    "run": (
        """
        run: uname -a
        please run `df -h`
        execute: ls /srv
        run the command "uptime"
        run this: cat /etc/hostname
        $ free -m
        """,
        """
        次を実行: uname -a
        `df -h` を実行して
        実行: ls /srv
        「uptime」を実行してください
        cat /etc/hostname を実行
        コマンド free -m を実行して
        """,
    ),
}
