"""How much faster are fewer bits on this CPU? Packed float32 against packed int8 and bf16, side by side in one run.

    python benchmarks/precision.py
    python benchmarks/precision.py --data_dir DIR_ABOVE_NSMC --tokenizer FOLDER --threads 2

A model of KcBERT's shape (12 layers, width 768) with random weights labels the same reviews; the sides take turns,
since the rate of a shared machine changes within seconds. `--onnx` adds the exported model, in float32 and int8, whose
batches are padded. Time is the process's own (of all its threads), which other processes disturb least; the seconds on
the clock stand beside it. To see a processor without VNNI on one that has it, set ONEDNN_MAX_CPU_ISA=AVX2 and
ATEN_CPU_CAPABILITY=avx2, and give --engine onednn --precisions int8: of the engines, only that one keeps to the limit.
"""

import argparse
import copy
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForSequenceClassification, BertConfig

from hfcls.data.corpora import load_corpus
from hfcls.errors import HfclsError
from hfcls.inference.classifier import Classifier
from hfcls.inference.onnx_classifier import OnnxClassifier
from hfcls.models.compact.precision import lower_precision
from hfcls.models.compact.to_onnx import write_onnx
from hfcls.models.tokenizers import load_tokenizer, train_tokenizer

SHAPES = {"base": (768, 12, 12), "small": (384, 12, 12)}  # width, layers, heads: KcBERT-base, me5-small


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="base")
    parser.add_argument("--data_dir", help="folder above nsmc/; without it, the demonstration reviews are used")
    parser.add_argument("--tokenizer", help="Hub id or folder; without it, one is trained on the reviews")
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--engine", choices=torch.backends.quantized.supported_engines, help="of the int8 products")
    parser.add_argument("--precisions", nargs="*", choices=("int8", "bf16"), default=["int8", "bf16"])
    parser.add_argument("--onnx", action="store_true", help="the exported model too")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.engine:
        torch.backends.quantized.engine = args.engine

    name = "nsmc" if args.data_dir else "demo"
    texts = load_corpus(name, data_dir=args.data_dir)["test"]["text"][: args.rows]
    tokenizer = load_tokenizer(args.tokenizer) if args.tokenizer else train_tokenizer(texts)
    tokenizer.model_max_length = 128
    model = build(args.shape, len(tokenizer), tokenizer.pad_token_id)
    tokens = sum(map(len, tokenizer(texts)["input_ids"]))
    print(
        f"{torch.cpu.get_capabilities().get('cpu_name') or platform.machine()}, "
        f"{torch.backends.cpu.get_cpu_capability()}, "
        f"{args.threads} threads, int8 by {torch.backends.quantized.engine}; torch {torch.__version__}, "
        f"transformers {transformers.__version__}\nshape {args.shape}; {len(texts)} texts of {name}, {tokens} tokens, "
        f"{args.repeats} repeats\n"
    )
    seconds = measure(
        {**in_torch(model, tokenizer, args.precisions), **(exported(model, tokenizer) if args.onnx else {})},
        texts,
        args,
    )
    print("| side | texts/s of processor time | texts/s on the clock | x float32 (median of repeats; least, most) |")
    print("| --- | ---: | ---: | ---: |")
    for side, times in seconds.items():
        ratios = sorted(base[0] / own[0] for base, own in zip(seconds["packed float32"], times, strict=True))
        best = [len(texts) / min(values) for values in zip(*times, strict=True)]
        ratio = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}, {ratios[-1]:.2f})"
        print(f"| {side} | {best[0]:.1f} | {best[1]:.1f} | {ratio} |")


def build(shape: str, vocab_size: int, pad_token_id: int) -> Any:
    width, layers, heads = SHAPES[shape]
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=vocab_size, hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=4 * width, pad_token_id=pad_token_id,
    )  # fmt: skip
    return AutoModelForSequenceClassification.from_config(config).eval()


def in_torch(model: Any, tokenizer: Any, precisions: list[str]) -> dict[str, Callable[[list[str]], object]]:
    sides: dict[str, Callable[[list[str]], object]] = {}
    for precision in ("float32", *precisions):
        lowered = copy.deepcopy(model)
        try:
            lower_precision(lowered, precision)
        except HfclsError as error:
            print(f"no {precision}: {error}")
            continue
        sides[f"packed {precision}"] = Classifier(lowered, tokenizer, batching="packed").logits
    return sides


def exported(model: Any, tokenizer: Any) -> dict[str, Callable[[list[str]], object]]:
    sides: dict[str, Callable[[list[str]], object]] = {}
    for precision in ("float32", "int8"):
        folder = Path(tempfile.mkdtemp())
        write_onnx(model, tokenizer, folder, int8=precision == "int8")
        sides[f"ONNX {precision}"] = OnnxClassifier.from_pretrained(folder, threads=torch.get_num_threads()).logits
    return sides


def measure(
    sides: dict[str, Callable[[list[str]], object]], texts: list[str], args: argparse.Namespace
) -> dict[str, list[tuple[float, float]]]:
    """Seconds of the process and on the clock of each repeat."""
    seconds: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
    for repeat in range(args.repeats + 1):
        for side, label in sides.items():
            begin = time.process_time(), time.perf_counter()
            label(texts)
            if repeat:  # the first warms up
                seconds[side].append((time.process_time() - begin[0], time.perf_counter() - begin[1]))
    return seconds


if __name__ == "__main__":
    main()
