"""Which method is worth it from how many labels: data sets x rows x seeds x methods, to a table.

    python benchmarks/accuracy.py run DATA --model MODEL --output accuracy.jsonl
    python benchmarks/accuracy.py table accuracy.jsonl

DATA holds a folder per data set, each with the files train.csv and test.csv, columns `text` and `label`. The first rows
of train are used, all rows of test are scored, once per run; nothing is chosen by them. A cell that stands in the
output already is not run again. `--part 1/4` runs every fourth cell, for several processes at once.

`--methods setfit` runs SetFit (Tunstall et al. 2022; `pip install setfit`) on the same encoder, its defaults but for
`--pairs`, of which each text has that many of its class and of others.
"""

import argparse
import json
import statistics
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

import hfcls

METHODS = {
    "default": {},
    "probe": {"freeze_encoder": True},
    "book": {
        "batch_size": 32, "learning_rate": 5e-5, "num_train_epochs": 3, "optimizer": "adam",
        "lr_scheduler": "exponential",
        "warmup_ratio": 0.0, "max_grad_norm": 0.0, "warm_head": False, "metric_for_best_model": "eval_loss",
    },
}  # fmt: skip
SETFIT = "setfit"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run", help="fine-tune and score each cell")
    run.add_argument("data", type=Path)
    run.add_argument("--model", required=True)
    run.add_argument("--output", type=Path, required=True, help="a line of JSON per cell")
    run.add_argument("--sets", nargs="+", help="default: all folders of DATA")
    run.add_argument("--rows", nargs="+", type=int, default=[300, 1000])
    run.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    run.add_argument("--methods", nargs="+", default=list(METHODS), choices=[*METHODS, SETFIT])
    run.add_argument("--pairs", type=int, default=10, help="of each text, for setfit")
    run.add_argument("--part", default="1/1")
    run.add_argument("--option", nargs="*", default=[], metavar="NAME=VALUE", help="for all methods, as in a recipe")
    run.set_defaults(do=run_cells)
    table = commands.add_parser("table", help="the means over the seeds, in Markdown")
    table.add_argument("output", type=Path, nargs="+")
    table.set_defaults(do=print_table)
    args = parser.parse_args()
    args.do(args)


def run_cells(args: argparse.Namespace) -> None:
    """One line of the output per cell."""
    part, parts = map(int, args.part.split("/"))
    sets = args.sets or sorted(path.name for path in args.data.iterdir() if path.is_dir())
    cells = list(product(args.methods, args.rows, sets, args.seeds))
    given = dict(option.split("=", 1) for option in args.option)
    done = {cell_of(line) for line in read_lines([args.output])} if args.output.exists() else set()
    for method, rows, name, seed in cells[part - 1 :: parts]:
        if (method, rows, name, seed) in done:
            continue
        setfit = method == SETFIT
        found = score_setfit(args, rows, name, seed) if setfit else score(args, method, rows, name, seed, given)
        line = {
            "method": method,
            "rows": rows,
            "set": name,
            "seed": seed,
            **found,
        }
        with args.output.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
        print(json.dumps(line, ensure_ascii=False), flush=True)


def score(
    args: argparse.Namespace, method: str, rows: int, name: str, seed: int, given: dict[str, str]
) -> dict[str, Any]:
    """What one run reaches on the test rows, and the baseline beside it."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        result = hfcls.fine_tune(
            **METHODS[method] | {key: json.loads(value) for key, value in given.items()},
            dataset=str(args.data / name), model=args.model, output_dir=f"{folder}/run", max_train_samples=rows,
            seed=seed, report=False, report_to="none",
        )  # fmt: skip
    assert result.split == "test", result.split
    metrics = {key: round(value, 5) for key, value in result.metrics.items()}
    beside = result.baseline.analysis.metrics() if result.baseline else {}
    return {
        "metrics": metrics,
        "baseline": {key: round(beside[key], 5) for key in metrics if key in beside},
        "train_seconds": round(result.facts.training_seconds, 1),
        "seconds": round(time.perf_counter() - began, 1),
    }


def score_setfit(args: argparse.Namespace, rows: int, name: str, seed: int) -> dict[str, Any]:
    """What SetFit reaches on the test rows. It trains on all the rows, as nothing is held out for validation."""
    from setfit import SetFitModel, Trainer, TrainingArguments  # an optional package
    from sklearn.metrics import f1_score

    began = time.perf_counter()
    corpus = hfcls.load_corpus(str(args.data / name))
    train, test = corpus["train"].select(range(rows)), corpus["test"]
    with tempfile.TemporaryDirectory() as folder:
        options = TrainingArguments(
            output_dir=folder, num_iterations=args.pairs, seed=seed, report_to="none", save_strategy="no"
        )
        model = SetFitModel.from_pretrained(args.model)
        model.model_body.float()  # it is read in the type that it was saved in, and half of float32 is slow on a CPU
        trainer = Trainer(model, options, train_dataset=train)
        trainer.train()
    seconds = time.perf_counter() - began
    found, labels = [int(label) for label in trainer.model.predict(list(test["text"]))], list(test["label"])
    accuracy = sum(a == b for a, b in zip(found, labels, strict=True)) / len(labels)
    return {
        "metrics": {"accuracy": round(accuracy, 5), "macro_f1": round(f1_score(labels, found, average="macro"), 5)},
        "baseline": {},
        "pairs": args.pairs,
        "train_seconds": round(seconds, 1),
        "seconds": round(time.perf_counter() - began, 1),
    }


def read_lines(paths: list[Path]) -> list[dict[str, Any]]:
    return [json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").splitlines()]


def cell_of(line: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(line[key] for key in ("method", "rows", "set", "seed"))


def print_table(args: argparse.Namespace) -> None:
    """Accuracy: the mean over the seeds and, where there are several, their standard deviation."""
    lines = read_lines(args.output)
    methods = list(dict.fromkeys(line["method"] for line in lines))
    print("| rows | set | baseline | " + " | ".join(methods) + " |")
    print("| --- " * (3 + len(methods)) + "|")
    for rows, name in sorted({(line["rows"], line["set"]) for line in lines}):
        cell = [line for line in lines if (line["rows"], line["set"]) == (rows, name)]
        beside = {line["seed"]: line["baseline"]["accuracy"] for line in cell if line["baseline"]}  # all methods' alike
        columns = [figure([*beside.values()])]
        columns += [figure([li["metrics"]["accuracy"] for li in cell if li["method"] == m]) for m in methods]
        print(f"| {rows:,} | {name} | " + " | ".join(columns) + " |")


def figure(values: list[float]) -> str:
    if not values:
        return ""
    spread = f" ± {statistics.stdev(values):.3f}" if len(set(values)) > 1 else ""
    return f"{statistics.mean(values):.3f}{spread}"


if __name__ == "__main__":
    main()
