"""How the encoder that ships with hfcls was made and what it is worth: its texts, its files, its scores.

    python benchmarks/small_ko.py texts crawl.parquet --nsmc ~/Korpora/nsmc --output crawl_rated.parquet
    ACCELERATE_MIXED_PRECISION=bf16 hfcls adapt recipes/small_ko.yaml --dataset crawl_rated.parquet
    python benchmarks/small_ko.py ship outputs/small_ko
    python benchmarks/small_ko.py score --seeds 3

`crawl.parquet` is NSMC's raw crawl (CC0), columns `text` and `rating`. Left out are the reviews that also stand in
NSMC's test split or in the demonstration corpus, in any spelling that `hfcls check` takes for the same.
"""

import argparse
import csv
import json
import statistics
import tempfile
from importlib.resources import files
from pathlib import Path

import pandas as pd
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

import hfcls
from hfcls.data.duplicates import normalized
from hfcls.models.sources import SHIPPED, local_folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    texts = commands.add_parser("texts", help="the reviews to learn from")
    texts.add_argument("crawl", type=Path)
    texts.add_argument("--nsmc", type=Path, required=True, help="folder with ratings_test.txt")
    texts.add_argument("--output", type=Path, required=True)
    texts.set_defaults(run=write_texts)
    ship = commands.add_parser("ship", help="the files of the package, in half precision, from a finished run")
    ship.add_argument("folder", type=Path)
    ship.set_defaults(run=write_encoder)
    score = commands.add_parser("score", help="fine-tune it on the demonstration corpus")
    score.add_argument("--seeds", type=int, default=3)
    score.set_defaults(run=print_scores)
    args = parser.parse_args()
    args.run(args)


def write_texts(args: argparse.Namespace) -> None:
    """The crawl without what will be tested on."""
    demo = Path(str(files("hfcls"))) / "demo"
    held_out = [args.nsmc / "ratings_test.txt", *demo.glob("*.tsv")]
    tables = [pd.read_csv(path, sep="\t", quoting=csv.QUOTE_NONE, keep_default_na=False) for path in held_out]
    seen = {normalized(text) for table in tables for text in table["document"]}
    crawl = pd.read_parquet(args.crawl, columns=["text", "rating"])
    kept = crawl[~crawl["text"].map(normalized).isin(seen)]
    kept.to_parquet(args.output, index=False)
    print(f"{len(kept):,} of {len(crawl):,} reviews in {args.output}")


def write_encoder(args: argparse.Namespace) -> None:
    """Weights in float16, tokenizer, and the log of the run, without the paths of the machine it ran on."""
    folder = local_folder(SHIPPED[0])
    assert folder is not None
    model = AutoModelForMaskedLM.from_pretrained(args.folder, dtype=torch.float16)
    model.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)  # safetensors 0.8 writes files that only their owner can read
    AutoTokenizer.from_pretrained(args.folder).save_pretrained(folder)
    history = json.loads((args.folder / "trainer_state.json").read_text())["log_history"]
    columns = ["step", "epoch", "loss", "learning_rate", "eval_perplexity", "eval_accuracy"]
    with (folder / "log.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(entry for entry in history if "loss" in entry or "eval_perplexity" in entry)
    print(f"{sum(path.stat().st_size for path in folder.iterdir()) / 2**20:.1f} MiB in {folder}")


def print_scores(args: argparse.Namespace) -> None:
    """Test accuracy on the demonstration corpus, beside the baseline's, for seeds 7, 8, ..."""
    recipe = hfcls.load_recipe("recipes/quickstart.yaml")
    scores = []
    for seed in range(7, 7 + args.seeds):
        with tempfile.TemporaryDirectory() as folder:
            result = hfcls.fine_tune(recipe, seed=seed, output_dir=folder, report=False, report_to="none")
        scores.append(result.metrics["accuracy"])
        baseline = result.baseline.analysis.accuracy.value if result.baseline else float("nan")
        print(f"seed {seed}: accuracy {scores[-1]:.4f}, baseline {baseline:.4f}, {result.facts.training_seconds:.0f} s")
    print(f"mean {statistics.mean(scores):.4f}")


if __name__ == "__main__":
    main()
