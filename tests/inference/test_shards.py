"""Every row is labelled once, in order, across kills and processes."""

import contextlib
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import pandas
import pyarrow.csv
import pyarrow.parquet
import pytest
import torch
from conftest import ROOT, reviews
from huggingface_hub import constants
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForSequenceClassification

from hfcls import cli
from hfcls.config.commands import PredictConfig
from hfcls.errors import HfclsError
from hfcls.inference import shards as shards_module
from hfcls.inference.classifier import Classifier
from hfcls.inference.files.tables import _csv_rows, write_table
from hfcls.inference.shards import predict_files

COUNT, SHARD = 250, 60


@pytest.fixture
def options(classifier_folder, table, tmp_path):
    return {
        "model": classifier_folder,
        "input": str(table("in/comments.tsv", count=COUNT)),
        "output": str(tmp_path / "out"),
        "shard_size": SHARD,
        "batch_size": 16,
    }


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_row_is_kept_and_labelled_as_the_classifier_does(options, tmp_path):
    shards = predict_files(PredictConfig(**options, all_scores=True))
    assert [path.name for path in shards] == [f"comments.tsv-0000{i}-of-00005.parquet" for i in range(5)]
    rows = [row for path in shards for row in pyarrow.parquet.read_table(path).to_pylist()]
    assert [(row["text"], str(row["label"])) for row in rows] == reviews(COUNT)
    answers = Classifier.from_pretrained(options["model"])([row["text"] for row in rows], all_scores=True)
    for row, answer in zip(rows, answers, strict=True):
        assert row["predicted_label"] == answer["label"]
        assert row["predicted_score"] == pytest.approx(answer["score"], abs=1e-6)
        assert row["probability_긍정"] == pytest.approx(answer["scores"]["긍정"], abs=1e-6)


def test_a_folder_of_each_kind_of_file_gives_csv(options, tmp_path):
    folder = tmp_path / "in"
    texts = ['첫 줄\n둘째 줄, "따옴표"', "", "null", "영화 최고"]
    table = pyarrow.table({"text": texts, "id": [1, 2, 3, 4]})
    pyarrow.parquet.write_table(table, folder / "a.parquet")
    pyarrow.csv.write_csv(table, folder / "b.csv")
    (folder / "c.jsonl").write_text("\n".join(json.dumps(row) for row in table.to_pylist()))
    (folder / "README.md").write_text("not data")
    shards = predict_files(PredictConfig(**{**options, "input": str(folder)}, format="csv"))
    assert [path.name for path in shards[:3]] == [f"{n}-00000-of-00001.csv" for n in ("a.parquet", "b.csv", "c.jsonl")]
    convert = pyarrow.csv.ConvertOptions(strings_can_be_null=False)
    parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
    first, *others = [pyarrow.csv.read_csv(p, convert_options=convert, parse_options=parse) for p in shards[:3]]
    assert first["text"].to_pylist() == texts
    assert first.column_names == ["text", "id", "predicted_label", "predicted_score"]
    assert all(other.equals(first) for other in others)


def test_finished_shards_are_not_made_again(options, tmp_path):
    shards = predict_files(PredictConfig(**options))
    whole = contents(tmp_path / "out")
    shards[3].rename(f"{shards[3]}.0a1b2c3d.part")  # as a killed process leaves it
    times = {path: path.stat().st_mtime_ns for path in shards if path != shards[3]}
    predict_files(PredictConfig(**options))
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert contents(tmp_path / "out") == whole


@pytest.mark.parametrize("format", ["parquet", "csv", "jsonl"])
def test_a_single_file_holds_the_rows_of_the_shards(options, tmp_path, format, monkeypatch):
    options |= {"format": format, "bom": format == "csv"}
    shards = predict_files(PredictConfig(**options))
    single = options | {"output": str(tmp_path / "one"), "single_file": True}
    (path,) = predict_files(PredictConfig(**single))
    assert path == tmp_path / f"one/comments.{format}"
    assert sorted(contents(tmp_path / "one")) == ["_hfcls.json", path.name]
    if format == "parquet":
        assert pyarrow.parquet.read_table(path).equals(pyarrow.concat_tables(map(pyarrow.parquet.read_table, shards)))
    elif format == "jsonl":
        assert path.read_bytes() == b"".join(shard.read_bytes() for shard in shards)
    else:
        header, *_ = shards[0].read_bytes().splitlines(keepends=True)
        assert path.read_bytes() == header + b"".join(shard.read_bytes().removeprefix(header) for shard in shards)
    before = path.stat().st_mtime_ns
    assert predict_files(PredictConfig(**single)) == [path]
    assert path.stat().st_mtime_ns == before
    path.write_bytes(path.read_bytes()[:-200])  # cut: it is made again
    predict_files(PredictConfig(**single))
    assert len(path.read_bytes()) > 200
    assert sorted(contents(tmp_path / "one")) == ["_hfcls.json", path.name]
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(HfclsError, match="single_file is for one process, found 2"):
        predict_files(PredictConfig(**single))


def test_a_single_file_goes_on_after_its_last_part_and_spares_other_files(options, tmp_path, monkeypatch):
    single = options | {"single_file": True}
    monkeypatch.setattr(shards_module, "join_tables", Mock(side_effect=OSError(28, "No space left on device")))
    with pytest.raises(HfclsError, match="No space left on device; finished shards are kept"):
        predict_files(PredictConfig(**single))
    assert len(list((tmp_path / "out/_parts").iterdir())) == 5
    monkeypatch.undo()
    monkeypatch.setattr(shards_module, "labelled", None)
    (path,) = predict_files(PredictConfig(**single))
    assert pyarrow.parquet.read_metadata(path).num_rows == COUNT
    monkeypatch.undo()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/comments.parquet").write_bytes(b"mine")
    with pytest.raises(HfclsError, match="holds comments.parquet, but no _hfcls.json"):
        predict_files(PredictConfig(**single | {"output": str(tmp_path / "mine")}))
    inside = single | {"input": str(path), "output": str(tmp_path / "out"), "text_column": "text"}
    with pytest.raises(HfclsError, match="already has the column|is the input and would be the output"):
        predict_files(PredictConfig(**inside))
    table = pyarrow.parquet.read_table(path).select(["text"])
    pyarrow.parquet.write_table(table, tmp_path / "texts.parquet")
    with pytest.raises(HfclsError, match="is the input and would be the output"):
        predict_files(PredictConfig(**single | {"input": str(tmp_path / "texts.parquet"), "output": str(tmp_path)}))


@pytest.mark.parametrize("given", [{"RANK": "1"}, {"RANK": "2", "WORLD_SIZE": "2"}, {"WORLD_SIZE": "0"}])
def test_a_stray_rank_leaves_out_no_shard(options, tmp_path, monkeypatch, given):
    """RANK alone, as a scheduler may leave it, skipped the first shards without a word."""
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(HfclsError, match="the environment has (RANK|WORLD_SIZE)="):
        predict_files(**options)


def test_the_tpu_launcher_is_refused():
    """Each core would make every shard: torch_xla's processes have no RANK."""
    with pytest.raises(SystemExit, match="hfcls: error: .* not on TPU cores"):
        runpy.run_path(str(ROOT / "predict.py"))["main"](0)


@pytest.mark.slow
def test_killed_and_started_again_it_continues_with_identical_output(options, tmp_path):
    predict_files(PredictConfig(**options))
    whole = contents(tmp_path / "out")
    killed = tmp_path / "killed"
    flags = [f"--{name}={value}" for name, value in {**options, "output": killed}.items()]
    slow = (  # the real command, but a pause after each shard, so that the signal finds it at work
        "import time, sys, hfcls.inference.shards as p; from hfcls import cli; write = p.write_table\n"
        "def paused(*args, **options): write(*args, **options); time.sleep(0.5)\n"
        "p.write_table = paused; sys.exit(cli.main(sys.argv[1:]))"
    )
    process = subprocess.Popen([sys.executable, "-c", slow, "predict", *flags], stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while len(list(killed.glob("*.parquet"))) < 2 and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = {path: path.stat().st_mtime_ns for path in killed.glob("*.parquet")}
    assert 2 <= len(finished) < 5
    (killed / "comments.tsv-00004-of-00005.parquet.0a1b2c3d.part").write_bytes(b"half")
    assert cli.main(["predict", *flags]) == 0
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert contents(killed) == whole


def test_processes_divide_the_shards_and_write_the_same_bytes(options, tmp_path, monkeypatch):
    predict_files(PredictConfig(**options))
    monkeypatch.setenv("WORLD_SIZE", "3")
    made = []
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        made += predict_files(PredictConfig(**{**options, "output": str(tmp_path / "divided")}))
    assert len(made) == len(set(made)) == 5
    assert contents(tmp_path / "divided") == contents(tmp_path / "out")


@pytest.mark.slow
def test_accelerate_launch_divides_the_shards(options, tmp_path):
    predict_files(PredictConfig(**options))
    divided = {**options, "output": tmp_path / "divided"}
    two = tmp_path / "two.yaml"
    two.write_text(
        "compute_environment: LOCAL_MACHINE\ndistributed_type: MULTI_GPU\nuse_cpu: true\nnum_processes: 2\n"
        "num_machines: 1\nmachine_rank: 0\nmixed_precision: 'no'\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", "--config_file", two, ROOT / "predict.py",
         *(f"--{name}={value}" for name, value in divided.items())],
        capture_output=True, text=True, timeout=300, check=False, env={**os.environ, "ACCELERATE_USE_CPU": "true"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "divided") == contents(tmp_path / "out")


def test_shards_of_something_else_are_not_mixed(options, table):
    predict_files(PredictConfig(**options))
    with pytest.raises(HfclsError, match=r"out holds predictions with another batch_size: choose another --output"):
        predict_files(PredictConfig(**{**options, "batch_size": 8}))
    table("in/comments.tsv", count=COUNT + 1)
    with pytest.raises(HfclsError, match="holds predictions with another .*comments.tsv: choose"):
        predict_files(PredictConfig(**options))


def rewrite_json(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}), encoding="utf-8")


def other_weights(folder):
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    torch.nn.init.ones_(model.classifier.weight)
    return model


def to_pickle(folder):
    weights = other_weights(folder).state_dict()
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")


def to_several_files(folder):
    model = other_weights(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="10KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1


def swap_two_tokens(folder):
    tokenizer = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    vocab = tokenizer["model"]["vocab"]
    first, second = [token for token in vocab if len(token) == 1][:2]
    vocab[first], vocab[second] = vocab[second], vocab[first]
    rewrite_json(folder / "tokenizer.json", **tokenizer)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (to_pickle, "weights"),
        (to_several_files, "weights"),
        (lambda folder: rewrite_json(folder / "config.json", id2label={"0": "긍정", "1": "부정"}), "config"),
        (lambda folder: rewrite_json(folder / "config.json", hidden_act="relu"), "config"),
        (swap_two_tokens, "tokenizer"),
        (lambda folder: rewrite_json(folder / "tokenizer_config.json", model_max_length=9), "tokenizer"),
    ],
    ids=["pickle", "several files", "names", "config", "tokenizer", "max_length"],
)
def test_another_model_of_the_same_name_is_refused(options, tmp_path, change, parts):
    folder = shutil.copytree(options["model"], tmp_path / "model")
    options["model"] = str(folder)
    shards = predict_files(PredictConfig(**options))
    shards[1].unlink()  # as if it had been stopped
    before = contents(tmp_path / "out")
    change(folder)
    with pytest.raises(
        HfclsError, match=rf"out holds predictions with another model \({parts}\): choose another --out"
    ):
        predict_files(PredictConfig(**options))
    assert contents(tmp_path / "out") == before


def test_another_revision_of_the_hub_is_refused(options, tmp_path):
    repository = Path(constants.HF_HUB_CACHE) / "models--tester--sentiment"
    for revision in ("a" * 40, "b" * 40):
        shutil.copytree(options["model"], repository / "snapshots" / revision)
    second = repository / "snapshots" / ("b" * 40)
    other_weights(second).save_pretrained(second)
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text("a" * 40)
    options["model"] = "tester/sentiment"
    predict_files(PredictConfig(**options))
    (repository / "refs/main").write_text("b" * 40)
    with pytest.raises(HfclsError, match=r"another model \(weights\)"):
        predict_files(PredictConfig(**options))


def test_other_code_of_a_trusted_repository_is_refused(options, tmp_path):
    folder = shutil.copytree(options["model"], tmp_path / "own_model")
    code = (
        "from transformers import BertConfig, BertForSequenceClassification\n"
        "class OwnConfig(BertConfig):\n    model_type = 'own'\n"
        "class OwnModel(BertForSequenceClassification):\n    config_class = OwnConfig\n"
    )
    (folder / "own.py").write_text(code)
    places = {"AutoConfig": "own.OwnConfig", "AutoModelForSequenceClassification": "own.OwnModel"}
    rewrite_json(
        folder / "config.json", model_type="own", architectures=["OwnForSequenceClassification"], auto_map=places
    )
    options |= {"model": str(folder), "trust_remote_code": True}
    predict_files(PredictConfig(**options))
    (folder / "own.py").write_text(code + "    def forward(self, **inputs): return super().forward(**inputs)\n")
    with pytest.raises(HfclsError, match=r"another model \(code\)"):
        predict_files(PredictConfig(**options))


def test_the_same_model_goes_on_from_other_files_and_another_place(options, tmp_path):
    shards = predict_files(PredictConfig(**options))
    whole = shards[1].read_bytes()
    shards[1].unlink()
    folder = shutil.copytree(options["model"], tmp_path / "moved")
    AutoModelForSequenceClassification.from_pretrained(folder).save_pretrained(folder, max_shard_size="10KB")
    (folder / "model.safetensors").unlink()
    (folder / "README.md").write_text("another card")
    predict_files(PredictConfig(**{**options, "model": str(folder)}))
    assert shards[1].read_bytes() == whole


def test_other_rows_of_the_same_size_and_time_are_refused(options):
    predict_files(PredictConfig(**options))
    path = Path(options["input"])
    before = path.stat()
    path.write_bytes(path.read_bytes().replace("최고".encode(), "별로".encode()))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(HfclsError, match="holds predictions with another .*comments.tsv: choose"):
        predict_files(PredictConfig(**options))


def rows_less(path):
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.parquet.read_table(path).slice(1), path)
    else:
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def another_column(path):
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.parquet.read_table(path).rename_columns(list("abcd")), path)
    else:
        path.write_bytes(path.read_bytes().replace(b"predicted_score", b"score", 1))


@pytest.mark.parametrize("format", ["parquet", "csv", "jsonl"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes()[:-90]),
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        rows_less,
        another_column,
    ],
    ids=["empty", "a byte", "some bytes", "half", "a row", "a column"],
)
def test_a_shard_that_is_not_whole_is_made_again(options, tmp_path, caplog, damage, format):
    Path(options["input"]).write_text("text\tlabel\n" + '"첫 줄\n""둘째"", 줄"\t1\n' * COUNT, encoding="utf-8")
    options["format"] = format
    shards = predict_files(PredictConfig(**options))
    whole = contents(tmp_path / "out")
    damage(shards[2])
    times = {path: path.stat().st_mtime_ns for path in shards if path != shards[2]}
    predict_files(PredictConfig(**options))
    assert contents(tmp_path / "out") == whole
    assert {path: path.stat().st_mtime_ns for path in times} == times
    (said,) = [message for message in caplog.messages if "no whole shard" in message]
    assert said.startswith(f"{shards[2]} is no whole shard and is made again: ")


@settings(deadline=None, derandomize=True)
@given(
    texts=st.lists(st.text(st.characters(codec="utf-8"), max_size=8), min_size=1, max_size=6),
    cut=st.integers(1, 60),
    name=st.text(st.characters(codec="utf-8"), min_size=1, max_size=4),
)
def test_each_cut_of_a_csv_shard_is_seen(texts, cut, name, tmp_path_factory):
    path = tmp_path_factory.mktemp("cut") / "a.csv"
    table = pyarrow.table({name: texts, f"{name}2": pyarrow.array(range(len(texts)))})
    pyarrow.csv.write_csv(table, path)
    assert _csv_rows(path, table.column_names) == len(texts)
    path.write_bytes(path.read_bytes()[:-cut])
    with contextlib.suppress(ValueError):
        assert _csv_rows(path, table.column_names) < len(texts)


def test_a_file_of_another_name_is_not_counted_twice_without_a_word(options, caplog):
    source = Path(options["input"])
    options = {**options, "input": str(source.parent)}
    predict_files(**options)
    predict_files(**options)
    assert "twice" not in caplog.text
    renamed = source.rename(source.with_name("renamed.tsv"))
    predict_files(**options)
    assert f"{renamed} holds what {source} did" in caplog.text


def test_the_shards_of_a_file_that_was_moved_are_not_told_to_be_deleted(options, tmp_path, caplog):
    folder = tmp_path / "texts"
    for place in ("first", "second"):
        (folder / place).mkdir(parents=True)
    source = Path(options["input"]).rename(folder / "first/comments.tsv")
    written = predict_files(**{**options, "input": str(folder / "*/*.tsv")})
    source.rename(folder / "second/comments.tsv")
    assert (
        predict_files(**{**options, "input": str(folder / "*/*.tsv")})
        == written
        == sorted(written[0].parent.glob("*.parquet"))
    )
    assert "twice" not in caplog.text


def test_a_file_of_no_bytes_is_passed_over_among_others(options, tmp_path, caplog):
    (Path(options["input"]).parent / "empty.csv").write_text("", encoding="utf-8")
    written = predict_files(**{**options, "input": str(Path(options["input"]).parent)})
    assert {path.name.partition("-")[0] for path in written} == {"comments.tsv"}
    assert "empty.csv: no rows to label" in caplog.text


def test_shards_without_the_note_of_what_they_are_of_are_refused(options, tmp_path):
    predict_files(PredictConfig(**options))
    (tmp_path / "out/_hfcls.json").unlink()
    with pytest.raises(HfclsError, match=r"holds comments.tsv-00000-of-00005.parquet, but no _hfcls.json that says"):
        predict_files(PredictConfig(**options))


def test_a_broken_file_costs_no_finished_shard_and_may_be_mended(options, table, tmp_path):
    options["input"] = str(tmp_path / "in")
    predict_files(PredictConfig(**options))
    whole = contents(tmp_path / "out")
    table("in/more.tsv", lines=["text\tlabel", "좋다\t1", "나쁘다"])
    with pytest.raises(HfclsError, match=r"more.tsv, line 3: 1 fields, but the header has 2"):
        predict_files(PredictConfig(**options))
    assert contents(tmp_path / "out") == whole
    table("in/more.tsv", lines=["text\tlabel", "좋다\t1", "나쁘다\t0"])
    predict_files(PredictConfig(**options))
    after = contents(tmp_path / "out")
    assert after.keys() == {*whole, "more.tsv-00000-of-00001.parquet"}
    assert all(after[name] == whole[name] for name in whole if name.endswith(".parquet"))


def test_exact_shards_hold_the_same_probabilities_whatever_their_size(options, tmp_path):
    tables = []
    for shard_size, batch_size in [(250, 128), (7, 3), (60, 16)]:
        changed = {"shard_size": shard_size, "batch_size": batch_size, "output": str(tmp_path / f"out{shard_size}")}
        shards = predict_files(PredictConfig(**{**options, **changed}, batching="exact", all_scores=True))
        tables.append(pyarrow.concat_tables(pyarrow.parquet.read_table(path) for path in shards))
    assert len(tables[0]) == COUNT
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"text_column": "글"}, "has no column '글'; it has 'text', 'label': set --text_column"),
        ({"output_columns": "id, text"}, "has no column 'id'; it has 'text', 'label': set --output_columns"),
        ({"input": "nowhere.csv"}, "no file nowhere.csv"),
        ({"input": "{empty}"}, "holds no file of texts; known are .csv"),
        ({"output": "/proc/none"}, "cannot write to /proc/none"),
        ({"output": None}, "input and output go together"),
        ({"output": None, "input": None, "text_column": "글"}, "is about the files of input, and input is not given"),
        ({"input": "{taken}"}, "already has the column 'predicted_label': rename it"),
        ({"input": "{not_utf8}"}, "column 'text' holds text that is not UTF-8 .*: set --text_column, or mend the file"),
        ({"text_pair_column": "label", "input": "{numbers}"}, "column 'label' is not text but int64: set --text_pair"),
        ({"output": "{folder}", "input": "{folder}"}, "is the input: choose another --output"),
        ({"output": "out.csv"}, "output is a folder, found out.csv: .* --output out --format csv --single_file"),
        ({"output": "{mangled}"}, "_hfcls.json is not what hfcls wrote, .*: choose another --output"),
    ],
)
def test_bad_input_is_named(options, table, tmp_path, changed, message):
    (tmp_path / "empty").mkdir()
    paths = {
        "empty": tmp_path / "empty",
        "folder": tmp_path / "in",
        "mangled": tmp_path / "mangled",
        "not_utf8": tmp_path / "not_utf8.parquet",
        "numbers": tmp_path / "numbers.parquet",
        "taken": table("taken.tsv", lines=["text\tpredicted_label", "좋다\t1"]),
    }
    offsets, content = (pyarrow.py_buffer(part) for part in (b"\0\0\0\0\2\0\0\0", b"\xff\xfe"))
    broken = pyarrow.Array.from_buffers(pyarrow.string(), 1, [None, offsets, content])
    pyarrow.parquet.write_table(pyarrow.table({"text": broken}), paths["not_utf8"])
    pyarrow.parquet.write_table(pyarrow.table({"text": ["가"], "label": [1]}), paths["numbers"])
    paths["mangled"].mkdir()
    (paths["mangled"] / "_hfcls.json").write_text("[]")
    changed = {name: value and value.format(**paths) for name, value in changed.items()}
    with pytest.raises(HfclsError, match=message):
        predict_files(PredictConfig(**{**options, **changed}))
    assert not (tmp_path / "out").exists()  # so that the mended command may use it


def test_files_as_people_bring_them_are_labelled_by_the_same_reader(options, tmp_path):
    folder = tmp_path / "odd"
    texts = ["영화 최고", "별로, 실망", "지루 나쁘다"]
    write = {
        "excel.csv": ("id;text\r\n" + "".join(f"{i};{text}\r\n" for i, text in enumerate(texts))).encode("cp949"),
        "unquoted.tsv": ("text\n" + "".join(f'"{text}\n' for text in texts)).encode(),
        "nested.json": json.dumps({"data": [{"id": i, "review": {"text": t}} for i, t in enumerate(texts)]}).encode(),
        "classes/긍정/1.txt": texts[0].encode(),
        "classes/부정/1.txt": texts[1].encode(),
        "part-2.csv": f"document\n{texts[1].replace(',', '')}\n".encode(),
        "part-10.csv": f"document\n{texts[2]}\n".encode(),
    }
    for name, content in write.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    classifier = Classifier.from_pretrained(options["model"])
    for number, (name, column, expected) in enumerate(
        [
            ("excel.csv", "text", texts),
            ("unquoted.tsv", "text", [f'"{text}' for text in texts]),
            ("nested.json", "review.text", texts),
            ("classes", "text", texts[:2]),
            ("part-*.csv", "text", ["별로 실망", texts[2]]),
        ]
    ):
        chosen = {"input": str(folder / name), "output": str(tmp_path / f"out{number}"), "text_column": column}
        shards = predict_files(PredictConfig(**{**options, **chosen}))
        rows = [row for path in shards for row in pyarrow.parquet.read_table(path).to_pylist()]
        assert [row["predicted_label"] for row in rows] == [answer["label"] for answer in classifier(expected)]
        assert "id" in rows[0] or name not in ("excel.csv", "nested.json")


def test_the_folder_is_read_as_one_table(options, tmp_path):
    """The note beside the shards is passed over by what begins with a line."""
    predict_files(PredictConfig(**options))
    frame = pandas.read_parquet(tmp_path / "out")
    assert len(frame) == COUNT
    assert str(frame["label"].dtype) == "int64"
    assert list(frame.columns) == ["text", "label", "predicted_label", "predicted_score"]


def test_a_folder_of_an_earlier_version_is_continued_with_its_own_types(options, tmp_path):
    predict_files(PredictConfig(**options))
    note = tmp_path / "out/_hfcls.json"
    sources = json.loads(note.read_text("utf-8"))
    for name in ("integer_columns", "output_columns", "bom", "single_file"):
        del sources[name]
    note.unlink()
    (tmp_path / "out/predict.json").write_text(json.dumps(sources), encoding="utf-8")
    (tmp_path / "out/comments.tsv-00001-of-00005.parquet").unlink()
    shards = predict_files(PredictConfig(**options))
    assert pyarrow.parquet.read_schema(shards[1]).field("label").type == pyarrow.string()
    assert not (tmp_path / "out/predict.json").exists()
    assert json.loads(note.read_text("utf-8"))["integer_columns"] == []
    (tmp_path / "out/predict.json").write_text(json.dumps(sources), encoding="utf-8")
    note.unlink()
    for name, value in (("output_columns", "text"), ("single_file", True)):
        with pytest.raises(HfclsError, match=f"holds predictions with another {name}: choose"):
            predict_files(PredictConfig(**options, **{name: value}))


def test_a_csv_shard_may_begin_with_a_mark_for_excel(options, tmp_path):
    shards = predict_files(PredictConfig(**options, format="csv", bom=True, output_columns="label"))
    assert all(path.read_bytes().startswith(b'\xef\xbb\xbf"label","predicted_label"') for path in shards)
    assert len(pandas.read_csv(shards[0])) == SHARD
    times = [path.stat().st_mtime_ns for path in shards]
    predict_files(PredictConfig(**options, format="csv", bom=True, output_columns="label"))
    assert [path.stat().st_mtime_ns for path in shards] == times  # with the mark it is whole, too
    with pytest.raises(HfclsError, match="bom is for csv: add --format csv, or drop bom"):
        PredictConfig(**options, bom=True)


def test_single_files_of_like_names_keep_their_suffix(options, tmp_path):
    for name in ("a.csv", "a.tsv", "b.csv"):
        (tmp_path / "many").mkdir(exist_ok=True)
        (tmp_path / "many" / name).write_text("text\n최고\n", encoding="utf-8")
    found = predict_files(**options | {"input": str(tmp_path / "many"), "single_file": True})
    assert [path.name for path in found] == ["a.csv.parquet", "a.tsv.parquet", "b.parquet"]


def test_labels_with_commas_are_not_joined_by_commas_in_csv(tmp_path):
    table = pyarrow.table({"predicted_labels": pyarrow.array([["가"], ["나, 다", "가"]])})
    write_table(table, tmp_path / "a.parquet", bom=False)
    with pytest.raises(HfclsError, match="csv cannot hold these columns .commas .*: use --format parquet"):
        write_table(table, tmp_path / "a.csv", bom=False)
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]
    write_table(table.slice(0, 1), tmp_path / "a.csv", bom=False)
    assert (tmp_path / "a.csv").read_text(encoding="utf-8").splitlines() == ['"predicted_labels"', '"가"']


def test_a_finished_single_file_is_not_labelled_again_under_another_name(options, tmp_path):
    many = tmp_path / "many"
    many.mkdir()
    (many / "a.csv").write_text("text\n최고\n", encoding="utf-8")
    given = options | {"input": str(many), "single_file": True}
    (made,) = predict_files(**given)
    (many / "a.tsv").write_text("text\n별로\n", encoding="utf-8")
    with pytest.raises(HfclsError, match="is of the one input that was called a, and now several are: choose"):
        predict_files(**given)
    made.unlink()
    assert [path.name for path in predict_files(**given)] == ["a.csv.parquet", "a.tsv.parquet"]
