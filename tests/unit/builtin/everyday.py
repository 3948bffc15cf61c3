"""How people ask for the everyday things: per intent, a line a phrasing, in English and in Japanese.

Written from the intents' meaning. Every other line is held out: the data is made to understand the first, third and
fifth of each list, and the test counts how many of the rest it understands.
"""

from tests.unit.builtin.fresh import FRESH

SERVICES = {
    "service_logs": (
        """
        show me the logs of nginx
        nginx logs since yesterday
        what does the journal say about sshd
        log of cron from the last hour
        last log entries of docker please
        journalctl for postgresql today
        what has the service shop-sync logged
        can I see sshd's log for the last 3 days
        """,
        """
        nginxのログを見せて
        昨日からのnginxのログ
        sshdのログ
        cronの直近1時間のログを教えて
        dockerのログを確認したい
        今日のpostgresqlのログ
        shop-syncサービスのログは？
        過去3日間のsshdのログを表示して
        """,
    ),
    "recent_errors": (
        """
        any errors in the journal?
        show recent errors
        what errors were logged today
        errors in the system log since yesterday
        did anything go wrong in the logs
        list the error messages in the journal
        errors since the last boot
        system log errors from the past hour
        """,
        """
        ジャーナルにエラーはある？
        最近のエラーを見せて
        今日のエラーログ
        昨日からのエラーメッセージ
        システムログのエラー
        ログにエラーが出ていないか確認して
        直近1時間のエラーログは
        起動してからのエラーを教えて
        """,
    ),
    "kernel_messages": (
        """
        kernel messages
        show the kernel log
        dmesg
        what does the kernel say
        last messages of the kernel
        any kernel errors in dmesg
        print the kernel ring buffer
        kernel log please
        """,
        """
        カーネルメッセージ
        カーネルのログを見せて
        dmesgを表示して
        カーネルからのメッセージは？
        dmesgの内容
        カーネルログを確認したい
        カーネルのエラーはある？
        最近のカーネルメッセージを教えて
        """,
    ),
    "boot_time": (
        """
        how long did the boot take?
        boot time
        what slowed down the boot
        why is booting so slow
        which service takes longest at startup
        systemd-analyze blame
        what makes the startup slow
        how many seconds did it take to boot
        """,
        """
        起動にどれくらいかかった？
        起動時間は？
        起動が遅い原因
        起動に時間がかかっているのは何
        ブートに何秒かかった？
        起動を遅くしているサービスは
        ブート時間を教えて
        立ち上がりが遅いのはなぜ
        """,
    ),
    "running_services": (
        """
        which services are running?
        list running services
        show all services
        what daemons are active
        list of all active units
        what services do I have
        running daemons
        services that are up
        """,
        """
        動いているサービスは？
        稼働中のサービス一覧
        サービスの一覧を見せて
        実行中のデーモンは
        どんなサービスが動いてる？
        全サービスを表示
        起動中のサービスを教えて
        サービス一覧
        """,
    ),
    "enabled_services": (
        """
        which services start at boot?
        list enabled services
        what starts automatically at boot
        services enabled at startup
        autostart services
        what is enabled at boot
        which units are started on boot
        """,
        """
        起動時に有効なサービスは？
        自動起動するサービス一覧
        自動起動の一覧
        どのサービスが自動起動になっている？
        有効になっているサービスを見せて
        起動時に自動で始まるサービス
        自動起動サービスを教えて
        """,
    ),
    "start_service": (
        """
        start nginx
        please start the service shop-sync
        could you start docker?
        bring up nginx
        start sshd.service
        launch the postgresql service
        systemctl start cron
        """,
        """
        nginxを起動して
        dockerを起動してください
        shop-syncサービスを起動して
        sshdを開始して
        postgresqlを起動したい
        nginxをスタートさせて
        cronを立ち上げて
        """,
    ),
    "stop_service": (
        """
        stop nginx
        please stop the docker service
        shut down postgresql
        can you stop sshd
        stop the service shop-sync
        systemctl stop cron
        halt the nginx service
        """,
        """
        nginxを停止して
        dockerを止めて
        shop-syncサービスを停止してください
        sshdを止めてください
        postgresqlを停止したい
        nginxをストップして
        cronを停止させて
        """,
    ),
    "restart_service": (
        """
        restart nginx
        please restart the service shop-sync
        can you restart sshd?
        bounce docker
        restart postgresql please
        systemctl restart cron
        nginx needs a restart
        """,
        """
        nginxを再起動して
        sshdを再起動
        shop-syncサービスを再起動してください
        dockerを再起動したい
        postgresqlをリスタートして
        cronサービスを再起動して
        nginxを立ち上げ直して
        """,
    ),
    "enable_service": (
        """
        enable nginx
        start nginx at boot
        enable the docker service
        make sshd start automatically at boot
        please enable postgresql at startup
        systemctl enable cron
        turn on nginx at boot
        """,
        """
        nginxを有効にして
        dockerを自動起動にして
        sshdを自動起動するようにして
        postgresqlを有効化して
        nginxを起動時に有効にして
        cronサービスを有効にしてください
        shop-syncを自動起動に設定して
        """,
    ),
    "disable_service": (
        """
        disable nginx
        don't start nginx at boot
        disable the docker service
        please disable postgresql at startup
        systemctl disable cron
        stop sshd from starting at boot
        turn off nginx at boot
        """,
        """
        nginxを無効にして
        dockerの自動起動を止めて
        sshdを無効化して
        postgresqlの自動起動を無効にして
        cronサービスを無効にしてください
        nginxの自動起動をやめて
        shop-syncを無効化したい
        """,
    ),
    "timers": (
        """
        list timers
        systemd timers
        which timers are active
        when does the next timer run
        show all systemd timers
        what timers do I have
        timer list please
        """,
        """
        タイマー一覧
        systemdタイマーを見せて
        どんなタイマーがある？
        次に動くタイマーは
        タイマーの一覧を表示
        有効なタイマーを教えて
        タイマーはいつ実行される？
        """,
    ),
    "scheduled_jobs": (
        """
        scheduled jobs
        show cron jobs
        what is scheduled on this machine
        list the crontab
        which cronjobs are there
        what runs regularly
        are there any scheduled tasks
        """,
        """
        スケジュールされたジョブ
        cronジョブの一覧
        定期実行されるものは何？
        crontabを見せて
        予定されているジョブを教えて
        定期実行のジョブ一覧
        スケジュールされたタスクはある？
        """,
    ),
}

NETWORK = {
    "network_check": (
        """
        is my network up?
        why is the network down
        is the internet working
        why is my wifi down
        I have no internet
        check the network connection
        is there a network connection
        network not working
        am I online
        """,
        """
        ネットワークは繋がっている？
        ネットに繋がらない
        ネットワークが繋がらないのはなぜ
        インターネットに接続できない
        ネットワーク接続を確認して
        Wi-Fiが繋がらない
        ネットは生きてる？
        インターネットは使える？
        ネットワークの調子がおかしい
        """,
    ),
    "listening_ports": (
        """
        which ports are open?
        listening ports
        what is listening on this machine
        who listens on which port
        show open ports
        list all listening sockets
        what ports are open to the network
        which services listen on ports
        """,
        """
        開いているポートは？
        待ち受けポート一覧
        どのポートが開いてる？
        リッスンしているポートを見せて
        何が待ち受けている？
        ポート一覧
        待受ポートを教えて
        外部に公開されているポートは
        """,
    ),
    "port_user": (
        """
        who uses port 8080?
        what is listening on port 80
        which process uses port 443
        what service listens on port 22
        is port 5432 open
        is something using port 3000
        what's on port 631
        which program is on port 53
        """,
        """
        ポート8080を使っているのは？
        80番ポートは何が使っている
        443番ポートを使用しているプロセス
        22番ポートは開いている？
        ポート5432は誰が使ってる
        3000番ポートを待ち受けているのは
        8080番ポートを使っているのは
        ポート53のプロセスは？
        """,
    ),
    "connections": (
        """
        active connections
        show network connections
        who is connected to this machine
        established connections
        list open tcp connections
        which hosts are connected
        current connections please
        """,
        """
        接続中のコネクション一覧
        現在の接続を見せて
        TCP接続の一覧
        どこと通信している？
        確立された接続は
        ネットワーク接続の一覧
        通信中の相手を教えて
        """,
    ),
    "dns_servers": (
        """
        which dns server am I using
        dns settings
        what are my name servers
        show the dns servers
        nameserver
        what's the dns configuration
        resolv.conf please
        """,
        """
        DNSサーバーは？
        DNSの設定を見せて
        ネームサーバーを教えて
        どのDNSを使ってる？
        名前解決の設定は
        DNSサーバー一覧
        ネームサーバは何
        """,
    ),
    "hostname": (
        """
        what is my hostname
        hostname
        what is this machine called
        host name of this computer
        name of this machine
        show the hostname
        what's the name of this server
        """,
        """
        ホスト名は？
        ホスト名を教えて
        このマシンの名前は
        コンピューター名
        このサーバーの名前を教えて
        ホストネームは何
        ホスト名を表示
        """,
    ),
    "firewall": (
        """
        is the firewall on?
        show the firewall rules
        firewall status
        what does the firewall block
        list nftables rules
        iptables rules please
        is there a firewall running
        """,
        """
        ファイアウォールは有効？
        ファイアウォールの設定を見せて
        ファイアウォールのルール一覧
        iptablesのルール
        ファイアウォールの状態
        ファイアウォールは動いてる？
        nftablesのルールを表示
        """,
    ),
    "logged_in": (
        """
        who is logged in?
        which users are logged in
        who is on this machine
        logged in users
        who else is here right now
        show current sessions
        active login sessions
        """,
        """
        誰がログインしている？
        ログイン中のユーザー
        ログインしている人は
        今誰がログインしてる？
        現在のログインセッション
        ログイン中のユーザー一覧
        ログインしているユーザーを教えて
        """,
    ),
    "last_logins": (
        """
        last logins
        who logged in last
        when did alice last log in
        login history
        show the recent logins
        who logged in yesterday
        previous logins on this server
        """,
        """
        最後のログインは？
        ログイン履歴
        最後にログインしたのは誰
        最近のログインを見せて
        昨日ログインしたのは誰
        ログインの履歴を表示
        直近のログイン
        """,
    ),
    "failed_logins": (
        """
        failed logins
        any failed login attempts?
        who tried to log in and failed
        show failed ssh logins
        login failures since yesterday
        is somebody trying to break in
        wrong password attempts
        """,
        """
        失敗したログイン
        ログイン失敗の履歴
        ログインに失敗した人はいる？
        不正ログインの試行はある？
        昨日からのログイン失敗
        ログイン失敗を見せて
        SSHログインの失敗
        """,
    ),
    "users": (
        """
        list users
        which users exist on this machine
        show all user accounts
        what accounts are there
        users on this system
        how many users are there
        user list
        """,
        """
        ユーザー一覧
        どんなユーザーがいる？
        このマシンのユーザーは
        アカウント一覧を見せて
        ユーザーアカウントを教えて
        登録されているユーザー
        ユーザは何人いる
        """,
    ),
    "groups": (
        """
        list groups
        which groups exist
        show all groups on this machine
        who is in the wheel group
        members of group sudo
        what groups are there
        group list
        """,
        """
        グループ一覧
        どんなグループがある？
        wheelグループに入っているのは誰
        sudoグループのメンバー
        グループを全部見せて
        グループの一覧を教えて
        wheelグループのメンバーは
        """,
    ),
    "user_info": (
        """
        which groups is alice in
        tell me about user bob
        what groups does carol belong to
        is alice an administrator
        user alice
        show user bob please
        is bob in wheel
        """,
        """
        aliceはどのグループに入っている？
        ユーザーbobについて教えて
        carolのグループは
        aliceは管理者？
        ユーザーaliceの情報
        bobの所属グループ
        ユーザーcarolを見せて
        """,
    ),
}

PACKAGES = {
    "install_package": (
        """
        install htop
        please install the package nginx
        can you install vim?
        I want to install ripgrep
        pacman -S tmux
        apt install curl
        add the package jq
        instal htop
        """,
        """
        htopをインストールして
        vimを入れて
        nginxパッケージをインストールしてください
        ripgrepをインストールしたい
        tmuxを追加して
        curlのインストールをお願い
        jqを入れてください
        """,
    ),
    "remove_package": (
        """
        remove htop
        uninstall vim
        please uninstall the package nginx
        delete the package tmux
        get rid of the jq package
        pacman -R htop
        can you remove the package curl
        """,
        """
        htopを削除して
        vimをアンインストールして
        nginxパッケージを削除してください
        tmuxをアンインストールしたい
        jqパッケージを消して
        パッケージcurlを削除
        htopを取り除いて
        """,
    ),
    "update_packages": (
        """
        update the system
        upgrade all packages
        install all updates
        please update this machine
        pacman -Syu
        bring the system up to date
        apply the updates
        upgrade everything
        """,
        """
        システムを更新して
        アップデートして
        パッケージを全部更新して
        システムをアップデートしてください
        更新を適用して
        全パッケージをアップグレード
        更新をインストールして
        """,
    ),
    "search_package": (
        """
        search for a package named nginx
        find a package for tmux
        is there a package called ripgrep
        search package htop
        look for packages about docker
        which packages are called vim
        pacman -Ss jq
        """,
        """
        nginxというパッケージを検索
        パッケージhtopを探して
        ripgrepというパッケージはある？
        vimパッケージを検索して
        dockerのパッケージを探してください
        tmuxのパッケージを検索したい
        jqというパッケージを探して
        """,
    ),
    "package_info": (
        """
        which version of nginx is installed
        is htop installed?
        info about the package vim
        what version of openssl do I have
        package info bash
        do I have tmux installed
        show details of package curl
        """,
        """
        nginxのバージョンは？
        htopはインストールされている？
        vimパッケージの情報
        opensslのバージョンを教えて
        bashパッケージの詳細
        tmuxは入ってる？
        curlはインストール済み？
        """,
    ),
    "file_owner": (
        """
        which package owns /usr/bin/ls
        what package does /etc/passwd belong to
        who owns the file /usr/bin/vim
        which package provides /usr/bin/dig
        /usr/bin/jq is from which package
        what package is /bin/sh from
        package of /usr/bin/env
        """,
        """
        /usr/bin/ls はどのパッケージのもの？
        /etc/passwd を所有しているパッケージ
        /usr/bin/vim はどのパッケージに含まれる？
        /usr/bin/dig を提供するパッケージは
        /usr/bin/jq のパッケージ
        /bin/sh はどのパッケージから来た？
        /usr/bin/env が属するパッケージは
        """,
    ),
    "package_files": (
        """
        files of the package nginx
        list the files in package vim
        what files did htop install
        which files belong to package curl
        what is in the package jq
        show files from package tmux
        contents of package bash
        """,
        """
        nginxパッケージのファイル一覧
        パッケージvimに含まれるファイル
        htopがインストールしたファイル
        curlパッケージの中身
        jqパッケージのファイルを見せて
        tmuxパッケージのファイル
        パッケージbashのファイルを一覧表示
        """,
    ),
    "package_history": (
        """
        what was installed yesterday?
        which packages were installed last week
        what changed in the packages since 2026-11-01
        recently installed packages
        package history
        what was updated today
        show the installs of the last 3 days
        what got installed since yesterday
        """,
        """
        昨日インストールされたものは？
        先週インストールしたパッケージ
        最近インストールされたパッケージ
        パッケージの履歴
        今日更新されたパッケージは
        昨日何がインストールされた？
        過去3日間のインストール履歴
        パッケージの更新履歴を見せて
        """,
    ),
    "pending_updates": (
        """
        are there updates?
        check for updates
        pending updates
        is the system up to date
        which packages can be updated
        what updates are available
        how many updates are waiting
        any new updates?
        """,
        """
        アップデートはある？
        更新はありますか
        更新可能なパッケージ
        システムは最新？
        利用可能なアップデートを確認
        未適用の更新は
        アップデートを確認して
        更新があるか教えて
        """,
    ),
    "orphans": (
        """
        orphaned packages
        which packages are no longer needed
        list orphans
        unneeded packages
        are there unused packages
        packages nobody depends on
        show orphan packages
        """,
        """
        不要なパッケージは？
        孤立したパッケージ
        使われていないパッケージ一覧
        必要なくなったパッケージ
        いらないパッケージを教えて
        孤児パッケージ
        不要パッケージの一覧
        """,
    ),
    "package_count": (
        """
        what packages are installed
        how many packages are installed
        list installed packages
        number of packages
        installed packages
        which software is installed
        count the installed packages
        """,
        """
        インストール済みパッケージ
        パッケージはいくつ入ってる？
        インストールされているパッケージ一覧
        パッケージの数
        入っているパッケージを見せて
        パッケージ数を教えて
        どんなソフトが入ってる？
        """,
    ),
}

MACHINE = {
    "mounts": (
        """
        what is mounted?
        show mounts
        list the mount points
        mounted file systems
        where is the disk mounted
        which filesystems are mounted
        mount points please
        """,
        """
        マウント一覧
        何がマウントされている？
        マウントポイントを見せて
        マウントされているファイルシステム
        マウント状況
        マウントポイントの一覧を教えて
        どこにマウントされてる？
        """,
    ),
    "hardware": (
        """
        what hardware is this
        which cpu does this machine have
        hardware info
        what kind of processor is in this computer
        cpu model
        how many cores do I have
        hardware overview
        specs of this machine
        """,
        """
        ハードウェア情報
        CPUの型番は？
        このマシンのスペック
        どんなCPUが載っている？
        コア数は
        ハードウェアの構成を教えて
        プロセッサの種類
        スペックを見せて
        """,
    ),
    "disks": (
        """
        list block devices
        which disks are installed
        lsblk
        show the partitions of my disks
        how many drives does this machine have
        what drives are connected
        partition table
        """,
        """
        ブロックデバイス一覧
        どんなディスクが付いている？
        lsblk
        パーティション構成を見せて
        接続されているドライブ
        ディスクの一覧を見せて
        パーティションの一覧
        """,
    ),
    "usb": (
        """
        list usb devices
        what is plugged into usb
        usb
        which usb devices are connected
        show me the usb devices
        lsusb
        anything on the usb ports
        """,
        """
        USBデバイス一覧
        USBに何が刺さっている？
        接続されているUSB機器
        USBデバイスを見せて
        USB機器の一覧
        USBには何が繋がってる？
        lsusb
        """,
    ),
    "pci": (
        """
        list pci devices
        which graphics card do I have
        pci devices
        lspci
        what gpu is in this machine
        show the pci cards
        video card model
        """,
        """
        PCIデバイス一覧
        グラフィックボードは何？
        PCIデバイスを見せて
        GPUは何が載ってる？
        lspci
        ビデオカードの種類
        PCI機器の一覧
        """,
    ),
    "temperature": (
        """
        how hot is the cpu
        temperature
        cpu temperature
        is the machine overheating
        show the temperatures
        sensor readings
        what's the temp of the processor
        """,
        """
        CPUの温度は？
        温度を教えて
        マシンの温度
        センサーの値
        熱くなりすぎていない？
        CPU温度を表示
        本体の温度は何度
        """,
    ),
    "battery": (
        """
        battery
        how much battery is left
        battery status
        is the battery charging
        how long does the battery last
        charge level
        battery percentage please
        """,
        """
        バッテリー残量
        バッテリーの状態
        電池はあとどれくらい？
        充電中？
        バッテリーは何パーセント
        電池残量を教えて
        バッテリーは充電されてる？
        """,
    ),
    "time": (
        """
        what time is it
        what's the date
        which time zone is set
        current time
        timezone
        what day is it today
        is the clock synchronized
        date and time please
        """,
        """
        今何時？
        今日の日付
        タイムゾーンは
        現在時刻を教えて
        今日は何日
        時刻は同期されてる？
        時計は合ってる？
        日時を表示
        """,
    ),
    "set_timezone": (
        """
        set the time zone to Asia/Tokyo
        change the timezone to Europe/Berlin
        set timezone UTC
        please set the time zone to tokyo
        switch the timezone to America/New_York
        make the timezone Europe/London
        """,
        """
        タイムゾーンをAsia/Tokyoに設定して
        タイムゾーンを東京に変更して
        タイムゾーンをUTCにして
        タイムゾーンを日本に設定
        タイムゾーンをEurope/Londonに変えて
        タイムゾーンをAsia/Tokyoに変更したい
        """,
    ),
    "find_file": (
        """
        find files named passwd
        where is the file nginx.conf
        find *.log files in /var/log
        find files bigger than 100M in /srv
        locate the file shadow.txt
        search for a file called notes.md in /home
        files changed since yesterday in /etc
        find files modified in the last 2 days in /srv
        """,
        """
        nginx.confというファイルを探して
        passwdという名前のファイルはどこ
        /var/log の *.log ファイルを探して
        /srv で100M以上のファイルを探して
        notes.mdというファイルを見つけて
        /etc で昨日から変更されたファイル
        ファイルshadow.txtはどこにある
        /home で過去2日間に更新されたファイルを探して
        """,
    ),
    "text_in_files": (
        """
        search for "PermitRootLogin" in /etc/ssh
        which files in /etc contain "eth0"
        find the text "timeout" in /srv
        grep for listen_port in /etc
        where does the word "proxy" appear in /etc
        search the files in /srv for "hello world"
        """,
        """
        /etc/ssh で「PermitRootLogin」を検索して
        /etc で「eth0」を含むファイルは
        /srv から「timeout」という文字列を探して
        /etc の中で listen_port という文字列を検索
        「proxy」という文字が /etc のどこにある？
        /srv のファイルから「hello world」を検索
        """,
    ),
    "file_user": (
        """
        who uses the file /var/lib/dpkg/lock
        which process has /srv/data open
        which program uses /mnt/usb
        who has /var/log/syslog open
        what process is holding /var/lib/pacman/db.lck
        which programs use /dev/sda1
        """,
        """
        /var/lib/dpkg/lock を使っているプロセスは
        /srv/data を開いているのは誰
        /mnt/usb を使用中のプロセス
        /var/log/syslog を開いているプロセスは？
        /var/lib/pacman/db.lck を掴んでいるのは
        /dev/sda1 を使っているプログラム
        """,
    ),
    "find_process": (
        """
        is firefox running as a process
        pid of sshd
        find the process firefox
        what is the process id of bash
        is there a process called python3
        show the processes named worker
        which processes are called httpd
        """,
        """
        firefoxというプロセスは動いてる？
        sshdのPID
        プロセスfirefoxを探して
        bashのプロセスIDは
        python3というプロセスはある？
        workerという名前のプロセス
        httpdのプロセスを見せて
        """,
    ),
    "kill_process": (
        """
        kill firefox
        kill the process firefox
        end the process python3
        please kill process 4242
        terminate the program worker
        force quit firefox
        """,
        """
        firefoxを終了して
        プロセスfirefoxを殺して
        python3のプロセスを終了させて
        プロセス4242を終了してください
        workerプロセスを強制終了して
        firefoxをkillして
        """,
    ),
    "environment": (
        """
        environment variables
        show my environment
        what is in my PATH
        print the env
        list environment variables
        show env vars
        """,
        """
        環境変数
        環境変数を見せて
        環境変数の一覧
        PATHの中身は
        envを表示
        環境変数を全部教えて
        """,
    ),
    "pending_approvals": (
        """
        pending approvals
        is anything waiting for my approval
        what do I have to approve
        open approvals
        show requests waiting for approval
        any approvals left to answer
        """,
        """
        承認待ちは？
        承認待ちの一覧
        承認が必要なものはある？
        何か承認を待っている？
        保留中の承認
        承認待ちを見せて
        """,
    ),
    "record": (
        """
        what did you do?
        what have you done today
        show me the record
        what commands did you run
        list your actions
        audit log
        what did you change
        """,
        """
        何をした？
        今日何をしましたか
        実行したコマンドを見せて
        記録を見せて
        監査ログ
        あなたは何を変更した？
        操作の履歴
        """,
    ),
    "fix_finding": (
        """
        fix finding 1
        fix 2
        repair number 3
        please fix the finding 4
        correct item 2
        fix number 1 of the security check
        """,
        """
        1番の指摘を直して
        2を修正して
        指摘3に対処して
        4番目を直してください
        指摘1を修正
        セキュリティの指摘2を解決して
        """,
    ),
    "security_check": (
        """
        security check
        is this machine secure
        check the security of this server
        is my system safe
        run a security audit
        any security problems?
        how secure is this machine
        """,
        """
        セキュリティチェック
        このマシンは安全？
        セキュリティの状態を確認して
        セキュリティ診断をして
        セキュリティに問題はある？
        このサーバーは安全ですか
        セキュリティを点検して
        """,
    ),
}

EVERYDAY = {**SERVICES, **NETWORK, **PACKAGES, **MACHINE, **FRESH}
LANGUAGES = ("en", "ja")


def phrasings(intent: str, language: str) -> list[str]:
    """The phrasings of an intent; those with an odd index are held out."""
    return [line.strip() for line in EVERYDAY[intent][LANGUAGES.index(language)].strip().splitlines()]
