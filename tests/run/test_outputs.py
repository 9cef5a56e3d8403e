"""Outputs that are whole or absent: what a reader sees while they are written, after errors, and after kills."""

import errno
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.run import files, outputs
from pipeline.run.errors import InputError
from pipeline.run.outputs import written_whole


def write(path: Path, text: str, *, folder: bool) -> None:
    files.write_bytes(path / "deep/part" if folder else path, text.encode())


def content(path: Path) -> str | None:
    return (path / "deep/part" if path.is_dir() else path).read_text() if path.exists() else None


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("before", "folder"), [(None, False), (None, True), ("file", False), ("folder", True), ("empty folder", True)]
)
def test_the_old_output_stays_until_the_new_one_is_whole(tmp_path, before, folder):
    target = tmp_path / "out"
    if before == "empty folder":
        target.mkdir()
    elif before:
        write(target, "old", folder=before == "folder")
    old = content(target) if before != "empty folder" else None
    with pytest.raises(ZeroDivisionError), written_whole(target) as partial:
        write(partial, "half", folder=folder)
        assert before == "empty folder" or content(target) == old
        raise ZeroDivisionError
    assert before == "empty folder" or content(target) == old
    with written_whole(target) as partial:
        assert not partial.exists() and partial.parent == target.parent
        write(partial, "new", folder=folder)
    assert content(target) == "new" and names(tmp_path) == ["out"]


@pytest.mark.parametrize("folder", [False, True])
def test_a_folder_never_takes_the_place_of_a_file_nor_a_file_that_of_a_folder(tmp_path, folder):
    write(tmp_path / "out", "mine", folder=not folder)
    with (
        pytest.raises(
            InputError, match=r"out: cannot be replaced \((Not|Is) a directory\); what was made is in"
        ) as told,
        written_whole(tmp_path / "out") as partial,
    ):
        write(partial, "new", folder=folder)
    assert content(tmp_path / "out") == "mine" and content(Path(str(told.value).rsplit(" ", 1)[1])) == "new"


def test_a_link_to_a_folder_is_written_where_it_lies_and_one_to_a_file_is_replaced(tmp_path):
    for name in ("disk", "cache"):
        (tmp_path / name).mkdir()
    write(tmp_path / "disk/real", "old", folder=True)
    write(tmp_path / "cache/blob", "old", folder=False)
    (tmp_path / "folder").symlink_to("disk/real")
    (tmp_path / "file").symlink_to("cache/blob")
    for name, folder in {"folder": True, "file": False}.items():
        with written_whole(tmp_path / name) as partial:
            write(partial, "new", folder=folder)
    assert (tmp_path / "folder").is_symlink() and content(tmp_path / "disk/real") == "new"
    assert not (tmp_path / "file").is_symlink() and content(tmp_path / "cache/blob") == "old"


def test_what_cannot_be_replaced_as_a_whole_is_refused_before_anything_is_made(tmp_path, monkeypatch):
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for path, message in {tmp_path / "dangling": "a link to nowhere", Path(): "the folder that this runs in"}.items():
        with pytest.raises(InputError, match=message), written_whole(path):
            pytest.fail("it ran")
    monkeypatch.setattr(Path, "is_mount", lambda path: path.name == "here")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="here: a mounted file system"), written_whole(Path("here")):
        pytest.fail("it ran")


HOLDER = """
import sys, time
from pathlib import Path
from pipeline.run import files
from pipeline.run.outputs import written_whole
with written_whole(Path(sys.argv[1])) as partial:
    files.write_bytes(partial / "half", b"half")
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path, root):
    """A process that is in the middle of writing ``out``."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path / "out"], cwd=root, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "writing\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_writer_is_told_who_writes(tmp_path, holder, monkeypatch):
    monkeypatch.setattr(outputs, "PATIENCE", 0.2)
    with (
        pytest.raises(InputError, match=f"out: process {holder.pid} is writing it; wait for it, or end it"),
        written_whole(tmp_path / "out"),
    ):
        pytest.fail("it ran")
    holder.terminate()
    holder.wait()
    assert not (tmp_path / "out").exists()


def test_the_writer_after_a_killed_one_clears_up(tmp_path, holder):
    write(tmp_path / ".out.b.1-0123abcd.partial", "of another target", folder=False)
    write(tmp_path / "out", "old", folder=True)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert len(names(tmp_path)) == 4 and content(tmp_path / "out") == "old"
    with written_whole(tmp_path / "out") as partial:
        write(partial, "new", folder=True)
    assert names(tmp_path) == [".out.b.1-0123abcd.partial", "out"] and content(tmp_path / "out") == "new"


def test_a_kill_between_the_two_renames_of_a_folder_is_mended(tmp_path):
    write(tmp_path / ".out.1-0123abcd.old", "old", folder=True)
    write(tmp_path / ".out.1-0123abcd.partial", "new", folder=True)
    with pytest.raises(ZeroDivisionError), written_whole(tmp_path / "out"):
        assert content(tmp_path / "out") == "old"
        raise ZeroDivisionError
    assert names(tmp_path) == ["out"] and content(tmp_path / "out") == "old"


def test_writers_one_after_the_other_never_share_a_lock(tmp_path, root):
    """Each adds one to a number; a lock that fails while its file is removed would lose some."""
    code = (
        "import sys; from pathlib import Path; from pipeline.run.outputs import written_whole\n"
        "target = Path(sys.argv[1])\n"
        "for _ in range(40):\n"
        "    with written_whole(target) as partial:\n"
        "        partial.write_text(str(int(target.read_text() if target.exists() else 0) + 1))\n"
    )
    command = [sys.executable, "-c", code, tmp_path / "number"]
    writers = [subprocess.Popen(command, cwd=root) for _ in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert names(tmp_path) == ["number"] and (tmp_path / "number").read_text() == "120"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True)
    if made.returncode:
        pytest.skip("no small file system can be mounted here (it takes root)")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_full_disk_leaves_the_old_output_and_names_the_target(small_disk):
    write(small_disk / "out", "old", folder=True)
    with pytest.raises(OSError, match="No space left on device") as full, written_whole(small_disk / "out") as partial:
        for number in range(20):
            files.write_bytes(partial / str(number), bytes(100_000))
    assert full.value.filename.startswith(f"{small_disk}/out/")
    assert content(small_disk / "out") == "old" and names(small_disk) == ["out"]


def test_a_full_disk_of_which_a_library_only_says_the_number(tmp_path):
    with pytest.raises(OSError) as full, written_whole(tmp_path / "out"):
        raise ValueError("Error while serializing: I/O error: No space left on device (os error 28)")
    assert full.value.errno == errno.ENOSPC and full.value.filename == str(tmp_path / "out")


def test_work_that_cannot_be_moved_in_place_is_kept(tmp_path):
    (tmp_path / "out").mkdir()
    message = r"out: cannot be replaced \(.*\); what was made is in .*-finished$"
    with pytest.raises(InputError, match=message) as told, written_whole(tmp_path / "out") as partial:
        write(partial, "new", folder=True)
        if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path / "out"], capture_output=True).returncode:
            pytest.skip("nothing can be mounted here (it takes root)")
    subprocess.run(["umount", "-l", tmp_path / "out"], check=True)
    assert content(Path(str(told.value).rsplit(" ", 1)[1])) == "new"
    assert [name for name in names(tmp_path) if name.startswith(".")] == []


def test_hidden_names_are_not_seen_by_git_dvc_or_readers(root, tmp_path):
    from dvc.fs import localfs
    from dvc.ignore import DvcIgnoreFilter

    from pipeline.run.listing import is_wanted

    ignored = DvcIgnoreFilter(localfs, str(root))
    for folder in ("data/cohorts/held_out", "models/segmenter", "results", "."):
        for name in (".x.12-0123abcd.partial", ".x.12-0123abcd.old", ".x.lock"):
            path = root / folder / name
            assert subprocess.run(["git", "check-ignore", "-q", path], cwd=root).returncode == 0
            assert ignored.is_ignored_file(str(path)) and not is_wanted(name)


def test_a_message_names_the_target_and_no_hidden_path(tmp_path):
    with pytest.raises(InputError) as told, written_whole(tmp_path / "out") as partial:
        raise InputError(f"{partial}/a.png: bad; {partial.name} too")
    assert str(told.value) == f"{tmp_path}/out/a.png: bad; out too"


def test_a_removed_folder_is_gone_at_once(tmp_path, monkeypatch):
    """Who is killed while a tree is removed leaves nothing that looks like an output."""
    write(tmp_path / "out", "old", folder=True)
    monkeypatch.setattr(files.shutil, "rmtree", lambda path: None)
    files.remove(tmp_path / "out")
    assert not (tmp_path / "out").exists() and all(name.startswith(".") for name in names(tmp_path))
