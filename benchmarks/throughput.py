"""How fast is each way of laying out a batch? One process, the same reviews, sides taken in turn.

    python benchmarks/throughput.py --data_dir DIR_ABOVE_NSMC --tokenizer beomi/kcbert-base
    python benchmarks/throughput.py --shape small

`fixed` pads each review to 128 tokens, `longest` to the longest of its batch, `grouped` does so after grouping reviews
of like length as Trainer's `train_sampling_strategy="group_by_length"` does, `packed` is hfcls's default. Weights are
random: speed does not depend on them. Nothing else may run on the machine: a second busy process distorts everything.

Columns: real (not padding) tokens per second, reviews per second, the ratio to `fixed` (median over repeats of the
ratio within a repeat), the share of computed tokens that is padding, peak memory above the idle process, and the share
of the machine's matrix-multiply peak: 6 (training) or 2 (inference) x encoder parameters x real tokens per second over
the rate of the fastest float32 matrix product found.
"""

import argparse
import platform
import random
import statistics
import threading
import time
from collections.abc import Callable

import psutil
import torch
import transformers
from transformers import AutoModelForSequenceClassification, BertConfig, PreTrainedTokenizerBase, pipeline
from transformers.trainer_pt_utils import get_length_grouped_indices

from hfcls.collate import Batch, Row, make_collator
from hfcls.corpora import load_corpus
from hfcls.encoding import tokenize
from hfcls.inference import Classifier
from hfcls.modeling import load_tokenizer, train_tokenizer
from hfcls.optim import adam
from hfcls.packing import enable_packing

MAX_LENGTH = 128
SHAPES = {  # width, layers, heads; base is that of KcBERT-base, small that of many distilled models
    "base": (768, 12, 12),
    "small": (384, 6, 6),
    "tiny": (64, 2, 2),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="base")
    parser.add_argument("--data_dir", help="folder above nsmc/; without it, the demonstration reviews are used")
    parser.add_argument("--tokenizer", help="Hub id or folder; without it, one is trained on the reviews")
    parser.add_argument("--batches", type=int, default=4, help="batches per repeat")
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--pipeline_rows", type=int, default=256, help="reviews for the table of prediction; 0: skip it"
    )
    args = parser.parse_args()

    texts = reviews(args.data_dir, max(args.batches * args.batch_size, args.pipeline_rows))
    tokenizer = load_tokenizer(args.tokenizer) if args.tokenizer else train_tokenizer(texts)
    model = build(args.shape, len(tokenizer), tokenizer.pad_token_id)
    parameters = sum(p.numel() for name, p in model.base_model.named_parameters() if "embeddings" not in name)
    peak = matmul_peak()
    print(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"transformers {transformers.__version__}, float32\n"
        f"shape {args.shape}: {parameters / 1e6:.1f} M encoder parameters, matrix product {peak / 1e9:.0f} GFLOP/s\n"
        f"{args.batches} batches of {args.batch_size} reviews, seed 7, {args.repeats} repeats, median\n"
    )
    sides = lay_out(tokenizer, texts[: args.batches * args.batch_size], args.batch_size)
    for training in (True, False):
        print(f"### {'Training' if training else 'Inference'}\n")
        table(model, sides, training, args.repeats, parameters, peak)
    if args.pipeline_rows:
        prediction_table(model, tokenizer, texts[: args.pipeline_rows], args.repeats)


def reviews(data_dir: str | None, count: int) -> list[str]:
    """`count` training reviews drawn with seed 7."""
    texts = list(load_corpus("nsmc" if data_dir else "demo", data_dir=data_dir)["train"]["text"])
    return random.Random(7).choices(texts, k=count)


def build(shape: str, vocab_size: int, pad_token_id: int) -> torch.nn.Module:
    torch.manual_seed(7)
    width, layers, heads = SHAPES[shape]
    config = BertConfig(
        vocab_size=vocab_size,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        max_position_embeddings=300,
        pad_token_id=pad_token_id,
    )
    model = AutoModelForSequenceClassification.from_config(config)
    enable_packing(model)
    return model


def lay_out(tokenizer: PreTrainedTokenizerBase, texts: list[str], batch_size: int) -> dict[str, list[Batch]]:
    """The same reviews as batches of each kind; all but `grouped` hold the same reviews in each batch."""
    ids = tokenize(tokenizer, texts, max_length=MAX_LENGTH)["input_ids"]
    rows: list[Row] = [{"input_ids": row, "labels": i % 2} for i, row in enumerate(ids)]
    order = get_length_grouped_indices(
        [len(row) for row in ids], batch_size, generator=torch.Generator().manual_seed(7)
    )
    grouped = [rows[i] for i in order]
    sides = {}
    for side, kind, source in [
        ("fixed", "fixed", rows),
        ("longest", "longest", rows),
        ("grouped", "longest", grouped),
        ("packed", "packed", rows),
    ]:
        collate = make_collator(kind, pad_token_id=tokenizer.pad_token_id, max_length=MAX_LENGTH)
        sides[side] = [collate(source[i : i + batch_size]) for i in range(0, len(rows), batch_size)]
    return sides


def table(
    model: torch.nn.Module,
    sides: dict[str, list[Batch]],
    training: bool,
    repeats: int,
    parameters: int,
    peak: float,
) -> None:
    optimizer = adam(model.parameters(), 1e-5)
    model.train(training)

    def step(batch: Batch) -> None:
        if training:
            model(**batch).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        else:
            with torch.inference_mode():
                model(**batch)

    for batches in sides.values():
        step(batches[0])  # warm up
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    memory: dict[str, int] = {}
    for _ in range(repeats):
        for side, batches in sides.items():
            with PeakMemory() as used:
                start = time.perf_counter()
                for batch in batches:
                    step(batch)
                seconds[side].append(time.perf_counter() - start)
            memory[side] = max(memory.get(side, 0), used.bytes)
    real = sum(int(batch["attention_mask"].sum()) for batch in sides["fixed"])
    count = sum(len(batch["labels"]) for batch in sides["fixed"])
    print("| batching | real tokens/s | reviews/s | x fixed | x longest | padding | peak memory | of matmul peak |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for side, batches in sides.items():
        typical = statistics.median(seconds[side])
        computed = sum(batch["input_ids"].numel() for batch in batches)
        share = (6 if training else 2) * parameters * real / typical / peak
        print(
            f"| {side} | {real / typical:,.0f} | {count / typical:,.1f} | {ratio(seconds, 'fixed', side):.2f} "
            f"| {ratio(seconds, 'longest', side):.2f} | {1 - real / computed:.1%} | {memory[side] / 2**20:,.0f} MiB "
            f"| {share:.0%} |"
        )
    print()


def ratio(seconds: dict[str, list[float]], slow: str, fast: str) -> float:
    """Median over the repeats of how many times as fast `fast` was within that repeat."""
    return statistics.median(a / b for a, b in zip(seconds[slow], seconds[fast], strict=True))


def prediction_table(
    model: torch.nn.Module, tokenizer: PreTrainedTokenizerBase, texts: list[str], repeats: int
) -> None:
    """Texts to labels, tokenization included, against transformers' own pipeline."""
    model.eval()
    classifier = Classifier(model, tokenizer, max_length=MAX_LENGTH)
    theirs = pipeline("text-classification", model=model, tokenizer=tokenizer, device=-1)
    sides: dict[str, Callable[[], object]] = {
        f"pipeline, batch {size}": lambda size=size: theirs(  # type: ignore[misc]
            texts, batch_size=size, truncation=True, max_length=MAX_LENGTH
        )
        for size in (1, 8, 32)
    }
    sides["hfcls.Classifier"] = lambda: classifier(texts)
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(repeats):
        for side, predict in sides.items():
            start = time.perf_counter()
            predict()
            seconds[side].append(time.perf_counter() - start)
    print(f"### Prediction of {len(texts)} texts\n")
    print("| | reviews/s | hfcls is faster by |")
    print("| --- | ---: | ---: |")
    for side in sides:
        typical = statistics.median(seconds[side])
        print(f"| {side} | {len(texts) / typical:,.1f} | {ratio(seconds, side, 'hfcls.Classifier'):.2f} |")


def matmul_peak() -> float:
    """The best FLOP/s of float32 matrix products of the sizes that an encoder of this kind computes, and larger."""
    best = 0.0
    for n in (1024, 2048):
        a, b = torch.randn(n, n), torch.randn(n, n)
        for _ in range(8):
            start = time.perf_counter()
            a @ b
            best = max(best, 2 * n**3 / (time.perf_counter() - start))
    return best


class PeakMemory:
    """The most memory (bytes) that the process gained within the block, sampled every 5 ms."""

    bytes = 0

    def __enter__(self) -> "PeakMemory":
        self._process, self._done = psutil.Process(), threading.Event()
        self._before = self._process.memory_info().rss
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.005):
            self.bytes = max(self.bytes, self._process.memory_info().rss - self._before)


if __name__ == "__main__":
    main()
