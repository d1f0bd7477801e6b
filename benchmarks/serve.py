"""Latency and throughput of a running `hfcls serve` under parallel clients.

hfcls serve outputs/quickstart --port 7860
python benchmarks/serve.py http://127.0.0.1:7860 --clients 50 --requests 10
"""

import argparse
import json
import statistics
import threading
import time
import urllib.request

TEXT = "배우는 훌륭했지만 이야기가 지루하고 시간이 아까웠어요"


def ask(url: str, endpoint: str, text: str) -> object:
    """One call of Gradio's REST API: post the text, then read the answer from the stream of its event."""
    body = json.dumps({"data": [text]}).encode()
    request = urllib.request.Request(
        f"{url}/gradio_api/call/{endpoint}", body, {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=300) as response:
        event = json.load(response)["event_id"]
    with urllib.request.urlopen(f"{url}/gradio_api/call/{endpoint}/{event}", timeout=300) as response:
        stream = response.read().decode()
    if "event: complete" not in stream:
        raise RuntimeError(stream)
    return json.loads(stream.split("event: complete\ndata: ")[1].splitlines()[0])[0]


def run(url: str, endpoint: str, clients: int, requests: int) -> tuple[list[float], float, int]:
    """Seconds of each request, seconds in all, and how many failed."""
    seconds: list[float] = []
    failed: list[Exception] = []
    start = threading.Barrier(clients + 1)

    def client() -> None:
        start.wait()
        for _ in range(requests):
            begin = time.perf_counter()
            try:
                ask(url, endpoint, TEXT)
            except Exception as error:
                failed.append(error)
            seconds.append(time.perf_counter() - begin)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    start.wait()
    begin = time.perf_counter()
    for thread in threads:
        thread.join()
    return sorted(seconds), time.perf_counter() - begin, len(failed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--requests", type=int, default=10, help="of each client, one after another")
    args = parser.parse_args()
    for endpoint in ("classify", "explain"):
        ask(args.url, endpoint, TEXT)
        for clients in (1, args.clients):
            seconds, total, failed = run(args.url, endpoint, clients, args.requests)
            p95 = seconds[int(0.95 * (len(seconds) - 1))]
            print(
                f"{endpoint:9} {clients:3} clients: p50 {1000 * statistics.median(seconds):6.0f} ms, p95 "
                f"{1000 * p95:6.0f} ms, {len(seconds) / total:6.1f} requests/s, {failed} failed"
            )


if __name__ == "__main__":
    main()
