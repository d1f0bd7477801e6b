"""Requests of all clients in common batches: a short wait for company, a queue with an end, threads that compute."""

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from hfcls.inference.texts import Text

logger = logging.getLogger(__name__)

Answers = list[dict[str, Any]]


class Busy(Exception):
    """The queue is full, or the server is stopping; `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass
class _Job:
    texts: list[Text]
    due: float  # the moment at which it waits no longer for company
    answers: "Future[Answers]" = field(default_factory=Future)

    @property
    def kind(self) -> type:
        return type(self.texts[0])  # of a text or a pair: a batch has texts of one kind


class Batcher:
    """Gathers texts from the event loop and has threads classify them.

    A request of more texts than a batch holds comes as several jobs, one after another, so that a short request need
    not wait for all of a long one.

    Attributes:
        waiting: texts that were taken and have no answer yet.
    """

    def __init__(
        self,
        classify: Callable[[list[Text]], Answers],
        *,
        batch_size: int,
        wait_ms: float,
        max_waiting: int,
        workers: int = 1,
        on_batch: Callable[[int, float], None] = lambda texts, seconds: None,
    ) -> None:
        """
        Args:
            classify: may be called by several threads at once.
            batch_size: texts that are classified together.
            wait_ms: milliseconds for which a text waits for company.
            max_waiting: texts that may wait for their answer; a request that finds nobody waiting is always taken.
            workers: threads that classify.
            on_batch: told how many texts each batch had, and its seconds.
        """
        self._classify, self._on_batch = classify, on_batch
        self.batch_size, self.max_waiting, self._wait = batch_size, max_waiting, wait_ms / 1000
        self.waiting = 0
        self._jobs: deque[_Job] = deque()
        self._arrived = threading.Condition()
        self._stopping = self._closed = self._gave_up = False
        self._awaited: set[asyncio.Future[Answers]] = set()
        self._seconds_per_text = 0.01
        self._threads = [threading.Thread(target=self._work, daemon=True, name=f"batches-{i}") for i in range(workers)]
        for thread in self._threads:
            thread.start()

    @property
    def stopping(self) -> bool:
        return self._stopping

    async def classify(self, texts: Sequence[Text]) -> Answers:
        """The answers in the order of the texts, which are of one kind.

        Raises:
            Busy: too many texts wait, or the server is stopping.
        """
        if self._stopping:
            raise Busy("the server is stopping", 1)
        if self.waiting and self.waiting + len(texts) > self.max_waiting:
            seconds = math.ceil(self.waiting * self._seconds_per_text)
            raise Busy(f"{self.waiting:,} texts wait for their answer", min(max(seconds, 1), 60))
        self.waiting += len(texts)
        try:
            answers: Answers = []
            for start in range(0, len(texts), self.batch_size):
                job = _Job(list(texts[start : start + self.batch_size]), time.monotonic() + self._wait)
                with self._arrived:
                    self._jobs.append(job)
                    self._arrived.notify()
                answers += await self._answer_of(job)
            return answers
        finally:
            self.waiting -= len(texts)

    async def _answer_of(self, job: _Job) -> Answers:
        answer = asyncio.wrap_future(job.answers)
        self._awaited.add(answer)
        try:
            return await answer
        except asyncio.CancelledError:
            if not self._gave_up:  # the client has left
                raise
            raise Busy("the server is stopping", 1) from None
        finally:
            self._awaited.discard(answer)

    async def drain(self, patience: float) -> None:
        """Take nothing new and wait until all that was taken is answered, for `patience` seconds at most.

        Who waits longer is told that the server is stopping.
        """
        self._stopping = True
        end = time.monotonic() + patience
        while self.waiting and time.monotonic() < end:
            await asyncio.sleep(0.02)
        self._gave_up = True
        for answer in list(self._awaited):
            answer.cancel()

    def close(self) -> None:
        """End the threads, which finish the batch they are at."""
        self._stopping = True
        with self._arrived:
            self._closed = True
            self._arrived.notify_all()

    def _work(self) -> None:
        while jobs := self._next():
            jobs = [job for job in jobs if job.answers.set_running_or_notify_cancel()]  # whose client has not left
            if jobs:
                self._answer(jobs)

    def _next(self) -> list[_Job]:
        """The jobs of the next batch, of one kind; none when the batcher is closed."""
        with self._arrived:
            while True:
                if self._closed:
                    return []
                if self._jobs:
                    left = self._jobs[0].due - time.monotonic()
                    if left <= 0 or sum(len(job.texts) for job in self._jobs) >= self.batch_size:
                        break
                    self._arrived.wait(left)
                else:
                    self._arrived.wait()
            kind, count = self._jobs[0].kind, 0
            taken: list[_Job] = []
            while self._jobs and self._jobs[0].kind is kind and count + len(self._jobs[0].texts) <= self.batch_size:
                taken.append(self._jobs.popleft())
                count += len(taken[-1].texts)
            if self._jobs:
                self._arrived.notify()  # another thread takes the rest
            return taken

    def _answer(self, jobs: list[_Job]) -> None:
        """Whatever fails is the failure of its own client alone."""
        texts, began = [text for job in jobs for text in job.texts], time.monotonic()
        try:
            answers = iter(self._classify(texts))
        except BaseException as error:  # a panic in tokenizers is no Exception; the thread answers others after it
            if len(jobs) == 1:
                told = error if isinstance(error, Exception) else RuntimeError(f"{type(error).__name__}: {error}")
                jobs[0].answers.set_exception(told)
                return
            for job in jobs:
                self._answer([job])
            return
        seconds = time.monotonic() - began
        self._seconds_per_text += 0.2 * (seconds / len(texts) - self._seconds_per_text)
        self._on_batch(len(texts), seconds)
        for job in jobs:
            job.answers.set_result([next(answers) for _ in job.texts])
