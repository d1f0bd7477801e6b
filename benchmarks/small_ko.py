"""How the encoder that ships with hfcls was made and what it is worth: its texts, its files, its scores.

    python benchmarks/small_ko.py texts crawl.parquet --nsmc ~/Korpora/nsmc --output crawl_rated.parquet
    ACCELERATE_MIXED_PRECISION=bf16 hfcls adapt recipes/small_ko.yaml --dataset crawl_rated.parquet
    python benchmarks/small_ko.py ship outputs/small_ko
    python benchmarks/small_ko.py score --seeds 3
    python benchmarks/small_ko.py speed --against kcbert-base --nsmc ~/Korpora/nsmc

`crawl.parquet` is NSMC's raw crawl (CC0), columns `text` and `rating`. Left out are the reviews that also stand in
NSMC's test split or in the demonstration corpus, in any spelling that `hfcls check` takes for the same.
"""

import argparse
import csv
import json
import statistics
import tempfile
import time
from importlib.resources import files
from pathlib import Path

import pandas as pd
import torch
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForSequenceClassification, AutoTokenizer

import hfcls
from hfcls.data.duplicates import normalized
from hfcls.models.sources import SHIPPED, local_folder
from hfcls.models.tokenizers import load_tokenizer


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
    speed = commands.add_parser("speed", help="reviews/s through Classifier beside an encoder of another shape")
    speed.add_argument("--against", required=True, help="folder with config.json and a tokenizer; weights are drawn")
    speed.add_argument("--nsmc", type=Path, required=True, help="folder with ratings_test.txt")
    speed.add_argument("--reviews", type=int, default=512, help="per round, others in each")
    speed.add_argument("--rounds", type=int, default=4)
    speed.set_defaults(run=print_speed)
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


def print_speed(args: argparse.Namespace) -> None:
    """Rounds of the first test reviews, the two sides in turn; both have heads and weights of chance."""
    table = pd.read_csv(args.nsmc / "ratings_test.txt", sep="\t", quoting=csv.QUOTE_NONE, keep_default_na=False)
    texts = [text for text in table["document"] if text.strip()]
    sides = {name: drawn_classifier(name) for name in (SHIPPED[0], args.against)}
    for classifier in sides.values():
        classifier(texts[:64])
    ratios = []
    for start in range(0, args.rounds * args.reviews, args.reviews):
        batch = texts[start : start + args.reviews]
        seconds = []
        for classifier in sides.values():
            began = time.perf_counter()
            classifier(batch)
            seconds.append(time.perf_counter() - began)
        small, large = seconds
        ratios.append(large / small)
        print(f"{len(batch) / small:,.0f} and {len(batch) / large:,.1f} reviews/s, {ratios[-1]:.1f} x", flush=True)
    print(f"median {statistics.median(ratios):.1f} x, {torch.get_num_threads()} threads")


def drawn_classifier(source: str) -> hfcls.Classifier:
    """A classifier of two classes in an encoder's shape, with its tokenizer. Speed does not depend on the weights."""
    torch.manual_seed(7)
    folder = local_folder(source) or source
    config = AutoConfig.from_pretrained(folder, num_labels=2)
    model = AutoModelForSequenceClassification.from_config(config)
    return hfcls.Classifier(model, load_tokenizer(folder))


if __name__ == "__main__":
    main()
