"""What a model, a corpus or a file name can do to the machine, and what of a token is left behind: nothing."""

import contextlib
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import reviews
from safetensors.torch import load_file

import hfcls
from hfcls import cli
from hfcls.config.commands import PredictConfig
from hfcls.errors import HfclsError
from hfcls.inference.shards import predict_files
from hfcls.runs.sealing import seal

CODE = """
import os
from pathlib import Path
from transformers import AutoConfig, BertConfig, BertForSequenceClassification

Path(os.environ["HFCLS_MARKER"]).touch()

class OwnConfig(BertConfig):
    model_type = "own"

class OwnModel(BertForSequenceClassification):
    config_class = OwnConfig
"""


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that foreign code makes when it runs."""
    path = tmp_path / "marker"
    monkeypatch.setenv("HFCLS_MARKER", str(path))
    return path


@pytest.fixture
def copied(tiny_model: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


@pytest.fixture
def model_with_code(copied: Path) -> Path:
    (copied / "own.py").write_text(CODE)
    config = json.loads((copied / "config.json").read_text())
    config |= {
        "model_type": "own",
        "architectures": ["OwnForSequenceClassification"],
        "auto_map": {"AutoConfig": "own.OwnConfig", "AutoModelForSequenceClassification": "own.OwnModel"},
    }
    (copied / "config.json").write_text(json.dumps(config))
    return copied


class Attack:
    """A pickle that makes the marker file when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> tuple[Callable[..., int], tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def test_code_of_a_model_repository_runs_only_if_trusted(model_with_code, marker, table, tmp_path):
    name = str(model_with_code)
    corpus, read_it = str(table()), "read that code; if you trust it, give --trust_remote_code"
    with pytest.raises(HfclsError, match=read_it):
        hfcls.load_model(name, ["a", "b"])
    with pytest.raises(HfclsError, match=read_it):
        hfcls.fine_tune(dataset=corpus, model=name, max_length=32, output_dir=str(tmp_path / "out"))
    with pytest.raises(HfclsError, match=read_it):
        hfcls.check(dataset=corpus, model=name, max_length=32)
    with pytest.raises(HfclsError, match=read_it):
        hfcls.Classifier.from_pretrained(name)
    assert not marker.exists()
    model = hfcls.load_model(name, ["a", "b"], trust_remote_code=True)
    assert type(model).__name__ == "OwnModel"
    assert marker.exists()


def test_code_of_a_tokenizer_is_not_run(copied, marker):
    (copied / "own.py").write_text(CODE)
    config = json.loads((copied / "tokenizer_config.json").read_text())
    config |= {"tokenizer_class": "OwnTokenizer", "auto_map": {"AutoTokenizer": ["own.OwnTokenizer", None]}}
    (copied / "tokenizer_config.json").write_text(json.dumps(config))
    try:
        hfcls.load_tokenizer(str(copied))  # transformers may fall back to tokenizer.json, which holds no code
    except HfclsError as error:
        assert "--trust_remote_code" in str(error)  # noqa: PT017
    assert not marker.exists()


def test_code_beside_the_data_is_not_run(table, marker):
    """datasets ran a Python file named as its folder, before version 4."""
    folder = table("data/train.tsv").parent
    (folder / "data.py").write_text(CODE)
    hfcls.load_corpus(str(folder))
    assert not marker.exists()


def test_a_pickle_in_place_of_weights_is_refused(copied, marker):
    tensors = load_file(copied / "model.safetensors")
    (copied / "model.safetensors").unlink()
    torch.save(tensors, copied / "pytorch_model.bin")
    hfcls.load_model(str(copied), ["a", "b"])  # tensors alone load
    for save in (torch.save, lambda value, path: path.write_bytes(pickle.dumps(value, protocol=2))):
        save({**tensors, "more": Attack(marker)}, copied / "pytorch_model.bin")
        with pytest.raises(HfclsError, match="a pickle of more than tensors"):
            hfcls.load_model(str(copied), ["a", "b"])
        assert not marker.exists()


@pytest.fixture(scope="module")
def finished(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Options of a run of one epoch, whose folder holds its checkpoint."""
    folder = tmp_path_factory.mktemp("finished")
    lines = ["text\tlabel", *("\t".join(row) for row in reviews(20))]
    (folder / "data.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    options = {"dataset": str(folder / "data.tsv"), "model": tiny_model, "max_length": 32, "batch_size": 8}
    hfcls.fine_tune(**options, num_train_epochs=1, output_dir=str(folder / "out"))
    return {**options, "output_dir": str(folder / "out")}


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"])
def test_a_pickle_in_a_checkpoint_runs_no_code(finished, tmp_path, marker, name):
    out = shutil.copytree(finished["output_dir"], tmp_path / "out")
    (checkpoint,) = out.glob("checkpoint-*")
    torch.save({"more": Attack(marker)}, checkpoint / name)
    seal(checkpoint)  # as who plants it would
    outcome = contextlib.nullcontext()  # nobody reads training_args.bin
    if name != "training_args.bin":
        outcome = pytest.raises(HfclsError, match="holds a pickle of more than tensors, which is not loaded")
    with outcome:
        hfcls.fine_tune(**{**finished, "output_dir": str(out)}, num_train_epochs=2, resume=True)
    assert not marker.exists()


def test_names_in_the_data_do_not_lead_out_of_the_output_folder(table, tiny_model, tmp_path):
    names = ["../../escaped", "/tmp/escaped", "..", "a\\..\\b", "<script>alert(1)</script>"]
    table("data/train.tsv", lines=["text\tlabel", *(f"글 번호 {i}\t{names[i % 5]}" for i in range(60))])
    path = table("data/test.tsv", lines=["text\tlabel", *(f"시험 글 {i}\t{names[i % 5]}" for i in range(20))])
    before = files(tmp_path)
    out, labelled = tmp_path / "out", tmp_path / "labelled"
    hfcls.fine_tune(
        dataset=str(path.parent), model=tiny_model, max_length=32, max_steps=2, batch_size=8, output_dir=str(out),
        allow_unknown=True,
    )  # fmt: skip
    table("in/..evil.tsv", lines=["text\tlabel\t../x", "글\ta\tb"])
    before |= files(tmp_path / "in")
    predict_files(PredictConfig(model=str(out), input=str(tmp_path / "in"), output=str(labelled), all_scores=True))
    new = files(tmp_path) - before
    assert new
    assert all(out in file.parents or labelled in file.parents for file in new)
    assert not Path("/tmp/escaped").exists()


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_a_token_is_in_nothing_that_a_run_writes_or_says(table, tiny_model, tmp_path, monkeypatch, capfd):
    planted = "hf_" + "PLANTED" * 4
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "WANDB_API_KEY"):
        monkeypatch.setenv(name, planted)
    corpus, out = str(table(count=40)), str(tmp_path / "out")
    shared = ["--dataset", corpus, "--model"]
    commands = [
        ["train", *shared, tiny_model, "--max_length", "32", "--max_steps", "4", "--output_dir", out],
        ["check", *shared, tiny_model, "--max_length", "32", "--output", f"{out}/check.json"],
        ["evaluate", *shared, out, "--output", f"{out}/evaluation.json"],
        ["predict", "--model", out, "--input", corpus, "--output", f"{out}/labelled"],
    ]
    assert [cli.main(command) for command in commands] == [0, 0, 0, 0]
    said = capfd.readouterr()
    assert planted not in said.out + said.err
    written = files(tmp_path) | files(Path(os.environ["HF_HOME"]))
    assert len(written) > 10
    assert [path for path in written if planted.encode() in path.read_bytes()] == []
