"""How fast does `hfcls adapt` learn, as a share of what the machine can do? One process, sides taken in turn.

    python benchmarks/pretraining.py --shape 4x256
    python benchmarks/pretraining.py --shape 4x256 --dataset comments.parquet --bf16

`packed` is hfcls's default, with the head at hidden tokens only; `longest` pads each text to the longest of its batch
and computes the head on all tokens, as Trainer and `DataCollatorForLanguageModeling` do. Weights are random: speed does
not depend on them.

Columns: real (not padding) tokens per second, the ratio to `longest` (median over repeats of the ratio within a
repeat), the share of computed tokens that is padding, and the share of the matrix-multiply peak: 6 x (encoder
parameters x real tokens + head parameters x hidden tokens) per second over the rate of the fastest matrix product of
the same precision, measured before and after each step, since the rate of a shared machine changes within seconds.
"""

import argparse
import platform
import statistics
import time
from importlib.resources import files
from pathlib import Path

import torch
from throughput import matmul_peak, ratio, real_tokens

from hfcls.batching.collate import Batch, for_training, make_collator
from hfcls.batching.masking import DrawnRows, Masking, MaskingCollator
from hfcls.batching.packing import enable_packing
from hfcls.config.pretraining import AdaptConfig
from hfcls.data.texts import encode_texts, hold_out, load_texts
from hfcls.models.masked_lm import ordinary_ids, scratch_masked_lm
from hfcls.models.tokenizers import train_tokenizer
from hfcls.training.masked_lm import masked_lm_loss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="4x256", help="layers x hidden size")
    parser.add_argument("--vocab_size", type=int, default=8000)
    parser.add_argument("--dataset", help="file of texts; without it, the demonstration reviews are used")
    parser.add_argument("--text_column", default="text")
    parser.add_argument("--batches", type=int, default=4, help="batches per repeat")
    parser.add_argument("--batch_size", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--bf16", action="store_true", help="compute in bfloat16, as --mixed_precision bf16 does")
    args = parser.parse_args()

    demo = Path(str(files("hfcls"))) / "demo/train.tsv"
    texts = load_texts(args.dataset, args.text_column) if args.dataset else load_texts(str(demo), "document")
    texts = texts.shuffle(seed=7).select(range(min(len(texts), 50 * args.batches * args.batch_size)))
    tokenizer = train_tokenizer(texts["text"], args.vocab_size, mask_token="[MASK]", alphabet=args.vocab_size // 4)
    rows = DrawnRows(encode_texts(hold_out(texts, 0, 7), tokenizer, 128)["train"], 7, each_epoch=True)
    torch.manual_seed(7)
    shape = AdaptConfig(model="scratch", shape=args.shape).layers_and_width()
    model = scratch_masked_lm(tokenizer, *shape, positions=128).train()
    enable_packing(model)
    masking = Masking(tokenizer.mask_token_id, ordinary_ids(tokenizer))
    sides: dict[str, list[Batch]] = {}
    for side in ("longest", "packed"):
        layout = for_training(make_collator(side, pad_token_id=tokenizer.pad_token_id, max_length=128))
        collate = MaskingCollator(layout, masking)
        starts = range(0, args.batches * args.batch_size, args.batch_size)
        sides[side] = [collate([rows[i % len(rows)] for i in range(s, s + args.batch_size)]) for s in starts]
    print(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"{'bfloat16' if args.bf16 else 'float32'}; {args.shape}, vocabulary {len(tokenizer):,}; "
        f"{args.batches} batches of {args.batch_size} texts, seed 7, {args.repeats} repeats, median\n"
    )
    table(model, sides, args.repeats, bf16=args.bf16)


def table(model: torch.nn.Module, sides: dict[str, list[Batch]], repeats: int, *, bf16: bool) -> None:
    encoder = sum(p.numel() for name, p in model.base_model.named_parameters() if "embeddings" not in name)
    head = sum(p.numel() for p in model.cls.parameters() if p.dim() == 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=True)
    dtype = torch.bfloat16 if bf16 else torch.float32

    def step(batch: Batch) -> None:
        inputs = {name: value for name, value in batch.items() if name != "labels"}
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            outputs = model(**inputs)
        masked_lm_loss(outputs, batch["labels"]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    step(sides["packed"][0])  # warm up: AdamW's averages are made here
    real = {side: sum(map(real_tokens, batches)) for side, batches in sides.items()}
    hidden = {side: sum(int((batch["labels"] != -100).sum()) for batch in batches) for side, batches in sides.items()}
    seconds: dict[str, list[float]] = {side: [0.0] * repeats for side in sides}
    possible: dict[str, list[float]] = {side: [0.0] * repeats for side in sides}  # FLOP of matrix products in that time
    peaks = [matmul_peak(dtype)]
    for repeat in range(repeats):
        for turn in zip(*sides.values(), strict=True):
            for side, batch in zip(sides, turn, strict=True):
                start = time.perf_counter()
                step(batch)
                taken = time.perf_counter() - start
                peaks.append(matmul_peak(dtype))
                seconds[side][repeat] += taken
                possible[side][repeat] += taken * (peaks[-2] + peaks[-1]) / 2
    print("| batching | real tokens/s | x longest | padding | of matmul peak |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for side, batches in sides.items():
        padding = 1 - real[side] / sum(batch["input_ids"].numel() for batch in batches)
        flops = 6 * (encoder * real[side] + head * hidden[side])
        share = statistics.median(flops / flop for flop in possible[side])
        rate = real[side] / statistics.median(seconds[side])
        print(f"| {side} | {rate:,.0f} | {ratio(seconds, 'longest', side):.2f} | {padding:.1%} | {share:.0%} |")
    print(f"\nMatrix products: {statistics.median(peaks) / 1e9:.0f} GFLOP/s.")


if __name__ == "__main__":
    main()
