"""Tests run offline, on one thread, with caches of their own, on tiny models built here."""

import os
import tempfile

# Read by the libraries when they are imported, so they are set before anything else.
_HOME = tempfile.mkdtemp(prefix="hfcls-tests-")
os.environ |= {
    "HF_HOME": _HOME,
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "CUDA_VISIBLE_DEVICES": "",
    "TQDM_DISABLE": "1",
}

import logging
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, BertConfig

from hfcls.models.loading import load_model
from hfcls.models.tokenizers import load_tokenizer, train_tokenizer
from hfcls.system import retries

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"  # real reviews and models, which are not part of the repository

WORDS = "영화 정말 너무 재미 있다 없다 최고 별로 감동 지루 배우 연기 좋다 나쁘다 추천 실망 음악 결말 ㅋㅋ ㅠㅠ".split()


@pytest.fixture(scope="session", autouse=True)
def _caches() -> Iterator[None]:
    torch.set_num_threads(1)
    yield
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture
def all_cores() -> Iterator[None]:
    """One thread a core; put back afterwards, since the bits of other tests depend on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A download that fails is tried again at once."""
    monkeypatch.setattr(retries, "WAITS", (0.0, 0.0))


@pytest.fixture(autouse=True)
def _logger() -> Iterator[None]:
    """The command sets up the logger of its process; here the next test finds it as it was."""
    logger = logging.getLogger("hfcls")
    level, handlers, propagate = logger.level, logger.handlers[:], logger.propagate
    yield
    logger.setLevel(level)
    logger.handlers[:], logger.propagate = handlers, propagate


def reviews(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """(text, "0" or "1"): 1 if it praises; the first words decide, so that a tiny model can learn it."""
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        label = rng.randrange(2)
        first = rng.choice(["최고 추천", "감동 좋다"] if label else ["별로 실망", "지루 나쁘다"])
        rows.append((" ".join([first, *rng.choices(WORDS, k=rng.randrange(12))]), str(label)))
    return rows


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    """Writes a tsv file of reviews (or of given lines) and returns its path."""

    def write(name: str = "reviews.tsv", count: int = 64, seed: int = 0, lines: list[str] | None = None) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if lines is None:
            lines = ["text\tlabel", *("\t".join(row) for row in reviews(count, seed))]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a BERT of 2 layers and width 32 without dropout, random weights, and its tokenizer."""
    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = train_tokenizer([text for text, _ in reviews(300)], vocab_size=200)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.2,  # far enough from zero to learn within a few steps
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    AutoModelForSequenceClassification.from_config(config).bert.save_pretrained(folder)  # no head: an encoder
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def classifier_folder(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with `tiny_model` as a classifier (부정, 긍정) whose head has random weights."""
    folder = tmp_path_factory.mktemp("classifier")
    torch.manual_seed(3)
    load_model(tiny_model, ["부정", "긍정"]).save_pretrained(folder)
    tokenizer = load_tokenizer(tiny_model)
    tokenizer.model_max_length = 64
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Callable[[int], Path]]:
    """Makes a drive of so many KiB; skips where that is not possible."""
    drive = tmp_path / "drive"
    drive.mkdir()

    def mount(size: int) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(drive)]
        done = subprocess.run(command, capture_output=True, text=True, check=False) if shutil.which("mount") else None
        if done is None or done.returncode != 0:
            pytest.skip(f"cannot make a small drive: {done.stderr if done else 'no mount here'}")
        return drive

    yield mount
    subprocess.run(["umount", "--lazy", str(drive)], capture_output=True, check=False)


@pytest.fixture
def full_disk(small_disk) -> Callable[[int], Path]:
    """Makes a drive with so many KiB left beside a file `other`: once that is deleted there is room."""

    def fill(left: int) -> Path:
        drive = small_disk(8000)
        with (drive / "other").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, (8000 - left) * 1024)
        return drive

    return fill


@pytest.fixture
def shared() -> Path:
    """The folder of real reviews and models; the test is skipped where it is absent."""
    if not (SHARED / "nsmc").is_dir():
        pytest.skip(f"needs real NSMC reviews and models in {SHARED.name}/ beside the checkout")
    return SHARED


@pytest.fixture
def hfcls() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the real command in a process of its own."""

    def run(*args: str, **options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "hfcls.cli", *args],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            **options,
        )  # type: ignore[call-overload]

    return run
