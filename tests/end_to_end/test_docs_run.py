"""The commands and Python blocks of README and docs, run one after another as a reader would, on small stand-ins.

They run as they are written: `beomi/kcbert-base` is a folder with a tiny model here, NSMC a few made-up reviews.
"""

import csv
import os
import re
import shlex
import shutil
from pathlib import Path

import pytest
from conftest import ROOT, reviews
from test_docs import blocks, commands
from transformers import AutoTokenizer, BertConfig, BertModel

from hfcls import cli
from hfcls.data import encoding
from hfcls.data.origins.nsmc import LABEL_NAMES

# Not run here: `serve` does not end, `push` needs a hub; both have tests of their own.
RUN = ("adapt", "distill", "check", "clean", "train", "report", "evaluate", "predict", "export")
# Needs a hub or a package that is not ours; or is refused where a model is as unsure as the small stand-ins.
ELSEWHERE = re.compile(r"--help|--push_to_hub|wandb|int8")

METRIC = """
import datasets
import evaluate


class Mine(evaluate.Metric):
    def _info(self):
        label = datasets.Value("int32")
        features = datasets.Features({"predictions": label, "references": label})
        return evaluate.MetricInfo(description="", citation="", inputs_description="", features=features)

    def _compute(self, predictions, references):
        return {"agree": sum(p == r for p, r in zip(predictions, references)) / len(references)}
"""


def write(path: Path, header: list[str], rows: list[tuple[str, ...]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, delimiter="\t" if path.suffix == ".txt" else ",")
        table.writerow(header)
        table.writerows(rows)


@pytest.fixture
def workplace(tmp_path, tiny_model, monkeypatch):
    """A folder with the repository's files and with all that the pages name; it is the current one, and the home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("recipes", "examples"):
        shutil.copytree(ROOT / name, name)
    model = Path("beomi/kcbert-base")
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.add_special_tokens({"mask_token": tokenizer.convert_ids_to_tokens(len(tokenizer) - 1)})
    tokenizer.save_pretrained(model)
    BertModel(
        BertConfig(
            vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=64, max_position_embeddings=300, pad_token_id=tokenizer.pad_token_id,
        )
    ).save_pretrained(model)  # fmt: skip
    for seed, split in enumerate(["train", "test"]):
        rows = reviews(80, seed)
        write(Path(f"Korpora/nsmc/ratings_{split}.txt"), ["id", "document", "label"], [("1", *row) for row in rows])
        write(Path(f"klue/klue/{split}.csv"), ["premise", "hypothesis", "label"], [(row[0], *row) for row in rows])
    write(Path("reviews.csv"), ["comment", "grade"], rows)
    write(
        Path("held_out.csv"),
        ["comment", "grade", "text", "label"],
        [(*row, row[0], LABEL_NAMES[row[1]]) for row in rows],
    )
    write(Path("news.csv"), ["title", "body", "comment", "label"], [(row[0], row[0], *row) for row in rows])
    Path("metrics").mkdir()
    Path("metrics/mine.py").write_text(METRIC, encoding="utf-8")
    write(Path("articles.csv"), ["text", "label"], rows)
    flags = [(row[0], *(str(i >> j & 1) for j in range(3))) for i, row in enumerate(rows)]
    write(Path("orders.csv"), ["text", "배송", "품질", "가격"], flags)
    write(
        Path("tags.csv"), ["text", "label"], [(row[0], "배송,가격" if i % 2 else "품질") for i, row in enumerate(rows)]
    )
    write(Path("stars.csv"), ["review", "stars"], [(row[0], f"{i % 9 / 2:g}") for i, row in enumerate(rows)])
    write(Path("comments.csv"), ["text"], [(row[0],) for row in rows])
    Path("comments.txt").write_text("".join(f"{row[0]}\n" for row in rows), encoding="utf-8")
    import pandas

    pandas.DataFrame(rows, columns=["comment", "text"]).to_parquet("comments.parquet")
    assert cli.main(["train", "recipes/nsmc.yaml", "--output_dir", "outputs/quickstart"]) == 0  # as `make train` does
    for other in ("other", "third"):
        shutil.copytree("outputs/quickstart", f"outputs/{other}")
    return tmp_path


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:'pin_memory' argument is set as true")  # Trainer's default, on a CPU
def test_commands_and_python_blocks_run_in_the_order_of_the_pages(workplace, capsys, monkeypatch):
    monkeypatch.setattr(encoding, "MOST_UNKNOWN", 1.0)  # the stand-ins know few words
    done: dict[str, int] = {**dict.fromkeys(RUN, 0), "python": 0}
    seen = set()
    for page, command in commands():
        command = command.replace("/content/drive", str(workplace / "drive")).split(" | ")[-1].split(" > ")[0]
        words = shlex.split(command)
        if "train.py" in words:
            words = ["hfcls", "train", *words[words.index("train.py") + 1 :]]
        if "hfcls.cli" in words:
            words = ["hfcls", *words[words.index("hfcls.cli") + 1 :]]
        if words[0] != "hfcls" or words[1] not in RUN or tuple(words) in seen or ELSEWHERE.search(command):
            continue
        seen.add(tuple(words))
        if words[1] in ("adapt", "distill", "train"):
            words += [] if "--freeze_encoder" in words else ["--max_steps", "6"]
            words += [] if "--resume" in words else ["--overwrite_output_dir"]
        if "--metrics" in words:  # f1 is fetched from the Hub
            words.remove("f1")
        if "--output" in words:  # two pages may label into a folder of the same name
            words[words.index("--output") + 1] += f"-{len(seen)}"
        with open("comments.txt", encoding="utf-8") as lines, monkeypatch.context() as patch:
            patch.setattr("sys.stdin", lines)  # where the command stands behind a pipe
            status = cli.main(words[1:])
        assert status == 0, f"{page.name}: {command}\n{capsys.readouterr().err}"
        done[words[1]] += 1
    for page, text in blocks("python"):
        if page.name.endswith(".ko.md") or "launch_demo" in text or "urlopen" in text or "pyspark" in text:
            continue  # the code of the English page, as a test says; servers and Spark, which have tests of their own
        exec(compile(text.replace('.fine_tune(dataset="nsmc"', '.fine_tune(overwrite_output_dir=True, dataset="nsmc"'),
                     f"{page.name}", "exec"), {"__name__": "__main__"})  # fmt: skip
        done["python"] += 1
    assert os.path.exists("outputs/inquiries/model.safetensors")
    least = {
        "adapt": 4,
        "distill": 3,
        "check": 2,
        "clean": 2,
        "train": 6,
        "report": 1,
        "evaluate": 1,
        "predict": 4,
        "export": 1,
        "python": 6,
    }
    assert all(done[kind] >= count for kind, count in least.items()), done
