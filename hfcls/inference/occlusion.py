"""Which words moved the decision: occlusion, the plainest of the attribution methods."""

import math
import re
from dataclasses import dataclass
from itertools import chain

from hfcls.inference.classifier import Classifier
from hfcls.inference.texts import check_parts

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


def occlusion(classifier: Classifier, text: str) -> tuple[dict[str, float], list[Part]]:
    """The probability of each class, and what each part of the text adds to that of the most probable one.

    The text is classified again without each part in turn (Li, Monroe and Jurafsky, 2016, "Understanding neural
    networks through representation erasure"): one batch of up to 33 texts.

    Raises:
        HfclsError: a single text for a model of several columns.
    """
    check_parts([text], classifier.columns)
    words = [match.span() for match in re.finditer(r"\S+", text)]
    size = math.ceil(len(words) / MOST_PARTS) or 1
    spans = [(words[i][0], words[min(i + size, len(words)) - 1][1]) for i in range(0, len(words), size)]
    shortened = [text[:start].rstrip() + text[end:] for start, end in spans]
    probabilities = classifier.probabilities([text, *shortened])
    best = int(probabilities[0].argmax())
    moved = (probabilities[0, best] - probabilities[1:, best]).tolist()
    scores = dict(zip(classifier.labels, probabilities[0].tolist(), strict=True))
    pieces = _pieces(classifier, text)
    return scores, [
        Part(text[start:end], [text[s:e] for s, e in pieces if s < end and start < e], change)
        for (start, end), change in zip(spans, moved, strict=True)
    ]


def _pieces(classifier: Classifier, text: str) -> list[tuple[int, int]]:
    """Where each token stands in the text, without the spaces that some tokenizers count to it.

    A tokenizer without a fast version does not know, a baseline has none; whole words stand in for tokens.
    """
    if classifier.tokenizer is None or not classifier.tokenizer.is_fast:
        return [match.span() for match in re.finditer(r"\S+", text)]
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
    for start, end in chain.from_iterable(encoded["offset_mapping"]):  # of windows, which begin with what was before
        start = max(start, spans[-1][1] if spans else 0)  # tokens may share a character: a space put before, or bytes
        start += len(text[start:end]) - len(text[start:end].lstrip())
        if start < end:  # special tokens stand nowhere
            spans.append((start, end))
    return spans
