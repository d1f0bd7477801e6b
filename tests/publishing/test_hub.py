"""The real client, in processes of its own, against a small hub on 127.0.0.1."""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_type_hints

import huggingface_hub
import pytest
from conftest import ROOT
from hub_server import HubServer, User, card_errors
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from hfcls import Classifier, cli
from hfcls.models.tokenizers import TOKENIZER_FILES
from hfcls.publishing.card import base_licence
from hfcls.publishing.hub import UPLOADED
from hfcls.runs.record import RunFacts
from hfcls.runs.results import Result
from hfcls.runs.weights import weights_sha256

# huggingface_hub 2.4.0 hands the file of an LFS upload to httpx2 in a way that is on its way out.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

CARD = '---\ntags:\n- hfcls\n---\n# A model\nClassifier.from_pretrained("somewhere")\n'
PUSHED = {"README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
PRIVATE = (
    *("training_args.bin", "checkpoint-8/optimizer.pt", "checkpoint-8/config.json", "trainer_state.json", "run.yaml"),
    *(
        "results.json",
        "predictions.parquet",
        "report.html",
        "report/numbers.json",
        "runs/events.out.tfevents.1",
        ".env",
    ),
)


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture(scope="module")
def classifier(tiny_model, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("classifier")
    labels = {"id2label": {0: "부정", 1: "긍정"}, "label2id": {"부정": 0, "긍정": 1}}
    AutoModelForSequenceClassification.from_pretrained(tiny_model, **labels).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_model, model_max_length=64).save_pretrained(folder)
    return folder


def write_card(run: Path, text: str) -> str:
    """A README.md of this text that names the weights beside it; returns all of it."""
    text += f"| weights | SHA-256 `{weights_sha256(run)}` |\n"
    (run / "README.md").write_text(text, encoding="utf-8")
    return text


@pytest.fixture
def run(classifier, tmp_path) -> Path:
    """The folder of a finished run, with files that are nobody else's business."""
    folder = tmp_path / "nsmc"
    shutil.copytree(classifier, folder)
    for name in PRIVATE:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("secret")
    write_card(folder, CARD)
    facts = {name: {str: "secret", int: 1, float: 1.0}.get(hint, {}) for name, hint in get_type_hints(RunFacts).items()}
    facts |= {"selected_on": None, "weights_sha256": weights_sha256(folder), "seeds": None}
    scores = {"split": None, "num_rows": 0, "seed": 7, "metrics": {}, "rows_per_second": 0.0}
    Result(output_dir="secret", **scores, facts=RunFacts(**facts)).save(folder / "results.json")
    return folder


@pytest.fixture
def command(hub, tmp_path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs hfcls in a process of its own, as a user of that hub, logged in by HF_TOKEN unless `token` is None."""

    def run(*args: object, token: str | None = "hf_write", **variables: str) -> subprocess.CompletedProcess[str]:
        env = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        env |= {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}
        env |= {"HF_TOKEN": token} if token else {}
        words = [sys.executable, "-m", "hfcls.cli", *map(str, args)]
        return subprocess.run(
            words, env=env | variables, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path
        )

    return run


@pytest.fixture
def here(hub, monkeypatch) -> None:
    """Lets this process, where it is sooner, be a client of that hub: what the client reads at its import is set."""
    for name, value in {
        "ENDPOINT": hub.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": hub.url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
    }.items():
        monkeypatch.setattr(huggingface_hub.constants, name, value)
    monkeypatch.setenv("HF_TOKEN", "hf_write")


@pytest.fixture
def push(here, monkeypatch, capsys) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`hfcls push` in this process."""

    def run(*args: object, token: str | None = "hf_write") -> subprocess.CompletedProcess[str]:
        if token:
            monkeypatch.setenv("HF_TOKEN", token)
        else:
            monkeypatch.delenv("HF_TOKEN", raising=False)
        status = cli.main(["push", *map(str, args)])
        return subprocess.CompletedProcess(args, status, *capsys.readouterr())

    return run


def error_of(done: subprocess.CompletedProcess[str], status: int = 1) -> str:
    assert done.returncode == status, done.stderr
    lines = done.stderr.strip().splitlines()
    assert lines[-1].startswith("hfcls: error: ")
    assert "Traceback" not in done.stderr
    return lines[-1].removeprefix("hfcls: error: ")


def test_push_uploads_the_model_and_nothing_else(hub, command, run):
    done = command("push", run)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{hub.url}/tester/nsmc\n"
    repo = hub.repos["tester/nsmc"]
    assert not repo.private
    assert len(repo.commits) == 2, "one commit after the one that made the repository"
    assert set(repo.files) == PUSHED | {".gitattributes"}
    for name in PUSHED - {"README.md"}:
        assert repo.files[name] == (run / name).read_bytes()
    assert repo.files["README.md"].decode() == (run / "README.md").read_text().replace("somewhere", "tester/nsmc")
    assert "PUT lfs" in hub.requests


def test_each_file_of_a_tokenizer_goes_along():
    assert set(TOKENIZER_FILES) <= set(UPLOADED)


def test_push_again_sends_what_changed_only(hub, push, run):
    assert push(run).returncode == 0
    hub.requests.clear()
    assert push(run).returncode == 0
    assert not {"PUT lfs", "POST commit", "POST create"} & set(hub.requests)
    write_card(run, CARD + "more\n")
    assert push(run).returncode == 0
    assert b"more\n" in hub.repos["tester/nsmc"].files["README.md"]
    assert "PUT lfs" not in hub.requests
    assert len(hub.repos["tester/nsmc"].commits) == 3


def test_a_dry_run_lists_the_files_and_sends_nothing(hub, command, run):
    for name in ("confusion", "earlier"):
        (run / f"report/{name}.png").write_bytes(b"12345")
    write_card(run, CARD + "![](report/confusion.png)\n")
    done = command("push", run, "--hub_model_id", "team/reviews", "--dry_run", token=None)
    assert done.returncode == 0, done.stderr
    *lines, total = done.stdout.splitlines()
    listed = {line.split()[1]: int(line.split()[0].replace(",", "")) for line in lines}
    assert total.endswith(f"{sum(listed.values()):,}  bytes in 6 files for team/reviews; nothing was sent")
    assert hub.requests == []
    assert command("push", run, "--hub_model_id", "team/reviews").returncode == 0
    pushed = {name: len(content) for name, content in hub.repos["team/reviews"].files.items()}
    assert pushed == listed | {".gitattributes": pushed[".gitattributes"]}
    assert listed["report/confusion.png"] == 5
    error = error_of(command("push", run, "--hub_model_id", "a b/c", "--dry_run", token=None))
    assert "hub_model_id 'a b/c' cannot name a repository: " in error


def test_private_stays_private(hub, push, run):
    assert push(run, "--hub_model_id", "team/secret", "--hub_private").returncode == 0
    assert hub.repos["team/secret"].private
    assert push(run, "--hub_model_id", "team/secret", "--hub_private").returncode == 0
    hub.repos["team/secret"].private = False
    error = error_of(push(run, "--hub_model_id", "team/secret", "--hub_private"))
    assert error.startswith("team/secret is public and --hub_private makes only new repositories private")


@pytest.mark.parametrize(
    ("arguments", "token", "message"),
    [
        ([], None, "cannot push to the Hub: no token found; log in with `hf auth login`, or set HF_TOKEN"),
        ([], "hf_wrong", "cannot push to the Hub: Invalid user token. The token from HF_TOKEN environment variable is"),
        ([], "hf_read", "cannot push to the Hub: the token of tester can only read; log in with `hf auth login`"),
        (["--hub_model_id", "others/nsmc"], "hf_write", "the token belongs to tester, team, not to others"),
        (["--hub_model_id", "영화평"], "hf_write", "'영화평' cannot name a repository: Repo id must use alphanumeric"),
        (["--hub_model_id", "a/b/c"], "hf_write", "'a/b/c' cannot name a repository: Repo id must be in the form"),
    ],
)  # fmt: skip
def test_who_may_not_push_is_told_why(hub, push, run, arguments, token, message):
    assert message in error_of(push(run, *arguments, token=token))
    assert hub.repos == {}


def test_without_a_hub_the_message_names_its_address(hub, command, run):
    error = error_of(command("push", run, HF_ENDPOINT="http://127.0.0.1:9"))
    assert error.startswith("cannot push to the Hub: no answer from http://127.0.0.1:9 (")
    assert "unset the `HF_HUB_OFFLINE`" in error_of(command("push", run, HF_HUB_OFFLINE="1"))


def test_a_repository_that_holds_something_else_is_not_overwritten(hub, push, run):
    card, config = (run / "README.md").read_text(), json.loads((run / "config.json").read_text())
    for files, reason in [
        ({"README.md": "# My novel\n"}, "its model card does not have the tag hfcls"),
        ({"README.md": card}, "it has no config.json"),
        ({"README.md": card, "config.json": json.dumps(config | {"hidden_size": 64})},
         "hidden_size 64 there, 32 here"),
        ({"README.md": card, "config.json": json.dumps(config | {"id2label": {"0": "스팸", "1": "정상"}})},
         "labels 스팸, 정상 there, 부정, 긍정 here"),
    ]:  # fmt: skip
        repo = hub.add_repo("tester/nsmc", files)
        before = repo.files
        error = error_of(push(run))
        assert error == (
            f"tester/nsmc exists and holds something else: {reason}; choose another --hub_model_id, "
            "or replace it with hfcls push --overwrite"
        )
        assert repo.files == before
    assert push(run, "--overwrite").returncode == 0
    assert repo.files["config.json"] == (run / "config.json").read_bytes()


def test_an_empty_repository_and_one_of_an_earlier_run_are_written_to(hub, push, run):
    hub.add_repo("tester/nsmc", {})
    assert push(run).returncode == 0
    other = json.loads((run / "config.json").read_text()) | {"transformers_version": "6.0.0"}
    (run / "config.json").write_text(json.dumps(other))
    assert push(run).returncode == 0
    assert hub.repos["tester/nsmc"].files["config.json"] == (run / "config.json").read_bytes()


def test_a_repository_of_a_team_that_one_may_only_read(hub, push, run):
    hub.users["hf_other"] = User("reader", role="fineGrained", orgs=("team",))
    hub.add_repo("team/nsmc", {})
    error = error_of(push(run, "--hub_model_id", "team/nsmc", token="hf_other"))
    assert error.startswith("cannot push to team/nsmc: ")
    assert 'You don\'t have the rights to write to "team/nsmc"' in error
    assert "POST preupload" not in hub.requests


def test_what_somebody_else_commits_meanwhile_is_not_overwritten(hub, push, run):
    assert push(run).returncode == 0
    repo = hub.repos["tester/nsmc"]
    hub.fail["POST preupload"] = lambda: repo.commit(repo.files | {"README.md": b"# By somebody else"})
    write_card(run, CARD + "more\n")
    assert "A commit has happened since." in error_of(push(run))
    assert repo.files["README.md"] == b"# By somebody else"


@pytest.mark.parametrize(
    ("failing", "status"), [("POST commit", 403), ("POST commit", 500), ("POST commit", "die"), ("PUT lfs", 403)]
)
def test_a_push_that_fails_says_so_and_works_when_tried_again(hub, push, run, failing, status):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    hub.fail[failing] = status
    error = error_of(push(run))
    assert error.startswith(f"could not push {run} to tester/nsmc: ")
    if status == "die":
        assert f"no answer from {hub.url} (" in error
    else:
        assert str(status) in error
    assert "X-Signature" not in error
    assert set(hub.repos["tester/nsmc"].files) == {".gitattributes"}, "whole or not at all"
    hub.fail, hub.dead = {}, False
    assert push(run).returncode == 0
    assert set(hub.repos["tester/nsmc"].files) == PUSHED | {".gitattributes"}
    if failing == "POST commit":
        assert hub.requests.count("PUT lfs") == 1, "what had arrived is not sent again"
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.slow  # the client tries again for half a minute
def test_a_hub_that_goes_away_in_mid_upload(hub, push, run):
    hub.fail["PUT lfs"] = "die"
    error = error_of(push(run))
    assert f"Error while uploading 'model.safetensors' to the Hub. no answer from {hub.url} (" in error
    hub.fail, hub.dead = {}, False
    assert push(run).returncode == 0


def test_metadata_that_the_hub_does_not_take(hub, push, run):
    write_card(run, "---\nlanguage: Korean\ntags:\n- hfcls\n---\n")
    error = error_of(push(run))
    assert 'Invalid metadata in README.md. - "language" must be ISO 639 codes' in error
    assert "PUT lfs" not in hub.requests


def test_a_folder_that_is_no_finished_run(push, command, hub, run):
    for name in ("config.json", "tokenizer.json"):
        whole = (run / name).read_bytes()
        (run / name).write_text("{")
        assert f"{run}/{name} is damaged: " in error_of(push(run))
        (run / name).write_bytes(whole)
    (run / "README.md").write_bytes("모델".encode("cp949"))
    assert f"cannot read {run}/README.md: 'utf-8' codec" in error_of(push(run))
    (run / "README.md").unlink()
    error = error_of(push(run))
    assert error == f"{run} holds no README.md: give the folder of a run that `hfcls train` finished"
    hub.requests.clear()
    assert "holds no README.md" in error_of(command("push", "nowhere", token=None))
    assert hub.requests == []  # a mistyped folder does not send anybody to log in


def test_the_default_way_of_uploading(command, hub, run, tmp_path):
    """Through Xet, as the real Hub has it: the chunks go to a folder, from which the weights are put together again."""
    hf_xet = pytest.importorskip("hf_xet")
    hub.xet = tmp_path / "xet"
    hub.xet.mkdir()
    done = command("push", run, HF_HUB_DISABLE_XET="0")
    assert done.returncode == 0, done.stderr
    assert "PUT lfs" not in hub.requests
    weights = run / "model.safetensors"
    committed = json.loads(hub.repos["tester/nsmc"].files["model.safetensors"])
    assert committed["oid"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    (stored,) = hub.xet.iterdir()
    (uploaded,) = hf_xet.hash_files([str(weights)])
    with hf_xet.XetSession().new_file_download_group(endpoint=f"local://{stored}") as group:
        group.start_download_file(hf_xet.XetFileInfo(uploaded.hash, weights.stat().st_size), str(tmp_path / "again"))
    assert (tmp_path / "again").read_bytes() == weights.read_bytes()


def test_the_licence_of_the_base_model_is_asked_of_the_hub(hub, here):
    hub.add_repo("beomi/kcbert-base", {"README.md": "---\nlicense: apache-2.0\n---\n"})
    assert base_licence("beomi/kcbert-base") == "apache-2.0"
    assert base_licence("nobody/nothing") is None
    hub.fail["GET info"] = 500
    assert base_licence("beomi/kcbert-base") is None


@pytest.fixture
def train(table, tiny_model, tmp_path) -> list[str]:
    """Arguments of a run of seconds, which learns from a file and a model of this machine."""
    for seed, (split, count) in enumerate([("train", 200), ("test", 61)]):
        data = table(f"영화평/{split}.tsv", count=count, seed=seed).parent
    return ["--dataset", str(data), "--model", tiny_model, "--max_length", "64", "--learning_rate", "1e-3",
            "--max_steps", "6", "--output_dir", str(tmp_path / "out"), "--push_to_hub"]  # fmt: skip


LOGITS = """
import json, sys
from hfcls import Classifier
print(json.dumps(Classifier.from_pretrained(sys.argv[1]).logits(json.loads(sys.argv[2])).tolist()))
"""


def test_train_push_and_load_again(hub, command, train, tmp_path):
    """Also: nothing that was written or printed holds the token, and nothing that was sent names this machine."""
    hub.users["hf_planted_token"] = User("tester")
    done = command("train", *train, "--hub_model_id", "reviews", "--hub_private", token="hf_planted_token")
    assert done.returncode == 0, done.stderr
    assert f"pushed to {hub.url}/tester/reviews" in done.stderr
    repo, out = hub.repos["tester/reviews"], tmp_path / "out"
    assert repo.private
    card = repo.files["README.md"].decode()
    figures = set(re.findall(r"\]\((report/\w+\.png)\)", card))  # none without the extra `report`
    assert set(repo.files) == PUSHED | {".gitattributes"} | figures
    assert repo.files["model.safetensors"] == (out / "model.safetensors").read_bytes()
    assert card_errors(card) == []

    texts = ["최고 추천", "별로 실망", "영화"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    loaded = subprocess.run(
        [sys.executable, "-c", LOGITS, "tester/reviews", json.dumps(texts)], capture_output=True, text=True,
        env=env | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "other"), "HF_TOKEN": "hf_write"},
        timeout=120, check=False,
    )  # fmt: skip
    assert loaded.returncode == 0, loaded.stderr
    assert json.loads(loaded.stdout) == Classifier.from_pretrained(str(out)).logits(texts).tolist()

    assert "planted" not in done.stdout + done.stderr
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 20
    assert not [path for path in written if b"planted" in path.read_bytes()]
    sent = {name: content for name, content in repo.files.items() if str(tmp_path.parent).encode() in content}
    assert sent == {}


def test_a_push_that_fails_after_training_costs_nothing(hub, here, train, tmp_path, capsys):
    hub.fail["POST commit"] = 500
    done = subprocess.CompletedProcess(train, cli.main(["train", *train]), *capsys.readouterr())
    error = error_of(done, status=3)
    out = tmp_path / "out"
    assert error.startswith(f"the model is safe in {out}, but could not push {out} to tester/out: Server error '500")
    assert "split       test (61 rows, scored once)" in done.stdout
    again = error.split("try again with: ")[1]
    assert again == f"hfcls push {out} --hub_model_id tester/out"
    hub.fail = {}
    assert cli.main(shlex.split(again)[1:]) == 0
    assert hub.repos["tester/out"].files["model.safetensors"] == (out / "model.safetensors").read_bytes()


def test_a_finished_run_that_is_resumed_can_be_pushed(hub, here, train, tmp_path, capsys):
    """Nothing is trained, and what lies there stays as it is."""
    assert cli.main(["train", *train[:-1]]) == 0
    out = tmp_path / "out"
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert cli.main(["train", *train, "--resume"]) == 0
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert hub.repos["tester/out"].files["model.safetensors"] == (out / "model.safetensors").read_bytes()
    assert "split       test (61 rows, scored once)" in capsys.readouterr().out


def test_what_hinders_the_push_is_said_before_training(hub, here, train, tmp_path, monkeypatch, capsys):
    hub.add_repo("tester/out", {"README.md": CARD, "config.json": json.dumps({"model_type": "gpt2"})})
    assert cli.main(["train", *train]) == 1
    assert "tester/out exists and holds something else: model_type gpt2 there, bert here" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    monkeypatch.setenv("HF_TOKEN", "hf_read")
    assert cli.main(["train", *train]) == 1
    assert "the token of tester can only read; log in with `hf auth login`" in capsys.readouterr().err
    assert cli.main(["train", *train[:-1], "--hub_model_id", "x"]) == 1
    assert "hub_model_id applies to push_to_hub only" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow  # two processes
def test_one_of_several_processes_pushes(hub, train, tmp_path):
    env = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    env |= {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_TOKEN": "hf_write",
    }
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2",
         ROOT / "train.py", *train],
        capture_output=True, text=True, timeout=300, check=False, env=env,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [hub.requests.count(f"POST {action}") for action in ("create", "commit")] == [1, 1]
    assert hub.requests.count("GET whoami") == 2, "at the start and at the end"
    assert "model.safetensors" in hub.repos["tester/out"].files
