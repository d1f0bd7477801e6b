"""What `GET /metrics` tells Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The figures of one server; each has its own registry, so that tests and notebooks may start several."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter("hfcls_requests", "Requests answered", ["path", "status"], registry=self._registry)
        self._seconds = Histogram(
            "hfcls_request_seconds", "From a request to its answer", ["path"], buckets=SECONDS, registry=self._registry
        )
        self._texts = Counter("hfcls_texts", "Texts classified for POST /predict", registry=self._registry)
        self._batch_texts = Histogram("hfcls_batch_texts", "Texts in a batch", buckets=TEXTS, registry=self._registry)
        self._batch_seconds = Histogram(
            "hfcls_batch_seconds", "Computation of a batch", buckets=SECONDS, registry=self._registry
        )

    def waiting(self, count: Callable[[], float]) -> None:
        """Show how many texts have no answer yet; `count` is asked whenever the figures are."""
        Gauge("hfcls_waiting_texts", "Texts without an answer yet", registry=self._registry).set_function(count)

    def request(self, path: str, status: int, seconds: float) -> None:
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def batch(self, texts: int, seconds: float) -> None:
        self._texts.inc(texts)
        self._batch_texts.observe(texts)
        self._batch_seconds.observe(seconds)

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self._registry)
