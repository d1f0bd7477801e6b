"""Texts that stand in a corpus more than once: exactly, up to normalisation, or nearly."""

import logging
import re
import unicodedata
from collections.abc import Collection, Sequence

import numpy as np
from datasets import Dataset, DatasetDict

from hfcls.errors import HfclsError
from hfcls.system.next_steps import INSTALL_EXTRA

logger = logging.getLogger(__name__)

# Punctuation, signs and emoji, and single jamo (NFKC turns ㅋ into U+110F): what people repeat for emphasis.
REPEATED_SIGN = re.compile(r"([^\w\s]|[\u1100-\u11ff\u3131-\u318e])\1+")

SHINGLE = 3  # characters; Hangul writes a syllable in one, so this is about a word
NUM_PERM, BANDS = 128, 16  # bands of 8: a pair of Jaccard similarity 0.8 is found with 95 %, of 0.9 with 99.99 %
TEXTS_AT_ONCE = 100_000


def normalized(text: str) -> str:
    """The text under which copies are sought.

    Unicode NFKC; lower case; a punctuation sign or jamo repeated in a row once only (`ㅋㅋㅋ`, `!!!`, `...`); white
    space as single spaces, none at the ends.
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(REPEATED_SIGN.sub(r"\1", text).split())


def text_keys(rows: Dataset, *, normalize: bool = True) -> list[str]:
    """What copies have in common, for each row: its text (and second text), normalised if asked for."""
    columns = [list(rows[name]) for name in ("text", "text_pair") if name in rows.column_names]
    if normalize:
        columns = [[normalized(text) for text in column] for column in columns]
    return columns[0] if len(columns) == 1 else ["\n".join(texts) for texts in zip(*columns, strict=True)]


def repeats(keys: Sequence[str]) -> np.ndarray:
    """Bool [len(keys)]: whether the key stands earlier in the list."""
    first = {key: i for i, key in reversed(list(enumerate(keys)))}
    return np.fromiter((first[key] < i for i, key in enumerate(keys)), bool, len(keys))


def stands_in(keys: Sequence[str], others: Collection[str]) -> np.ndarray:
    """Bool [len(keys)]: whether the key is one of `others`."""
    others = set(others)
    return np.fromiter((key in others for key in keys), bool, len(keys))


def several_labels(keys: Sequence[str], labels: Sequence[int]) -> int:
    """How many keys stand in the list with more than one label."""
    first = dict(zip(reversed(keys), reversed(labels), strict=True))
    return len({key for key, label in zip(keys, labels, strict=True) if label != first[key]})


def seen_in_train(corpus: DatasetDict, split: str = "test") -> np.ndarray:
    """Bool [rows of `split`]: whether the row's normalised text also stands in train."""
    return stands_in(text_keys(corpus[split]), text_keys(corpus["train"]))


def drop_copies(corpus: DatasetDict, *encoded: DatasetDict, drop_duplicates: bool, drop_overlap: bool) -> None:
    """Leave in train what `kept_train_rows` keeps, in the corpus and in what was made of its rows; may be nothing."""
    if drop_duplicates or drop_overlap:
        kept = kept_train_rows(corpus, drop_duplicates=drop_duplicates, drop_overlap=drop_overlap)
        for splits in (corpus, *encoded):
            splits["train"] = splits["train"].select(kept)


def kept_train_rows(corpus: DatasetDict, *, drop_duplicates: bool, drop_overlap: bool) -> np.ndarray:
    """Indices of the train rows that stay; logs how many do not.

    Args:
        drop_duplicates: of the rows with the same normalised text, only the first stays, whatever their labels.
        drop_overlap: no row stays whose normalised text stands in validation or test.

    Raises:
        HfclsError: no row is left.
    """
    keys = text_keys(corpus["train"])
    kept = np.ones(len(keys), bool)
    if drop_duplicates:
        repeated = repeats(keys)
        kept &= ~repeated
        _tell_dropped(repeated.sum(), "that repeat an earlier text (drop_duplicates)")
    if drop_overlap:
        held_out = {key for split in ("validation", "test") if split in corpus for key in text_keys(corpus[split])}
        overlap = stands_in(keys, held_out)
        _tell_dropped((kept & overlap).sum(), "whose text stands in validation or test (drop_overlap)")
        kept &= ~overlap
    if not kept.any():
        raise HfclsError("drop_duplicates and drop_overlap leave no training row: train holds only held-out texts")
    return np.flatnonzero(kept)


def _tell_dropped(count: int, which: str) -> None:
    if count:
        logger.info("train: %d rows dropped %s", count, which)


def near_duplicates(texts: Sequence[str], threshold: float = 0.8) -> dict[int, int]:
    """Which texts nearly repeat an earlier one: index of the text -> index of that one.

    Two texts are near-duplicates if the Jaccard similarity of their sets of character 3-grams is at least `threshold`.
    Candidates come from MinHash and locality-sensitive hashing (Broder 1997; Indyk & Motwani 1998), so a few pairs are
    missed, and are compared exactly, so none is reported wrongly. Each text is compared with the first of each group
    only, which keeps the work linear. Texts should be distinct; those shorter than 3 characters have no near-duplicate.

    Raises:
        HfclsError: rensa is not installed.
    """
    try:
        from rensa import RMinHash, RMinHashDeduplicator, RMinHashLSH
    except ImportError as error:
        raise HfclsError(f"near-duplicates need the package rensa: {INSTALL_EXTRA.format(extra='check')}") from error

    # First pass, all in compiled code: which texts share a band with any other. Usually few.
    index = RMinHashLSH(threshold=threshold, num_perm=NUM_PERM, num_bands=BANDS)
    sketches = []
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        hashes, offsets = shingle_hashes(texts[start : start + TEXTS_AT_ONCE])
        sketches.append(RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets, NUM_PERM, 42))
        index.insert_matrix(sketches[-1], start)
    flags = [flag for sketch in sketches for flag in index.query_duplicate_flags_matrix(sketch)]
    suspects = [i for i, flag in enumerate(flags) if flag and len(texts[i]) >= SHINGLE]
    del index, sketches, flags

    # Second pass over these: which earlier text it is. The estimate is allowed an error; the comparison is exact.
    firsts = RMinHashDeduplicator(threshold=threshold - 0.15, num_perm=NUM_PERM, use_lsh=True, num_bands=BANDS)
    found: dict[int, int] = {}
    for i in suspects:
        shingles = _shingles(texts[i])
        sketch = RMinHash.from_token_sets([list(shingles)], NUM_PERM, 42)[0]
        similarity = {
            j: _jaccard(shingles, _shingles(texts[j])) for j in sorted(map(int, firsts.get_duplicates(sketch)))
        }
        most_similar = max(similarity, key=similarity.__getitem__, default=None)  # of equals the earliest
        if most_similar is not None and similarity[most_similar] >= threshold:
            found[i] = most_similar
        else:
            firsts.add(str(i), sketch)
    return found


def shingle_hashes(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Hashes (uint64) of every 3-gram of every text, one text after another, and where each text's begin [N + 1].

    A 3-gram is three code points of 21 bits, so it fits 64 bits as it is; it is only mixed, so that its order says
    nothing (the finaliser of MurmurHash3).
    """
    padded = [text + "\0" * (SHINGLE - len(text)) for text in texts]
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    lengths = np.fromiter(map(len, padded), np.int64, len(padded))
    inside = np.ones(len(codes), bool)
    for back in range(1, SHINGLE):  # the last two characters of a text begin no 3-gram
        inside[lengths.cumsum() - back] = False
    starts = np.flatnonzero(inside)
    hashes = codes[starts] << np.uint64(42) | codes[starts + 1] << np.uint64(21) | codes[starts + 2]
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        hashes ^= hashes >> np.uint64(33)
        hashes *= np.uint64(factor)
    hashes ^= hashes >> np.uint64(33)
    return hashes, np.concatenate([[0], (lengths - SHINGLE + 1).cumsum()]).astype(np.uint64)


def _shingles(text: str) -> set[str]:
    return {text[i : i + SHINGLE] for i in range(len(text) - SHINGLE + 1)}


def _jaccard(a: set[str], b: set[str]) -> float:
    return len(a & b) / len(a | b)
