"""Answers about disks, files and folders: from real output, and when there is less of it than asked for."""

from pathlib import Path

import pytest

from tests.unit.builtin import samples
from tests.unit.builtin.conversation import Printed, ask, everything, printing, real


async def test_one_disk_is_one_sentence() -> None:
    machine = printing({"df -P -T -B1 -x tmpfs -x devtmpfs -x squashfs -x efivarfs": samples.DF_ONE})
    exchange = await ask("how much disk space is left?", machine)
    assert exchange.answer == "/ is 23% full: 78.8 GiB free of 252 GiB.\n"
    exchange = await ask("ディスクの空き容量は？", machine)
    assert exchange.answer == "/ の使用率は23%です（252 GiB のうち空き 78.8 GiB）。\n"


async def test_a_full_disk_comes_first_and_a_read_only_one_last() -> None:
    exchange = await ask("disk space", printing({"df ": samples.DF_MANY}))
    assert exchange.answer == (
        "/ is 98% full: 8.9 GiB free of 468 GiB.\n"
        "\n"
        "Mounted on          Size     Used     Free  Full\n"
        "/                468 GiB  435 GiB  8.9 GiB   98%\n"
        "/mnt/team share  7.3 TiB  3.6 TiB  3.6 TiB   50%\n"
        "/srv/data        3.6 TiB  1.4 TiB  2.3 TiB   38%\n"
        "/boot/efi        511 MiB  6.1 MiB  505 MiB    2%\n"
        "/media/cdrom     630 MiB  630 MiB      0 B  100%\n"
    )
    exchange = await ask("ディスク容量", printing({"df ": samples.DF_MANY}))
    assert exchange.answer == (
        "/ は98%使用中で、残りわずかです（468 GiB のうち空き 8.9 GiB）。\n"
        "\n"
        "マウント先        サイズ     使用     空き  使用率\n"
        "/                468 GiB  435 GiB  8.9 GiB     98%\n"
        "/mnt/team share  7.3 TiB  3.6 TiB  3.6 TiB     50%\n"
        "/srv/data        3.6 TiB  1.4 TiB  2.3 TiB     38%\n"
        "/boot/efi        511 MiB  6.1 MiB  505 MiB      2%\n"
        "/media/cdrom     630 MiB  630 MiB      0 B    100%\n"
    )


async def test_disks_with_room_are_said_to_have_it() -> None:
    text = "".join(line for line in samples.DF_MANY.splitlines(keepends=True) if "nvme0n1p2" not in line)
    exchange = await ask("disk usage", printing({"df ": text}))
    first, *_ = exchange.answer.split("\n")
    assert first == "No file system is nearly full. The fullest is /mnt/team share with 50%: 3.6 TiB free of 7.3 TiB."


async def test_the_space_for_a_folder_is_asked_of_that_folder() -> None:
    exchange = await ask("how much space is left on /home?", printing({"df -P -T -B1 /home": samples.DF_ONE}))
    assert exchange.answer == "/ is 23% full: 78.8 GiB free of 252 GiB.\n"
    absent = Printed(text=samples.DF_ABSENT, outcome="failed")
    exchange = await ask("space left on /nope", printing({"df -P -T -B1 /nope": absent}))
    assert exchange.answer == "There is no /nope on this machine.\n"
    exchange = await ask("/nope の空き容量は", printing({"df -P -T -B1 /nope": absent}))
    assert exchange.answer == "このマシンに /nope はありません。\n"
    exchange = await ask("space left on /proc", real)
    assert exchange.answer == "There is no file system with a size of its own here.\n"


async def test_what_of_df_cannot_be_read_is_said() -> None:
    text = samples.DF_ONE + "garbage here\n[stderr]\ndf: /run/user/1000/doc: Operation not permitted\n"
    exchange = await ask("disk space", printing({"df ": Printed(text=text, outcome="failed")}))
    assert exchange.answer == (
        "/ is 23% full: 78.8 GiB free of 252 GiB.\n"
        "\n"
        "1 line of the output could not be read.\n"
        "1 place could not be read (permission denied): df: /run/user/1000/doc: Operation not permitted.\n"
    )


async def test_the_biggest_files_with_what_could_not_be_read() -> None:
    exchange = await ask("biggest files in /var", printing({"find /var -xdev ": samples.FIND_DENIED}))
    assert exchange.steps == (("find /var -xdev -type f -size +1M -printf '%s\\t%p\\n' | sort -rn | head -n 10",),)
    assert exchange.answer == (
        "The biggest file in /var is /var/tmp/build/cache/base-system.tar with 383 MiB.\n"
        "\n"
        "    Size  File\n"
        " 383 MiB  /var/tmp/build/cache/base-system.tar\n"
        "91.3 MiB  /var/cache/apt/archives/opencv-doc_4.6.0+dfsg-12_all.deb\n"
        "77.1 MiB  /var/cache/apt/archives/chromium_155.0.8059.79-1~deb12u1_amd64.deb\n"
        "\n"
        "3 places could not be read (permission denied), for example /var/log/private.\n"
    )
    exchange = await ask("/varで大きいファイルは", printing({"find /var -xdev ": samples.FIND_VAR.split("\n")[0]}))
    assert exchange.answer == ("/var で最も大きいファイルは /var/tmp/build/cache/base-system.tar（383 MiB）です。\n")


@pytest.mark.parametrize(
    ("printed", "answer"),
    [
        (Printed(), "I found no file of more than 1 MiB in /srv.\n"),
        (
            Printed(text="[stderr]\nfind: ‘/srv/a’: Permission denied\n"),
            "I found no file of more than 1 MiB in /srv.\n\n1 place could not be read (permission denied): /srv/a.\n",
        ),
        (
            Printed(text="find: ‘/srv/a’: Permission denied\n5000000\t/srv/b\n", outcome="failed"),
            (
                "The biggest file in /srv is /srv/b with 4.8 MiB.\n\n"
                "1 place could not be read (permission denied): /srv/a.\n"
            ),
        ),
        (
            Printed(text="[stderr]\nfind: ‘/srv/a’: Permission denied\n", outcome="failed"),
            "I found no file of more than 1 MiB in /srv.\n\n1 place could not be read (permission denied): /srv/a.\n",
        ),
        (
            Printed(
                text="9000000\t/srv/a\n[stderr]\nfind: ‘/srv/b’: Permission denied\n[… 9 characters left out …]\nied\n",
                outcome="failed",
                truncated=True,
            ),
            (
                "The biggest file in /srv is /srv/a with 8.6 MiB.\n\n"
                "The output was cut, so something may be missing here.\n"
                "1 place could not be read (permission denied): /srv/b.\n"
            ),
        ),
        (Printed(text="[stderr]\nfind: ‘/srv’: Permission denied\n"), "/srv cannot be read (permission denied).\n"),
        (Printed(text="[stderr]\nfind: ‘/srv’: No such file or directory\n"), "There is no /srv on this machine.\n"),
        (
            Printed(text="[stderr]\naios: sort: command not found\n"),
            "This needs the command `sort`, which is not on this machine.\n",
        ),
        (
            Printed(outcome="timed_out"),
            "`find /srv -xdev -type f -size +1M -printf '%s\\t%p\\n' | sort -rn | head …` did not finish in time.\n",
        ),
        (
            Printed(text="9000000\t/srv/a\nforged\n7000000\t/etc/forged\n"),
            "The biggest file in /srv is /srv/a with 8.6 MiB.\n\n2 lines of the output could not be read.\n",
        ),
        (
            Printed(text="9000000\t/srv/a\n[... 4,000 bytes left out ...]\n", truncated=True),
            (
                "The biggest file in /srv is /srv/a with 8.6 MiB.\n\n"
                "The output was cut, so something may be missing here.\n"
            ),
        ),
    ],
)
async def test_files_are_told_as_far_as_they_could_be_read(printed: Printed, answer: str) -> None:
    assert (await ask("biggest files in /srv", everything(printed))).answer == answer


async def test_the_biggest_folders_with_their_share() -> None:
    machine = printing({"du -x -B1 -d 1 /var": Printed(text=samples.DU_DENIED, outcome="failed")})
    assert (await ask("what eats /var", machine)).answer == (
        "/var takes 3.1 GiB. Its largest part is /var/cache with 2.2 GiB (72%).\n"
        "\n"
        "    Size  Share  Folder\n"
        " 2.2 GiB    72%  /var/cache\n"
        " 831 MiB    27%  /var/tmp\n"
        "51.4 MiB     2%  /var/lib\n"
        " 648 KiB    <1%  /var/log\n"
        " 4.0 KiB    <1%  /var/backups\n"
        "\n"
        "1 place could not be read (permission denied): /var/log/private.\n"
    )
    assert (await ask("/varを圧迫しているのは", machine)).answer == (
        "/var の使用量は 3.1 GiB です。最も大きいのは /var/cache の 2.2 GiB（72%）です。\n"
        "\n"
        "  サイズ  割合  フォルダ\n"
        " 2.2 GiB   72%  /var/cache\n"
        " 831 MiB   27%  /var/tmp\n"
        "51.4 MiB    2%  /var/lib\n"
        " 648 KiB   <1%  /var/log\n"
        " 4.0 KiB   <1%  /var/backups\n"
        "\n"
        "権限がないため読み取れなかった場所が1か所あります（例: /var/log/private）。\n"
    )


async def test_folders_read_in_part_are_not_taken_for_the_whole() -> None:
    text = "4096\t/var/backups\n2358009856\t/var/cache\n"
    exchange = await ask("what eats /var", everything(Printed(text=text, outcome="timed_out")))
    assert exchange.answer == (
        "The biggest folder read so far is /var/cache with 2.2 GiB.\n"
        "\n"
        "   Size    Folder\n"
        "2.2 GiB    /var/cache\n"
        "4.0 KiB    /var/backups\n"
        "\n"
        "The command did not finish, so something is missing here.\n"
    )


async def test_the_sizes_are_those_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "夜").mkdir()
    (tmp_path / "a" / "two\nlines").write_bytes(b"x" * 3 * 1024 * 1024)
    (tmp_path / "夜" / "\x1b[31mred").write_bytes(b"x" * 5 * 1024 * 1024)
    exchange = await ask(f"biggest files in {tmp_path}", real)
    assert exchange.answer.split("\n\n") == [
        f"The biggest file in {tmp_path} is {tmp_path}/夜/\\x1b[31mred with 5.0 MiB.",
        f"   Size  File\n5.0 MiB  {tmp_path}/夜/\\x1b[31mred\n3.0 MiB  {tmp_path}/a/two",
        "1 line of the output could not be read.\n",
    ]
    exchange = await ask(f"what eats {tmp_path}", real)
    first = exchange.answer.split("\n")[0]
    assert first == f"{tmp_path} takes 8.0 MiB. Its largest part is {tmp_path}/夜 with 5.0 MiB (62%)."
