"""Our own files: no link among them is followed, whoever puts it there, and whenever."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tithe.selection.storage.own_files import NotOurs, OwnPath

USES: dict[str, Callable[[OwnPath], object]] = {
    "create": lambda path: path.create().close(),
    "open": lambda path: path.open().close(),
    "write": lambda path: path.write(b"new"),
    "write into it": lambda path: os.close(path.descriptor(os.O_WRONLY | os.O_TRUNC)),
    "lock": lambda path: os.close(path.descriptor(os.O_RDWR | os.O_CREAT)),
    "make": lambda path: path.make(),
    "make all": lambda path: path.make_all(),
    "names": lambda path: path.names(),
    "create in it": lambda path: (path / "new").write(b"new"),
    "make in it": lambda path: (path / "new").make(),
    "nameless in it": lambda path: path.nameless().close(),
    "remove in it": lambda path: (path / "precious").remove(),
    "unlink in it": lambda path: (path / "precious").unlink(),
    "replace in it": lambda path: (path.parent / "mine").replace(path / "precious"),
}


def content(folder: Path) -> dict[str, bytes | str]:
    """Everything below a folder: bytes of files, targets of links."""
    return {
        str(path.relative_to(folder)): str(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else ""
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("target", ["a file", "a folder", "nothing"])
@pytest.mark.parametrize("use", USES)
def test_no_link_is_followed(use: str, target: str, tmp_path: Path) -> None:
    victim, folder = tmp_path / "victim", tmp_path / "named"
    folder.mkdir()
    if target == "a file":
        victim.write_text("precious")
    elif target == "a folder":
        victim.mkdir()
        (victim / "precious").write_text("precious")
    (folder / "mine").write_text("mine")
    (folder / "link").symlink_to(victim)
    before = content(tmp_path)
    with pytest.raises((NotOurs, FileExistsError), match="link"):
        USES[use](OwnPath(folder) / "link")
    assert content(tmp_path) == before


def test_a_folder_that_the_user_named_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "named").symlink_to("real")
    (OwnPath(tmp_path / "named") / "file").write(b"content")
    assert (tmp_path / "real" / "file").read_bytes() == b"content"


def test_a_folder_that_becomes_a_link_on_the_way_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "a" / "b").mkdir(parents=True)
    really_open = os.open

    def open_and_swap(path: str, *arguments: int, **options: int) -> int:
        descriptor = really_open(path, *arguments, **options)
        if path == "b":
            (tmp_path / "a").rename(tmp_path / "moved")
            (tmp_path / "a").symlink_to("elsewhere")
        return descriptor

    monkeypatch.setattr(os, "open", open_and_swap)
    (OwnPath(tmp_path) / "a" / "b" / "file").write(b"content")
    monkeypatch.undo()
    assert (tmp_path / "moved" / "b" / "file").read_bytes() == b"content"
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("kind", ["pipe", "socket", "folder"])
@pytest.mark.parametrize("use", ["open", "write into it", "lock"])
def test_what_is_no_regular_file_is_refused_at_once(
    kind: str, use: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        with socket.socket(socket.AF_UNIX) as bound:
            monkeypatch.chdir(tmp_path)  # the name of a socket must be short
            bound.bind("file")
    with pytest.raises((NotOurs, IsADirectoryError)):
        USES[use](OwnPath(tmp_path) / "file")


def test_what_is_removed_is_the_link_and_not_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious").write_text("x")
    (tmp_path / "ours" / "deep").mkdir(parents=True)
    (tmp_path / "ours" / "file").write_text("x")
    (tmp_path / "ours" / "deep" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "ours" / "dangling").symlink_to("nowhere")
    (OwnPath(tmp_path) / "ours").remove()
    assert content(tmp_path) == {"elsewhere": "", "elsewhere/precious": b"x"}
    (tmp_path / "ours").symlink_to("elsewhere")
    (OwnPath(tmp_path) / "ours").remove()
    assert content(tmp_path) == {"elsewhere": "", "elsewhere/precious": b"x"}
    (OwnPath(tmp_path) / "ours").remove()  # it is gone


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc", "a\0"])
def test_a_name_leads_one_step_down_and_nowhere_else(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no name of a file"):
        assert OwnPath(tmp_path) / name


def test_an_error_names_the_whole_path(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(FileNotFoundError) as missing:
        (OwnPath(tmp_path) / "a" / "b").open()
    assert missing.value.filename == str(tmp_path / "a" / "b")
    with pytest.raises(FileNotFoundError) as missing:
        (OwnPath(tmp_path) / "x" / "b").open()
    assert missing.value.filename == str(tmp_path / "x")
