"""Requests a second and waiting of `hfcls serve`, side by side with the Gradio API that programs used before.

python benchmarks/serve.py outputs/quickstart --clients 50 --requests 10
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import psutil

TEXT = "배우는 훌륭했지만 이야기가 지루하고 시간이 아까웠어요"
PAGE = (  # the page alone, as `hfcls serve` was before it had /predict
    "import sys, time, hfcls; demo = hfcls.launch_demo(sys.argv[1]); print(f' is at {demo.local_url} ', flush=True); "
    "time.sleep(3600)"
)


def ask(url: str, endpoint: str, text: str) -> object:
    """One call of Gradio's REST API: post the text, then read the answer from the stream of its event."""
    event = post(f"{url}/gradio_api/call/{endpoint}", {"data": [text]})["event_id"]
    with urllib.request.urlopen(f"{url}/gradio_api/call/{endpoint}/{event}", timeout=300) as response:
        stream = response.read().decode()
    if "event: complete" not in stream:
        raise RuntimeError(stream)
    return json.loads(stream.split("event: complete\ndata: ")[1].splitlines()[0])[0]


def post(url: str, body: object) -> dict:
    """One request with JSON in and out."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as response:
        return json.load(response)


def run(url: str, way: str, clients: int, requests: int) -> tuple[list[float], float, Counter]:
    """Seconds of each answer, seconds in all, and how many requests failed, by why."""
    seconds: list[float] = []
    failed: Counter = Counter()
    start = threading.Barrier(clients + 1)

    def client() -> None:
        start.wait()
        for _ in range(requests):
            begin = time.perf_counter()
            try:
                post(f"{url}/predict", {"text": TEXT}) if way == "predict" else ask(url, "classify", TEXT)
                seconds.append(time.perf_counter() - begin)
            except urllib.error.HTTPError as error:
                failed[f"status {error.code}"] += 1
            except Exception as error:
                failed[type(error).__name__] += 1

    threading.stack_size(1 << 18)
    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    start.wait()
    begin = time.perf_counter()
    for thread in threads:
        thread.join()
    return sorted(seconds), time.perf_counter() - begin, failed


def started(command: list[str]) -> tuple[str, "subprocess.Popen[str]"]:
    """The address of a server that was started, and its process."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, stderr=log, text=True)
    line = process.stdout.readline()
    return re.search(r" is at (http://[\d.]+:\d+)", line)[1], process


def with_head(model: str, folder: str) -> str:
    """The folder of a classifier: the model's own, or one with a random head if it is an encoder."""
    config = json.loads((Path(model) / "config.json").read_text("utf-8"))
    if "ForSequenceClassification" in str(config.get("architectures")) or Path(model, "model.onnx").exists():
        return model
    import hfcls

    hfcls.load_model(model, ["부정", "긍정"]).save_pretrained(folder)
    hfcls.load_tokenizer(model).save_pretrained(folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="folder of a classifier, or of an encoder (it gets a random head)")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--requests", type=int, default=10, help="of each client, one after another")
    parser.add_argument("--rounds", type=int, default=2, help="each way in turn, so many times")
    parser.add_argument("--precision", default="float32", help="of /predict; the Gradio API beside it has float32")
    parser.add_argument("--new_only", action="store_true", help="without the Gradio API beside it")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = with_head(args.model, folder)
        servers = {"predict": started(["-m", "hfcls.cli", "serve", model, "--no-page", "--precision", args.precision])}
        if not args.new_only:
            servers["gradio"] = started(["-c", PAGE, model])
        try:
            compare(servers, args.clients, args.requests, args.rounds)
        finally:
            for _, process in servers.values():
                process.terminate()
                process.wait()


def compare(servers: dict, clients: int, requests: int, rounds: int) -> None:
    """Print each round, and the ratios of the medians of the rounds."""
    rates: dict[str, list[float]] = {way: [] for way in servers}
    tails: dict[str, list[float]] = {way: [] for way in servers}
    costs: dict[str, list[float]] = {way: [] for way in servers}  # which other processes of the machine hardly change
    for way, (url, _) in servers.items():
        run(url, way, 1, 3)
    for _ in range(rounds):
        for way, (url, process) in servers.items():
            server = psutil.Process(process.pid)
            before = sum(server.cpu_times()[:2])
            seconds, total, failed = run(url, way, clients, requests)
            computed = 1000 * (sum(server.cpu_times()[:2]) - before) / len(seconds)
            p50, p95 = statistics.median(seconds), seconds[int(0.95 * (len(seconds) - 1))]
            rates[way].append(len(seconds) / total)
            costs[way].append(computed)
            tails[way].append(p95)
            memory = server.memory_info().rss / 2**20
            print(
                f"{way:8} {clients:4} clients: {rates[way][-1]:6.1f} answers/s, p50 {1000 * p50:6.0f} ms, p95 "
                f"{1000 * p95:6.0f} ms; {computed:.2f} ms of a core for each; {dict(failed) or 'none'} failed; "
                f"the server holds {memory:.0f} MiB",
                flush=True,
            )
    if "gradio" in servers:
        rate, tail, cost = (
            statistics.median(x["predict"]) / statistics.median(x["gradio"]) for x in (rates, tails, costs)
        )
        print(
            f"/predict gives {rate:.1f} x the answers/s of the Gradio API; its p95 is {tail:.2f} of that, "
            f"its time of a core {cost:.2f}"
        )


if __name__ == "__main__":
    main()
