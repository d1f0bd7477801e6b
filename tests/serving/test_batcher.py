"""The batcher alone, with a function in the place of the model."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from hfcls.serving.batcher import Batcher, Busy


def echo(texts):
    return [{"label": text} for text in texts]


@pytest.fixture
def make():
    """Makes batchers whose threads end with the test; `batches` has what each batch held."""
    made = []

    def make(classify=echo, **options):
        batches = []

        def noted(texts):
            batches.append(list(texts))
            return classify(texts)

        made.append(Batcher(noted, **{"batch_size": 8, "wait_ms": 20, "max_waiting": 100, **options}))
        return made[-1], batches

    yield make
    for batcher in made:
        batcher.close()
        for thread in batcher._threads:
            thread.join(5)
            assert not thread.is_alive()


def run_alone(coroutine: Any) -> Any:
    """In a thread: asyncio.run would drop the main thread's event loop, which Gradio has made and never closes."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


async def together(batcher, requests):
    return await asyncio.gather(*(batcher.classify(texts) for texts in requests), return_exceptions=True)


def test_requests_share_batches_and_each_gets_its_own_answers(make):
    batcher, batches = make()
    requests = [[f"{i}-{j}" for j in range(1 + i % 3)] for i in range(20)]
    answers = run_alone(together(batcher, requests))
    assert answers == [echo(texts) for texts in requests]
    assert len(batches) < len(requests) / 2
    assert max(map(len, batches)) <= 8
    assert batcher.waiting == 0


def test_several_workers_compute_at_once(make):
    meeting = threading.Barrier(2)

    def classify(texts):
        meeting.wait(30)  # it breaks unless another thread comes
        return echo(texts)

    batcher, _ = make(classify, batch_size=1, workers=2)
    assert run_alone(together(batcher, [["a"], ["b"]])) == [echo(["a"]), echo(["b"])]


def test_a_text_alone_waits_no_longer_than_it_is_told(make):
    batcher, _ = make(wait_ms=50)
    began = time.monotonic()
    run_alone(batcher.classify(["a"]))
    assert 0.045 < time.monotonic() - began < 2


def test_a_batch_has_texts_of_one_kind(make):
    batcher, batches = make()
    requests = [["a"], [("b", "c")], ["d"], [("e", "f"), ("g", "h")]]
    assert run_alone(together(batcher, requests)) == [echo(texts) for texts in requests]
    assert all(len({type(text) for text in batch}) == 1 for batch in batches)


def test_a_long_request_lets_short_ones_between(make):
    batcher, _ = make(wait_ms=0)

    async def run():
        long = asyncio.create_task(batcher.classify([str(i) for i in range(80)]))
        await asyncio.sleep(0)
        short = await batcher.classify(["short"])
        assert not long.done()
        return short, await long

    short, long = run_alone(run())
    assert short == echo(["short"])
    assert long == echo([str(i) for i in range(80)])


class Panic(BaseException):
    """Such as tokenizers raises where its Rust code panics."""


@pytest.mark.parametrize(("raised", "told"), [(ValueError("bad"), ValueError), (Panic("bad"), RuntimeError)])
def test_what_fails_is_the_failure_of_one_client(make, raised, told):
    def classify(texts):
        if "bad" in texts:
            raise raised
        return echo(texts)

    batcher, _ = make(classify)
    for _ in range(2):  # the one thread lives on
        good, bad, other = run_alone(together(batcher, [["a"], ["bad"], ["b"]]))
        assert (good, other) == (echo(["a"]), echo(["b"]))
        assert isinstance(bad, told)


def test_a_full_queue_refuses_and_says_when_to_come_again(make):
    release = threading.Event()

    def classify(texts):
        release.wait(5)
        return echo(texts)

    batcher, _ = make(classify, max_waiting=10)

    async def run():
        first = [asyncio.create_task(batcher.classify(["a"] * 5)) for _ in range(2)]
        await asyncio.sleep(0.05)
        with pytest.raises(Busy, match="10 texts wait") as caught:
            await batcher.classify(["b"])
        assert 1 <= caught.value.retry_after <= 60
        release.set()
        await asyncio.gather(*first)
        return await batcher.classify(["c"] * 50)  # nobody waits: taken, however many

    assert len(run_alone(run())) == 50


def test_draining_answers_what_was_taken_and_takes_nothing_new(make):
    batcher, _ = make(lambda texts: (time.sleep(0.1), echo(texts))[1])

    async def run():
        taken = asyncio.create_task(batcher.classify(["a"]))
        await asyncio.sleep(0.01)
        await batcher.drain(5)
        assert batcher.stopping
        with pytest.raises(Busy, match="stopping"):
            await batcher.classify(["b"])
        return await taken

    assert run_alone(run()) == echo(["a"])


def test_who_waits_longer_than_a_stop_has_patience_is_told(make):
    """The one that is computed, the one that waits for its turn, and the one of which a part is done."""
    go_on = threading.Event()
    batcher, _ = make(lambda texts: (texts == ["first"] or go_on.wait(20), echo(texts))[1], batch_size=1, wait_ms=0)

    async def run():
        requests = [asyncio.create_task(batcher.classify(texts)) for texts in (["first", "second"], ["a"], ["b"])]
        await asyncio.sleep(0.05)
        await batcher.drain(0.05)
        answers = await asyncio.gather(*requests, return_exceptions=True)
        go_on.set()
        await asyncio.sleep(0.05)  # what comes too late harms nobody
        return answers

    answers = run_alone(run())
    assert [type(answer) for answer in answers] == [Busy] * 3
    assert {(str(answer), answer.retry_after) for answer in answers} == {("the server is stopping", 1)}
    assert batcher.waiting == 0


def test_a_client_that_leaves_is_not_computed_for(make):
    batcher, batches = make(wait_ms=100)

    async def run():
        leaving = asyncio.create_task(batcher.classify(["left"]))
        await asyncio.sleep(0.01)
        leaving.cancel()
        return await batcher.classify(["stays"])

    assert run_alone(run()) == echo(["stays"])
    assert batches == [["stays"]]
    assert batcher.waiting == 0
