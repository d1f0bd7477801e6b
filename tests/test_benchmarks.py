"""benchmarks/: cells of accuracy.py that are there are not run again, and small_ko.py times two shapes in turn."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT, reviews

PROGRAM = str(ROOT / "benchmarks/accuracy.py")


@pytest.mark.slow
def test_accuracy_of_methods_beside_the_baseline(tiny_model, tmp_path):
    for seed, split in enumerate(("train", "test")):
        lines = ["text,label", *(",".join(row) for row in reviews(80, seed))]
        (tmp_path / "data/set").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"data/set/{split}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    output = tmp_path / "accuracy.jsonl"
    run = [sys.executable, PROGRAM, "run", tmp_path / "data", "--model", tiny_model, "--output", output, "--rows", "60"]
    run += ["--seeds", "1", "2", "--methods", "probe", "book", "--option", "max_length=64"]
    subprocess.run([*run, "--part", "1/2"], check=True, capture_output=True, timeout=300)
    half = output.read_text()
    subprocess.run(run, check=True, capture_output=True, timeout=300)
    assert output.read_text().startswith(half)
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert len({(line["method"], line["seed"]) for line in lines}) == len(lines) == 4
    table = subprocess.run([sys.executable, PROGRAM, "table", output], check=True, capture_output=True, text=True)
    cells = table.stdout.splitlines()[-1].strip("| ").split(" | ")
    probe = [line["metrics"]["accuracy"] for line in lines if line["method"] == "probe"]
    assert (cells[0], cells[1]) == ("60", "set")
    assert cells[3].startswith(f"{sum(probe) / 2:.3f}")


def test_the_spread_of_the_baseline_counts_each_seed_once(tmp_path):
    """All methods of a seed have the same baseline: taken as often, its values lay closer together than seeds do."""
    cells = [
        {
            "method": method,
            "rows": 60,
            "set": "s",
            "seed": seed,
            "metrics": {"accuracy": 0.5},
            "baseline": {"accuracy": b},
        }
        for method in ("probe", "book", "default")
        for seed, b in ((1, 0.7), (2, 0.72), (3, 0.74))
    ]
    (tmp_path / "cells.jsonl").write_text("\n".join(map(json.dumps, cells)) + "\n")
    told = subprocess.run(
        [sys.executable, PROGRAM, "table", tmp_path / "cells.jsonl"], check=True, capture_output=True, text=True
    ).stdout
    assert "| 60 | s | 0.720 ± 0.020 | 0.500 |" in told


@pytest.mark.slow
def test_speed_of_the_shipped_encoder_beside_another_shape(tiny_model, tmp_path):
    lines = ["id\tdocument\tlabel", *(f"{i}\t{text}\t{label}" for i, (text, label) in enumerate(reviews(80)))]
    (tmp_path / "ratings_test.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    run = [sys.executable, str(ROOT / "benchmarks/small_ko.py"), "speed", "--against", str(tiny_model)]
    run += ["--nsmc", str(tmp_path), "--reviews", "20", "--rounds", "3"]
    printed = subprocess.run(run, check=True, capture_output=True, text=True, timeout=300).stdout.splitlines()
    ratios = sorted(float(line.split()[-2]) for line in printed[:3])
    assert printed[3].startswith(f"median {ratios[1]:.1f} x")
