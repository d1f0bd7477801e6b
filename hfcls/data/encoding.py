"""Texts to token ids: one batched map, cached by datasets, with no padding stored."""

import logging
from typing import Any, TypeVar

import numpy as np
from datasets import Dataset, DatasetDict, List
from transformers import PreTrainedTokenizerBase

from hfcls.config.options import MOST_WINDOWS
from hfcls.data.cuts.beginnings import beginning
from hfcls.data.cuts.pairs import cut_pairs
from hfcls.data.tasks import SOFT_LABEL
from hfcls.errors import HfclsError
from hfcls.scoring.tasks import Regression, Task, multi_hot
from hfcls.system.terminal import calm_libraries

logger = logging.getLogger(__name__)

MANY_UNKNOWN, MOST_UNKNOWN = 0.1, 0.4  # shares of the tokens: warned of, and refused
NO_TOKENS = "train: the tokenizer makes no token of any text: choose a --model for this language"
ONE_TOKEN = "train: the only token that the tokenizer makes of all texts is {!r}: choose a --model for this language"
D = TypeVar("D", Dataset, DatasetDict)


def tokenize(
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
    text_pairs: list[str] | None = None,
    *,
    max_length: int,
    stride: int | None = None,
) -> dict[str, list[list[int]]]:
    """`input_ids`, and `token_type_ids` for pairs; special tokens included, cut at `max_length`, not padded.

    With a `stride`, a single text of more tokens is not cut but read in windows of `max_length`, the first
    `MOST_WINDOWS` of them, each of which begins with the last `stride` tokens of the one before: `input_ids` holds the
    windows one behind the other, and `window_lengths` says how long they are. Pairs are cut.

    Training, evaluation and `Classifier` all come through here. A text of which no token is left, as an empty one is
    to a tokenizer without special tokens, becomes one padding token: a model must be given something.

    Raises:
        HfclsError: the texts have no room within `max_length`.
    """
    pairs = text_pairs is not None
    if (special := tokenizer.num_special_tokens_to_add(pair=pairs)) + 1 + pairs > max_length:
        what = "two texts" if pairs else "a text"
        raise HfclsError(
            f"max_length {max_length} leaves no room for {what} beside {special} special tokens: raise --max_length"
        )
    in_windows = stride is not None and not pairs

    def read(texts: list[str], text_pairs: list[str] | None = None, special: bool = True) -> Any:
        return tokenizer(
            *as_alone(tokenizer, texts, text_pairs),
            add_special_tokens=special,
            truncation=True,
            max_length=max_length,
            stride=stride if in_windows else 0,  # tokenizers panics if half of the room for a pair is no more than it
            return_overflowing_tokens=in_windows,
            return_attention_mask=False,
            return_token_type_ids=pairs and "token_type_ids" in tokenizer.model_input_names,
        )

    if text_pairs is None and tokenizer.truncation_side == "right":
        most = max_length * (MOST_WINDOWS if in_windows else 1)
        texts = [beginning(text, lambda part: read([part])["input_ids"], most) for text in texts]
    apart = {}
    if text_pairs is not None and tokenizer.is_fast:
        given = list(zip(texts, text_pairs, strict=True))
        apart = cut_pairs(given, lambda *some: read(*some).encodings, max_length, tokenizer.truncation_side)
        texts, text_pairs = (
            ["" if i in apart else text for i, text in enumerate(part)] for part in (texts, text_pairs)
        )
    encoded = read(texts, text_pairs)
    for i, cut in apart.items():
        for name, values in zip(("input_ids", "token_type_ids"), cut, strict=True):
            if name in encoded:
                encoded[name][i] = values
    for i in (i for i, ids in enumerate(encoded["input_ids"]) if not ids):
        encoded["input_ids"][i] = [tokenizer.pad_token_id or 0]
        if "token_type_ids" in encoded:
            encoded["token_type_ids"][i] = [0]
    return _joined_windows(encoded, len(texts)) if in_windows else dict(encoded)


def as_alone(tokenizer: Any, texts: list[str], text_pairs: list[str] | None) -> tuple[list[Any], list[str] | None]:
    """What to give a tokenizer so that it reads each pair as in a call for this pair alone, such as `pipeline` makes.

    There a fast tokenizer takes an empty second text for none, but not in a call for many (transformers 5.23).
    """
    if text_pairs is None or not tokenizer.is_fast or all(text_pairs):
        return texts, text_pairs
    return [(text, pair) if pair else text for text, pair in zip(texts, text_pairs, strict=True)], None


def _joined_windows(encoded: Any, count: int) -> dict[str, list[list[int]]]:
    """The windows of each of `count` texts one behind the other, and their lengths."""
    windows: list[list[list[int]]] = [[] for _ in range(count)]
    for ids, text in zip(encoded["input_ids"], encoded["overflow_to_sample_mapping"], strict=True):
        windows[text].append(ids)
    kept = [parts[:MOST_WINDOWS] for parts in windows]
    return {
        "input_ids": [[token for part in parts for token in part] for parts in kept],
        "window_lengths": [[len(part) for part in parts] for parts in kept],
    }


@calm_libraries()
def encode(
    corpus: D,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    task: Task | None = None,
    stride: int | None = None,
) -> D:
    """A corpus of `load_corpus` with the columns of `tokenize` (int lists, unpadded), and `labels`.

    Labels are class ids, 0 and 1 for each of several labels, targets, or the `soft_label` of a row that has one.

    Args:
        task: of a regression: its mean and scale standardise the targets.
        stride: of windows, see `tokenize`.
    """
    if isinstance(corpus, DatasetDict):
        return DatasetDict(
            {split: encode(rows, tokenizer, max_length, task, stride=stride) for split, rows in corpus.items()}
        )
    given: dict[str, Any] = {} if stride is None else {"stride": stride}
    if isinstance(label := corpus.features.get("label"), List):
        given["num_labels"] = len(label.feature.names)
    if isinstance(task, Regression):
        given["scaling"] = (task.mean, task.scale)
    return corpus.map(
        _encode_batch,
        batched=True,
        remove_columns=corpus.column_names,
        # `version` enters datasets' fingerprint, which hashes this function by name only: raise it with each change.
        fn_kwargs={"tokenizer": tokenizer, "max_length": max_length, "version": 4, **given},
        desc="tokenize",
    )


def _encode_batch(
    batch: dict[str, list[Any]],
    *,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    version: int,
    stride: int | None = None,
    num_labels: int = 0,
    scaling: tuple[float, float] | None = None,
) -> dict[str, list[Any]]:
    texts, pairs = batch["text"], batch.get("text_pair")
    encoded: dict[str, list[Any]] = tokenize(tokenizer, texts, pairs, max_length=max_length, stride=stride)
    if "label" in batch:
        encoded["labels"] = batch["label"]
    if SOFT_LABEL in batch:
        encoded["labels"] = batch[SOFT_LABEL]
    elif num_labels:
        encoded["labels"] = multi_hot(batch["label"], num_labels).tolist()
    elif scaling is not None:
        encoded["labels"] = [(target - scaling[0]) / scaling[1] for target in batch["label"]]
    return encoded


def check_tokens(
    texts: Dataset,
    encoded: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    *,
    allow_unknown: bool,
    stride: int | None = None,
) -> None:
    """Log how many of the training texts are longer than `max_length`, and warn of many tokens that are unknown.

    Args:
        texts: training rows of `load_corpus`.
        encoded: the same rows, as `encode` made them.
        allow_unknown: however many they are.
        stride: as it was given to `encode`.

    Raises:
        HfclsError: more than 40 % of the tokens are unknown, there are none, or all that are known are the same one.
    """
    tokens = unknown = 0
    full: list[int] = []
    special = [index for index in tokenizer.all_special_ids if index != tokenizer.unk_token_id]
    for start in range(0, len(encoded), 10_000):
        rows = encoded.select_columns("input_ids").with_format("arrow")[start : start + 10_000]["input_ids"]
        ids, lengths = rows.combine_chunks().flatten().to_numpy(), rows.combine_chunks().value_lengths().to_numpy()
        tokens += int((~np.isin(ids, special)).sum())
        unknown += int((ids == tokenizer.unk_token_id).sum()) if tokenizer.unk_token_id is not None else 0
        full += (start + np.flatnonzero(lengths >= max_length)).tolist()
    longer = _lengths(texts.select(full), tokenizer)
    if len(longer := longer[longer > max_length]):
        found = f"train: {100 * len(longer) / len(texts):.1f} % of the texts are longer than max_length {max_length}"
        told = _told(longer, tokenizer, max_length, stride, pairs="text_pair" in texts.features)
        logger.info("%s and %s", found, told)
    if not tokens:  # as of letters that a tokenizer without an unknown token does not have
        raise HfclsError(NO_TOKENS)
    share = unknown / tokens
    found = f"train: the tokenizer does not know {share:.0%} of the tokens"
    if share > MOST_UNKNOWN and not allow_unknown:
        raise HfclsError(f"{found}: choose a --model for this language, or set --allow_unknown")
    check_told_apart(texts, encoded, tokenizer)
    if share > MANY_UNKNOWN:
        logger.warning("%s: is the --model one for this language, and are the texts decoded rightly?", found)


def check_told_apart(texts: Dataset, encoded: Dataset, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raises HfclsError if words that differ are all the same token, a known one.

    So is the mark of a word's begin, where letters that a tokenizer does not have vanish.
    """
    special = [index for index in tokenizer.all_special_ids if index != tokenizer.unk_token_id]
    kinds: set[int] = set()
    for start in range(0, len(encoded), 10_000):
        rows = encoded.select_columns("input_ids").with_format("arrow")[start : start + 10_000]["input_ids"]
        kinds.update(np.setdiff1d(rows.combine_chunks().flatten().to_numpy(), special).tolist())
        if len(kinds) > 1 or tokenizer.unk_token_id in kinds:  # of which the share of unknown tokens tells
            return
    columns = [name for name in ("text", "text_pair") if name in texts.column_names]
    if kinds and len({word for name in columns for text in texts.unique(name) for word in text.split()}) > 1:
        raise HfclsError(ONE_TOKEN.format(tokenizer.convert_ids_to_tokens(kinds.pop())))


def _told(
    longer: np.ndarray, tokenizer: PreTrainedTokenizerBase, max_length: int, stride: int | None, *, pairs: bool
) -> str:
    """What becomes of texts that have more than `max_length` tokens, `longer` says how many, int64 [L]."""
    if stride is None:
        return "cut: raise it" + ("" if pairs else ", or read them whole with --long_texts windows")
    new = max_length - tokenizer.num_special_tokens_to_add() - stride
    cut = int((longer > max_length + (MOST_WINDOWS - 1) * new).sum())
    return "read in windows" + (f"; {cut:,} texts are cut after {MOST_WINDOWS} windows" if cut else "")


def _lengths(texts: Dataset, tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """The tokens of each text, or pair, special tokens included, int64 [N]."""
    lengths: list[int] = []
    for batch in texts.iter(1_000):
        given = as_alone(tokenizer, batch["text"], batch.get("text_pair"))
        ids = tokenizer(*given, truncation=False, verbose=False)["input_ids"]
        lengths += [len(row) for row in ids]
    return np.array(lengths, int)
