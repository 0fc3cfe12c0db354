"""The inbox: durable before success, and nothing half-kept."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread

from receiver.inbox import (
    RESERVE,
    AssociationFolder,
    Inbox,
    priority_of,
    read_sender,
    was_aborted,
)
from receiver.protocol.file_meta import digest_matches, encode_file_meta
from schema.dicom import DimsePriority
from schema.errors import StorageFullError
from schema.space import Space
from tests.support.scu import CT, EXPLICIT, encode, image

META = encode_file_meta(CT, "1.2.3", EXPLICIT)
LIMIT = 1_000_000


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path, 0)


@pytest.fixture
def folder(inbox: Inbox) -> AssociationFolder:
    return inbox.open_association("CT1", "10.0.0.1")


def keep(folder: AssociationFolder, data: bytes = b"dataset") -> Path:
    incoming = folder.begin(META, LIMIT)
    incoming.write(memoryview(data))
    return incoming.keep()


def names(folder: AssociationFolder) -> list[str]:
    return sorted(path.name for path in folder.path.iterdir())


def test_a_kept_object_is_a_dicom_file_with_the_bytes_that_came(folder: AssociationFolder) -> None:
    encoded = encode(image("1.2.3"))
    path = keep(folder, encoded)
    assert path.read_bytes() == META[:-32] + path.read_bytes()[len(META) - 32 : len(META)] + encoded
    assert dcmread(path).SOPInstanceUID == "1.2.3"


def test_a_kept_object_is_sealed_and_a_changed_one_is_not_whole(folder: AssociationFolder) -> None:
    path = keep(folder)
    assert digest_matches(path)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert not digest_matches(path)


def test_a_file_is_for_its_owner_alone(folder: AssociationFolder) -> None:
    assert keep(folder).stat().st_mode & 0o777 == 0o600


def test_every_object_is_synced_before_it_counts_and_its_name_before_that(
    folder: AssociationFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    sync = os.fsync

    def note(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    for _ in range(RESERVE + 1):
        keep(folder)
    parts = [f"{number:08d}.part" for number in range(1, RESERVE + 2)]
    assert synced == [*parts[:-1], folder.path.name, parts[-1]]


def test_more_objects_than_were_reserved_have_names_of_their_own(folder: AssociationFolder) -> None:
    count = 2 * RESERVE + 1
    assert len({keep(folder) for _ in range(count)}) == count


def test_a_discarded_object_leaves_nothing(folder: AssociationFolder) -> None:
    folder.begin(META, LIMIT).discard()
    folder.close()
    assert names(folder) == ["closed", "sender.json"]


@pytest.mark.parametrize("call", ["write", "pwrite", "fsync"])
def test_a_full_disk_is_named_wherever_it_shows(
    folder: AssociationFolder, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    incoming = folder.begin(META, LIMIT)

    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(StorageFullError):
        _finish(incoming.write, incoming.keep)
    incoming.discard()


def _finish(write: object, keep: object) -> None:
    write(memoryview(b"dataset"))  # type: ignore[operator]
    keep()  # type: ignore[operator]


def test_an_object_above_the_limit_is_refused_while_it_comes(folder: AssociationFolder) -> None:
    incoming = folder.begin(META, 10)
    incoming.write(memoryview(b"1234567890"))
    with pytest.raises(StorageFullError):
        incoming.write(memoryview(b"1"))
    incoming.discard()


def test_below_the_watermark_space_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageFullError):
        Inbox(tmp_path, 10**18).require_space()


def test_without_inodes_space_is_refused_however_much_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.inbox.read_space", lambda _: Space(10**12, 10**12, 4, 65536))
    with pytest.raises(StorageFullError, match=r"4 of 65536 inodes left"):
        Inbox(tmp_path, 0).require_space()
    monkeypatch.setattr("receiver.inbox.read_space", lambda _: Space(10**12, 10**12, 0, 0))
    Inbox(tmp_path, 0).require_space()  # as btrfs, which has no such limit


def test_what_another_acceptor_still_receives_is_left_alone(tmp_path: Path) -> None:
    dead, alive = (
        Inbox(tmp_path, 0, name).open_association("CT1", "10.0.0.1") for name in ("dead-", "alive-")
    )
    Inbox(tmp_path, 0).close_abandoned("dead-")
    assert names(dead) == ["closed", "sender.json"]
    assert "closed" not in names(alive)


@pytest.mark.parametrize("aborted", [True, False])
def test_on_a_full_disk_an_association_ends_all_the_same(
    folder: AssociationFolder, monkeypatch: pytest.MonkeyPatch, *, aborted: bool
) -> None:
    monkeypatch.setattr(Path, "write_text", refuse_content(Path.write_text))
    folder.close(aborted=aborted)
    assert names(folder) == ["closed", "sender.json"]
    assert was_aborted(folder.path) == aborted
    assert list(folder.path.parent.iterdir()) == [folder.path]


def test_on_a_full_disk_what_a_killed_acceptor_left_is_over(
    inbox: Inbox, folder: AssociationFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "write_text", refuse_content(Path.write_text))
    inbox.close_abandoned("")
    assert was_aborted(folder.path)


def refuse_content(write: Callable[..., int]) -> Callable[..., int]:
    """Write as a full disk does: a file may be shortened, and nothing goes into it."""

    def run(path: Path, text: str, encoding: str) -> int:
        write(path, "", encoding=encoding)
        if text:
            raise OSError(errno.ENOSPC, "No space left on device")
        return 0

    return run


def test_an_association_that_a_full_disk_refuses_leaves_nothing(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "write_text", refuse_content(Path.write_text))
    with pytest.raises(StorageFullError):
        inbox.open_association("CT1", "10.0.0.1")
    assert list(inbox.path.iterdir()) == []


def test_who_sent_is_known_again_from_the_folder(folder: AssociationFolder) -> None:
    sender = read_sender(folder.path)
    assert (sender.calling_ae, sender.peer) == ("CT1", "10.0.0.1")


def test_a_torn_note_of_the_sender_costs_only_the_name(folder: AssociationFolder) -> None:
    (folder.path / "sender.json").write_text('{"calling')
    assert read_sender(folder.path).calling_ae == ""


def test_what_a_later_release_wrote_beside_the_sender_is_passed_over(
    folder: AssociationFolder,
) -> None:
    note = folder.path / "sender.json"
    note.write_text(json.dumps(json.loads(note.read_text()) | {"of_a_later_release": 1}))
    assert read_sender(folder.path).calling_ae == "CT1"


def test_a_note_of_the_sender_has_no_name_that_release_0_1_0_does_not_read(
    folder: AssociationFolder,
) -> None:
    note = json.loads((folder.path / "sender.json").read_text())
    assert set(note) == {"calling_ae", "peer", "opened_at"}


@pytest.mark.parametrize("priority", DimsePriority)
def test_the_priority_of_an_object_is_known_from_its_file(
    folder: AssociationFolder, priority: DimsePriority
) -> None:
    incoming = folder.begin(META, LIMIT)
    path = incoming.keep(priority)
    assert priority_of(path) == priority
    assert path.suffix == ".dcm"
