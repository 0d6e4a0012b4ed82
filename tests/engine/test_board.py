"""What is known of repositories and not written yet."""

from __future__ import annotations

from watcher.engine.board import StatusBoard

PLACE = ("main", "acme/web")


def test_what_turned_does_not_wait_for_the_next_batch() -> None:
    board = StatusBoard()
    turned = []
    for fact in (False, True, False):
        board.touch(board.get(*PLACE), turned=fact)
        turned.append(board.has_turned)
    assert board.take_unflushed() == [board.get(*PLACE)]
    assert [*turned, board.has_turned] == [False, True, True, False]


def test_a_batch_that_could_not_be_written_waits_for_its_minute() -> None:
    board = StatusBoard()
    board.touch(board.get(*PLACE), turned=True)
    board.put_back(board.take_unflushed())
    assert not board.has_turned
    assert board.take_unflushed() == [board.get(*PLACE)]
