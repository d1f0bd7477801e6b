"""Which words moved the decision: occlusion, the plainest of the attribution methods."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from hfcls.config.options import MOST_WINDOWS
from hfcls.inference.classifier import Classifier
from hfcls.inference.texts import Text, check_parts

MOST_PARTS = 32  # a longer text is cut into so many runs of words, which bounds the work for it


@dataclass(frozen=True)
class Part:
    """A word of the text, or a run of words in a long text.

    Attributes:
        text: as it stands in the text.
        tokens: the pieces of it that the model reads; none where the text was cut off before it.
        moved: the probability of the decision minus its probability for the text without this part: above 0 speaks for
            the decision, below 0 against it.
    """

    text: str
    tokens: list[str]
    moved: float


def occlusion(classifier: Classifier, text: Text) -> tuple[dict[str, float], list[Part]]:
    """The probability of each class, and what each part of the text adds to that of the most probable one.

    The text is classified again without each part in turn (Li, Monroe and Jurafsky, 2016, "Understanding neural
    networks through representation erasure"): one batch of up to 35 texts. Of several texts, those of a pair or of
    columns that are joined, each has its parts.

    Raises:
        HfclsError: a single text for a model of several columns.
    """
    check_parts([text], classifier.columns)
    texts = (text,) if isinstance(text, str) else text
    size = math.ceil(sum(len(part.split()) for part in texts) / MOST_PARTS) or 1
    spans = [(i, start, end) for i, part in enumerate(texts) for start, end in _runs(part, size)]
    shortened = [(*texts[:i], texts[i][:start].rstrip() + texts[i][end:], *texts[i + 1 :]) for i, start, end in spans]
    given: list[Any] = [text, *(without[0] if isinstance(text, str) else without for without in shortened)]
    probabilities = classifier.probabilities(given)
    best = _decided_id(classifier, probabilities[0].tolist())
    moved = (probabilities[0, best] - probabilities[1:, best]).tolist()
    scores = dict(zip(classifier.labels, probabilities[0].tolist(), strict=True))
    pieces = [(i, *piece) for i, found in enumerate(_pieces(classifier, texts)) for piece in found]
    return scores, [
        Part(texts[i][start:end], [texts[i][s:e] for j, s, e in pieces if i == j and s < end and start < e], change)
        for (i, start, end), change in zip(spans, moved, strict=True)
    ]


def _decided_id(classifier: Classifier, probabilities: list[float]) -> int:
    """The class of the decision: of several labels that a text is given, the most probable, if it is given any."""
    told = classifier.task.decided([probabilities])[0]
    given = [i for i, name in enumerate(classifier.labels) if isinstance(told, list) and name in told]
    return max(given or range(len(probabilities)), key=probabilities.__getitem__)


def _runs(text: str, size: int) -> list[tuple[int, int]]:
    """Where each run of `size` words stands in the text."""
    words = [match.span() for match in re.finditer(r"\S+", text)]
    return [(words[i][0], words[min(i + size, len(words)) - 1][1]) for i in range(0, len(words), size)]


def _pieces(classifier: Classifier, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
    """Where each token stands in each text, without the spaces that some tokenizers count to it.

    Of several texts, where a tokenizer without a fast version does not know, and for a baseline, which has none, whole
    words stand in for tokens.
    """
    text = texts[0]
    if classifier.tokenizer is None or not classifier.tokenizer.is_fast or len(texts) > 1:
        return [_runs(part, 1) for part in texts]
    encoded = classifier.tokenizer(
        [text],
        truncation=True,
        max_length=classifier.max_length,
        stride=classifier.stride or 0,
        return_overflowing_tokens=classifier.stride is not None,
        return_offsets_mapping=True,
        return_attention_mask=False,
    )
    spans: list[tuple[int, int]] = []
    windows = encoded["offset_mapping"][:MOST_WINDOWS]  # each begins with what was before
    for start, end in chain.from_iterable(windows):
        start = max(start, spans[-1][1] if spans else 0)  # tokens may share a character: a space put before, or bytes
        start += len(text[start:end]) - len(text[start:end].lstrip())
        if start < end:  # special tokens stand nowhere
            spans.append((start, end))
    return [spans]
