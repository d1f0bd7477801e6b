"""How fast is each way of laying out a batch? One process, the same reviews, sides taken in turn.

    python benchmarks/throughput.py --data_dir DIR_ABOVE_NSMC --tokenizer beomi/kcbert-base
    python benchmarks/throughput.py --shape small

`fixed` pads each review to 128 tokens, `longest` to the longest of its batch, `grouped` does so after grouping reviews
of like length as Trainer's `train_sampling_strategy="group_by_length"` does in a corpus of many batches (as many of
them as the others have, from short to long), `packed` is hfcls's default. Weights are random: speed does not depend on
them. Nothing else may run on the machine: a second busy process distorts everything.

Columns: real (not padding) tokens per second, reviews of mean length per second, the ratio to `fixed` and to `longest`
(median over repeats of the ratio within a repeat), the share of computed tokens that is padding, the peak memory of the
largest batch above the idle process, and the share of the machine's matrix-multiply peak: 6 (training) or 2 (inference)
x encoder parameters x real tokens per second over the rate of the fastest float32 matrix product, measured before and
after each step, since the rate of a shared machine changes within seconds. Below each table stands where the time of
packed batches goes.
"""

import argparse
import ctypes
import platform
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable

import psutil
import torch
import transformers
from transformers import AutoModelForSequenceClassification, BertConfig, PreTrainedTokenizerBase, pipeline
from transformers.trainer_pt_utils import get_length_grouped_indices

from hfcls.batching.collate import Batch, Row, for_training, make_collator
from hfcls.batching.packing import enable_packing
from hfcls.data.corpora import load_corpus
from hfcls.data.encoding import tokenize
from hfcls.inference.classifier import Classifier
from hfcls.models.tokenizers import load_tokenizer, train_tokenizer
from hfcls.training.optim import adam

MAX_LENGTH = 128
SHAPES = {  # width, layers, heads; base is that of KcBERT-base, small that of many distilled models
    "base": (768, 12, 12),
    "small": (384, 6, 6),
    "tiny": (64, 2, 2),
}
OPERATIONS = {  # parts of the names of torch's operations
    "linear layers": ("aten::addmm", "aten::mm"),
    "attention": ("aten::bmm", "attention", "softmax"),
    "dropout": ("bernoulli", "dropout"),
    "GELU": ("gelu",),
    "layer norm": ("layer_norm",),
    "Adam": ("adam", "Adam"),
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

    texts = reviews(args.data_dir, args.batches * args.batch_size)
    pool = reviews(args.data_dir, 200 * args.batch_size)  # Trainer sorts within 50 batches where there are 200
    tokenizer = load_tokenizer(args.tokenizer) if args.tokenizer else train_tokenizer(texts)
    model = build(args.shape, len(tokenizer), tokenizer.pad_token_id)
    parameters = sum(p.numel() for name, p in model.base_model.named_parameters() if "embeddings" not in name)
    print(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"transformers {transformers.__version__}, float32\n"
        f"shape {args.shape}: {parameters / 1e6:.1f} M encoder parameters\n"
        f"{args.batches} batches of {args.batch_size} reviews, seed 7, {args.repeats} repeats, median\n"
    )
    for training in (True, False):
        sides = lay_out(tokenizer, texts, pool, args.batch_size, training)
        print(f"### {'Training' if training else 'Inference'}\n")
        table(model, sides, training, args.repeats, parameters)
        profile_table(model, sides["packed"], training)
    if args.pipeline_rows:
        prediction_table(model, tokenizer, reviews(args.data_dir, args.pipeline_rows), args.repeats)


def reviews(data_dir: str | None, count: int) -> list[str]:
    """`count` training reviews in random order, seed 7: one from each of `count` equal parts of the reviews by length.

    A few batches so have the mean length of all reviews, on which every ratio rests.
    """
    texts = sorted(load_corpus("nsmc" if data_dir else "demo", data_dir=data_dir)["train"]["text"], key=len)
    rng = random.Random(7)
    chosen = [texts[int((part + rng.random()) * len(texts) / count)] for part in range(count)]
    rng.shuffle(chosen)
    return chosen


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


def lay_out(
    tokenizer: PreTrainedTokenizerBase, texts: list[str], pool: list[str], batch_size: int, training: bool
) -> dict[str, list[Batch]]:
    """As many batches of each kind: of `texts` in their order, but `grouped` of a `pool` large enough to group."""

    def rows(texts: list[str]) -> list[Row]:
        ids = tokenize(tokenizer, texts, max_length=MAX_LENGTH)["input_ids"]
        return [{"input_ids": row, "labels": i % 2} for i, row in enumerate(ids)]

    def in_batches(rows: list[Row]) -> list[list[Row]]:
        return [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]

    same, pooled = in_batches(rows(texts)), rows(pool)
    order = get_length_grouped_indices(
        [len(row["input_ids"]) for row in pooled], batch_size, generator=torch.Generator().manual_seed(7)
    )
    by_length = sorted(
        in_batches([pooled[i] for i in order]), key=lambda batch: sum(len(row["input_ids"]) for row in batch)
    )
    grouped = [by_length[int((i + 0.5) * len(by_length) / len(same))] for i in range(len(same))]
    sides = {}
    for side, kind, source in [
        ("fixed", "fixed", same),
        ("longest", "longest", same),
        ("grouped", "longest", grouped),
        ("packed", "packed", same),
    ]:
        collate = make_collator(kind, pad_token_id=tokenizer.pad_token_id, max_length=MAX_LENGTH)
        if training:
            collate = for_training(collate)
        sides[side] = [collate(batch) for batch in source]
    return sides


def table(
    model: torch.nn.Module,
    sides: dict[str, list[Batch]],
    training: bool,
    repeats: int,
    parameters: int,
) -> None:
    step = stepper(model, training)
    step(sides["fixed"][0])  # warm up: Adam's averages are made here
    memory: dict[str, int] = {}
    for side, batches in sides.items():
        with PeakMemory() as used:
            step(max(batches, key=lambda batch: batch["input_ids"].numel()))
        memory[side] = used.bytes
    real = {side: sum(map(real_tokens, batches)) for side, batches in sides.items()}
    seconds: dict[str, list[float]] = {side: [0.0] * repeats for side in sides}  # of a real token
    possible: dict[str, list[float]] = {side: [0.0] * repeats for side in sides}  # FLOP of matrix products in that time
    peaks = [matmul_peak()]
    for repeat in range(repeats):
        for turn in zip(*sides.values(), strict=True):
            for side, batch in zip(sides, turn, strict=True):
                start = time.perf_counter()
                step(batch)
                taken = (time.perf_counter() - start) / real[side]
                peaks.append(matmul_peak())
                seconds[side][repeat] += taken
                possible[side][repeat] += taken * (peaks[-2] + peaks[-1]) / 2
    mean_length = real["fixed"] / sum(len(batch["labels"]) for batch in sides["fixed"])
    computed = {side: sum(batch["input_ids"].numel() for batch in batches) for side, batches in sides.items()}
    print("| batching | real tokens/s | reviews/s | x fixed | x longest | padding | peak memory | of matmul peak |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for side in sides:
        typical = statistics.median(seconds[side])
        flops = (6 if training else 2) * parameters
        share = statistics.median(flops / flop for flop in possible[side])
        print(
            f"| {side} | {1 / typical:,.0f} | {1 / typical / mean_length:,.1f} | {ratio(seconds, 'fixed', side):.2f} "
            f"| {ratio(seconds, 'longest', side):.2f} | {1 - real[side] / computed[side]:.1%} "
            f"| {memory[side] / 2**20:,.0f} MiB | {share:.0%} |"
        )
    print(
        f"\n{mean_length:.1f} tokens a review; fixed computes {computed['fixed'] / real['fixed']:.2f} times as many, "
        f"longest {computed['longest'] / real['longest']:.2f}. Matrix products: "
        f"{statistics.median(peaks) / 1e9:.0f} GFLOP/s.\n"
    )


def real_tokens(batch: Batch) -> int:
    """Tokens of a batch that are not padding."""
    mask = batch["attention_mask"] if "attention_mask" in batch else batch["segment_ids"] > 0
    return int(mask.sum())


def stepper(model: torch.nn.Module, training: bool) -> Callable[[Batch], None]:
    """A function that takes one training step, or one forward pass."""
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

    return step


def profile_table(model: torch.nn.Module, batches: list[Batch], training: bool) -> None:
    """Share of the time of torch's operations, by what they are for."""
    step = stepper(model, training)
    step(batches[0])  # warm up
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        for batch in batches:
            step(batch)
    shares: dict[str, float] = dict.fromkeys([*OPERATIONS, "everything else"], 0.0)
    for event in profiler.key_averages():
        groups = [group for group, names in OPERATIONS.items() if any(name in event.key for name in names)]
        shares[groups[0] if groups else "everything else"] += event.self_cpu_time_total
    total = sum(shares.values())
    print("| of packed batches | share of the time |")
    print("| --- | ---: |")
    for group, microseconds in shares.items():
        print(f"| {group} | {microseconds / total:.1%} |")
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


def matmul_peak(dtype: torch.dtype = torch.float32) -> float:
    """FLOP/s of matrix products, of the better of two sizes, each kept up for 34 GFLOP (about 0.2 s in float32)."""
    rates = []
    for n, times in ((1024, 16), (2048, 2)):
        a, b = torch.randn(n, n, dtype=dtype), torch.randn(n, n, dtype=dtype)
        a @ b  # warm up
        start = time.perf_counter()
        for _ in range(times):
            a @ b
        rates.append(times * 2 * n**3 / (time.perf_counter() - start))
    return max(rates)


class PeakMemory:
    """The most memory (bytes) that the process gained within the block, sampled every 5 ms."""

    bytes = 0

    def __enter__(self) -> "PeakMemory":
        if sys.platform == "linux":  # else what an earlier side has freed would hide what this one takes
            ctypes.CDLL("libc.so.6").malloc_trim(0)
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
