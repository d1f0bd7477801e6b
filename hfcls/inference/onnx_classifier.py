"""OnnxClassifier: an exported model at work without torch and transformers (tokenizers, numpy and onnxruntime)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from hfcls.config.options import MOST_WINDOWS
from hfcls.data.cuts.beginnings import beginning
from hfcls.data.cuts.pairs import cut_pairs
from hfcls.errors import HfclsError
from hfcls.inference.texts import Text, as_batch, as_fitted, check_numbers, check_parts, check_texts
from hfcls.models.compact.exported import OnnxModel
from hfcls.scoring.tasks import MultiLabel, Regression

Row = tuple[list[int], list[int]]  # token ids and types


class OnnxClassifier:
    """An exported model with its tokenizer: called as `Classifier` is, with the same answers, on a CPU.

    Neither torch nor transformers is imported or needed.

    Example:
        >>> classifier = OnnxClassifier.from_pretrained("outputs/nsmc-onnx")
        >>> classifier("시간 가는 줄 몰랐어요")
        {'label': '긍정', 'score': 0.99}
    """

    def __init__(
        self, model: OnnxModel, tokenizer: Tokenizer, *, max_length: int | None = None, batch_size: int = 128
    ) -> None:
        """
        Args:
            tokenizer: it is told where to cut texts.
            max_length: tokens per text, or per window of a long one; default: what the model was fine-tuned with.
            batch_size: texts per forward pass, which are dealt to batches by their length.

        A classifier may be shared by threads.

        Raises:
            HfclsError: a `batch_size` below 1, or a `max_length` without room for a text or a new part of a window, or
                above the model's positions.
        """
        if batch_size < 1:
            raise HfclsError(f"batch_size must be at least 1, found {batch_size}")
        self.model, self.tokenizer, self.labels, self.batch_size = model, tokenizer, model.labels, batch_size
        self.task = model.task
        self.columns: dict[str, Any] = model.config.get("data_columns") or {}  # of the training data
        self.max_length = model.max_length if max_length is None else max_length
        least = tokenizer.num_special_tokens_to_add(bool(self.columns.get("text_pair_column"))) + 1
        most = model.export.get("positions")  # older exports do not say
        if self.max_length < least or (most is not None and self.max_length > most):
            raise HfclsError(f"max_length must be from {least} to {most or 'any number'}, found {self.max_length}")
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = bool(model.export.get("split_special_tokens"))
        self.side, self.stride = model.export.get("truncation_side", "right"), model.config.get("window_stride")
        room = self.max_length - tokenizer.num_special_tokens_to_add(False)
        if self.stride is not None and not 0 <= self.stride < room:
            raise HfclsError(
                f"windows of {self.max_length} tokens hold nothing new, the stride is {self.stride}: raise max_length"
            )
        tokenizer.enable_truncation(self.max_length, direction=self.side)
        self.pair_tokenizer = tokenizer
        if self.stride is not None:  # which pairs, that are cut, must not have: see `hfcls.data.encoding.tokenize`
            self.tokenizer = Tokenizer.from_str(tokenizer.to_str())
            self.tokenizer.encode_special_tokens = tokenizer.encode_special_tokens
            self.tokenizer.enable_truncation(self.max_length, stride=self.stride, direction=self.side)

    def __repr__(self) -> str:
        return (
            f"OnnxClassifier({self.model.config.get('model_type')}, {self.model.precision}, {len(self.labels)} labels; "
            f"max_length {self.max_length})"
        )

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, *, max_length: int | None = None, batch_size: int = 128, threads: int | None = None
    ) -> "OnnxClassifier":
        """Load a folder that `hfcls export` wrote.

        Args:
            threads: that a batch is computed with; default: OMP_NUM_THREADS if that is set, else one for each core.

        Raises:
            HfclsError: not such a folder, a file of it cannot be read, or ONNX Runtime is not installed.
        """
        folder = Path(folder).expanduser()
        model = OnnxModel(folder, threads=threads)
        try:
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # tokenizers raises plain Exceptions
            raise HfclsError(f"{folder / 'tokenizer.json'} cannot be read ({error}): export the model again") from error
        return cls(model, tokenizer, max_length=max_length, batch_size=batch_size)

    @overload
    def __call__(self, texts: Text, *, all_scores: bool = ...) -> dict[str, Any]: ...
    @overload
    def __call__(self, texts: list[str] | list[tuple[str, str]], *, all_scores: bool = ...) -> list[dict[str, Any]]: ...
    def __call__(self, texts: Any, *, all_scores: bool = False) -> Any:
        """`{"label": name, "score": probability}` of one text or pair of texts, or a list of these for a list.

        With `all_scores`, also `"scores"`: the probability of every class by name.

        Raises:
            HfclsError: neither a text, a pair nor a list of them; or see `logits`.
        """
        batch, single = as_batch(texts)
        check_parts(batch, self.columns)
        given = [self.task.answer(row, all_scores=all_scores) for row in self.probabilities(batch).tolist()]
        return given[0] if single else given

    def probabilities(self, texts: Sequence[Text]) -> NDArray[np.float32]:
        """As `Classifier.probabilities`: float32 [len(texts), num_labels]."""
        logits = self.logits(texts)
        if isinstance(self.task, Regression):
            return logits
        if isinstance(self.task, MultiLabel):
            return self.task.outputs(logits).astype(np.float32)
        exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
        probabilities: NDArray[np.float32] = exponentials / exponentials.sum(axis=-1, keepdims=True)
        return probabilities

    def logits(self, texts: Sequence[Text]) -> NDArray[np.float32]:
        """Float32 [len(texts), num_labels], in the order of `texts`.

        Raises:
            HfclsError: a text is not a str (or pair of str), not of the kind the model learned from, or not valid
                Unicode; names its index.
        """
        check_texts(texts)
        texts = as_fitted(texts, self.columns)
        encoded, starts = self._windows(texts)
        order = sorted(range(len(encoded)), key=lambda i: len(encoded[i][0]))
        logits = np.empty((len(encoded), len(self.labels)), np.float32)
        for start in range(0, len(order), self.batch_size):
            indices = order[start : start + self.batch_size]
            ids = [encoded[i][0] or [self.model.pad_token_id] for i in indices]  # no token is left: one of padding
            types = [encoded[i][1] or [0] for i in indices]
            width = len(ids[-1])  # they are sorted: the longest
            logits[indices] = self.model.logits(
                _filled(ids, width, self.model.pad_token_id),
                _filled([[1] * len(row) for row in ids], width, 0),
                None if isinstance(texts[0], str) else _filled(types, width, 0),
            )
        if len(encoded) > len(texts):
            sums: NDArray[np.float32] = np.add.reduceat(logits, starts)
            logits = sums / np.diff(starts, append=len(logits)).astype(np.float32)[:, None]
        check_numbers(logits)
        return logits

    def _windows(self, texts: Sequence[Text]) -> tuple[list[Row], list[int]]:
        """What is read of the texts, and where that of each begins: several windows of long ones, if asked for."""
        rows: list[Row] = []
        starts = []
        pairs = bool(texts) and isinstance(texts[0], tuple)
        in_windows = self.stride is not None and not pairs
        tokenizer = self.tokenizer if in_windows else self.pair_tokenizer

        def read(texts: list[Any], seconds: list[str] | None = None, special: bool = True) -> list[Encoding]:
            given = texts if seconds is None else list(zip(texts, seconds, strict=True))
            encoded: list[Encoding] = tokenizer.encode_batch_fast(given, add_special_tokens=special)
            return encoded

        def parts(first: Encoding) -> list[Encoding]:
            return [first, *(first.overflowing[: MOST_WINDOWS - 1] if in_windows else ())]

        def ids_of(text: str) -> list[list[int]]:
            return [part.ids for part in parts(read([text])[0])]

        given = [text if isinstance(text, str) or text[1] else text[0] for text in texts]  # as `encoding.as_alone`
        if self.side == "right" and not pairs:
            most = self.max_length * (MOST_WINDOWS if in_windows else 1)
            given = [beginning(str(text), ids_of, most) for text in given]
        apart = cut_pairs(given, read, self.max_length, self.side)
        for i, first in enumerate(read(["" if i in apart else text for i, text in enumerate(given)])):
            starts.append(len(rows))
            rows += [apart[i]] if i in apart else [(part.ids, part.type_ids) for part in parts(first)]
        return rows, starts


def _filled(rows: list[list[int]], width: int, value: int) -> NDArray[np.int64]:
    return np.array([[*row, *[value] * (width - len(row))] for row in rows], np.int64)
