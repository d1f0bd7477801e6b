"""What loading and tokenizing costs, against calling the tokenizer on a list, and whether memory grows with the corpus.

    python benchmarks/data.py --data_dir DIR_ABOVE_NSMC --tokenizer beomi/kcbert-base

Each measurement is a process of its own with an empty cache, so that neither memory nor caches leak between them. Rows
lie memory-mapped in the cache: their pages count as resident, but the system takes them back when it needs room. Memory
is given with and without them (Linux).
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", required=True, help="folder above nsmc/")
    parser.add_argument("--tokenizer", required=True, help="Hub id or folder")
    parser.add_argument("--times", type=int, default=10, help="how often the corpus is repeated for the large run")
    parser.add_argument("--measure", nargs=2, metavar=("KIND", "FILE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.tokenizer, *args.measure)))
        return

    with tempfile.TemporaryDirectory() as folder:
        lines = (Path(args.data_dir) / "nsmc/ratings_train.txt").read_text(encoding="utf-8").split("\n")
        header, rows = lines[0], [line for line in lines[1:] if line]
        for name, times in (("once", 1), ("large", args.times)):
            with (Path(folder) / f"{name}.tsv").open("w", encoding="utf-8") as file:
                file.write(header.replace("document", "text") + "\n")
                for _ in range(times):
                    file.writelines(f"{row}\n" for row in rows)

        def run(kind: str, name: str, cache: str) -> dict[str, float]:
            command = [sys.executable, __file__, "--data_dir", args.data_dir, "--tokenizer", args.tokenizer]
            done = subprocess.run(
                [*command, "--measure", kind, f"{folder}/{name}.tsv"],
                env={**os.environ, "HF_HOME": f"{folder}/{cache}", "TQDM_DISABLE": "1"},
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
            return json.loads(done.stdout.splitlines()[-1])

        bare = run("bare", "once", "bare")
        first, second = run("hfcls", "once", "once"), run("hfcls", "once", "once")
        large = run("hfcls", "large", "large")
    print(f"| {len(rows):,} reviews | seconds | peak memory | without mapped pages |")
    print("| --- | ---: | ---: | ---: |")
    for name, result in [
        ("tokenizer(list)", bare),
        ("load_corpus + encode, empty cache", first),
        ("load_corpus + encode, again", second),
        (f"load_corpus + encode, {args.times} x the rows", large),
    ]:
        memory = f"{result['peak_mib']:,.0f} MiB | {result['own_peak_mib']:,.0f} MiB"
        print(f"| {name} | {result['seconds']:.1f} | {memory} |")
    print(f"\nhfcls / bare tokenizer: {first['seconds'] / bare['seconds']:.2f}")


def measure(tokenizer_name: str, kind: str, path: str) -> dict[str, float]:
    """Seconds, without imports, and the peak memory of this process: resident, and of that not memory-mapped."""
    from hfcls.data.corpora import load_corpus
    from hfcls.data.encoding import encode
    from hfcls.data.readers import read_tables
    from hfcls.models.tokenizers import load_tokenizer

    own_peak, done = [0], threading.Event()

    def watch() -> None:
        process = psutil.Process()
        while not done.wait(0.01):
            memory = process.memory_info()
            own_peak[0] = max(own_peak[0], memory.rss - memory.shared)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    tokenizer = load_tokenizer(tokenizer_name)
    if kind == "bare":
        texts = list(read_tables({"train": Path(path)})["train"]["text"])
        start = time.perf_counter()
        tokenizer(texts, truncation=True, max_length=128)
    else:
        start = time.perf_counter()
        encode(load_corpus(path), tokenizer, 128)
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "peak_mib": resident, "own_peak_mib": own_peak[0] / 2**20}


if __name__ == "__main__":
    main()
