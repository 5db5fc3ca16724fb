"""A worker whose first requests all fail alike waits for the run's decision; any other worker never does."""

import asyncio

import pytest

from capgen.dataset.types import Fault
from capgen.pipeline.asking.first_requests import LEAST, FirstFailures, FirstRequests

REFUSED = Fault("request_refused", "no pictures here")


def followed(number, faults):
    """The first objects begun in order, then settled: None is an answer."""
    first = FirstRequests(number)
    for index in range(len(faults)):
        first.begin(str(index))
    for index, fault in enumerate(faults):
        if fault is None:
            first.go_on()
        else:
            first.failed(str(index), fault)
    return first


def waits(first):
    async def waiting():
        try:
            await asyncio.wait_for(first.wait(), 0.02)
        except TimeoutError:
            return True
        return False

    return asyncio.run(waiting())


@pytest.mark.parametrize("number", [1, LEAST, 20])
def test_as_many_failures_as_requests_are_in_flight_and_at_least_eight_make_a_worker_wait(number):
    enough = max(number, LEAST)
    fewer, all_of_them = followed(number, [REFUSED] * (enough - 1)), followed(number, [REFUSED] * enough)
    assert (fewer.failures, waits(fewer)) == (None, False)
    assert all_of_them.failures == FirstFailures(enough, "request_refused", "no pictures here")
    assert waits(all_of_them)


@pytest.mark.parametrize("other", [None, Fault("missing_picture", "a.jpg")])
def test_one_answer_or_another_reason_settles_that_objects_fail_and_not_the_run(other):
    first = followed(8, [REFUSED] * 3 + [other] + [REFUSED] * 4)
    assert first.decided
    assert (first.failures, waits(first)) == (None, False)


def test_a_request_that_is_still_in_flight_keeps_the_question_open():
    first = FirstRequests(8)
    for index in range(12):
        first.begin(str(index))
    for index in range(1, 12):
        first.failed(str(index), REFUSED)
    assert (first.failures, waits(first)) == (None, False)
    first.failed("0", REFUSED)
    assert first.failures.count == 8


def test_the_message_is_that_of_the_first_object_whichever_failed_first():
    first = FirstRequests(8)
    for index in range(8):
        first.begin(str(index))
    for index in reversed(range(8)):
        first.failed(str(index), Fault("request_refused", f"message {index}"))
    assert first.failures.message == "message 0"


def test_the_run_can_let_a_waiting_worker_go_on():
    first = followed(8, [REFUSED] * 8)

    async def told():
        waiting = asyncio.create_task(first.wait())
        await asyncio.sleep(0)
        first.go_on()
        await asyncio.wait_for(waiting, 1)

    asyncio.run(told())
    assert first.failures is None
