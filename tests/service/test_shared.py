"""Answers that are shared by all who wait for them."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from moonas.service.api.kept import SharedAnswers


def test_those_who_wait_share_one_answer_that_was_begun_after_they_asked() -> None:
    shared, begun, go_on = SharedAnswers(), [], threading.Event()

    def make() -> bytes:
        begun.append(len(begun))
        assert go_on.wait(10)
        return str(begun[-1]).encode()

    with ThreadPoolExecutor(6) as threads:
        first = threads.submit(shared.get, "study", make)
        while not begun:
            time.sleep(0.001)
        others = [threads.submit(shared.get, "study", make) for _ in range(5)]
        time.sleep(0.2)  # until they wait
        go_on.set()
        assert first.result() == b"0"
        assert {other.result() for other in others} == {b"1"}
    assert begun == [0, 1]
    assert shared.get("study", make) == b"2"


def test_where_an_answer_fails_the_next_one_who_asks_tries_again() -> None:
    shared = SharedAnswers()

    def fail() -> bytes:
        raise KeyError("no")

    with ThreadPoolExecutor(1) as threads:
        assert isinstance(threads.submit(shared.get, "study", fail).exception(), KeyError)
    assert shared.get("study", lambda: b"yes") == b"yes"
