"""Files that are whole or not there, and errors that say that the disk is full."""

import errno

import pytest

from rarecot import whole


def write_half(path):
    with whole.replacing(path) as temporary:
        temporary.write_text("half")
        assert path.read_text() == "old\n"
        raise KeyboardInterrupt


def test_what_was_there_stays_until_the_new_file_is_whole(tmp_path):
    path = tmp_path / "config.yaml"
    whole.write_text(path, "old\n")
    with pytest.raises(KeyboardInterrupt):
        write_half(path)
    assert [file.name for file in tmp_path.iterdir()] == ["config.yaml"]
    assert path.read_text() == "old\n"
    with whole.replacing(path, "one") as mine, whole.replacing(path, "another") as theirs:
        assert mine != theirs
        mine.write_text("mine")
        theirs.write_text("theirs")
    assert path.read_text() == "mine"  # the last to end
    assert [file.name for file in tmp_path.iterdir()] == ["config.yaml"]


def raised(error, cause=None):
    try:
        raise error from cause
    except RuntimeError as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EDQUOT, "in another language"), True),
        (ValueError("Error while serializing: I/O error: No space left on device (os error 28)"), True),
        (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0"), True),
        (raised(RuntimeError("saving failed"), OSError(errno.ENOSPC, "")), True),
        (OSError(errno.EACCES, "Permission denied"), False),
        (RuntimeError("CUDA out of memory"), False),
    ],
)
def test_a_full_disk_is_known_by_what_libraries_say(error, full):
    assert whole.disk_is_full(error) == full


def test_errors_that_name_each_other_are_looked_through_once():
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert not whole.disk_is_full(first)
