"""Classifier: texts in, labels and probabilities out."""

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, overload

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hfcls.baseline.model import BaselineModel, is_baseline
from hfcls.batching.choice import check_batching, collator_for
from hfcls.batching.collate import PackedCollator
from hfcls.batching.windows import Row, split_windows, window_counts, window_stride
from hfcls.data.encoding import tokenize
from hfcls.data.origins.joined import JOINT
from hfcls.errors import HfclsError
from hfcls.inference.agreement import verify_precision
from hfcls.inference.texts import Text, as_batch, as_fitted, check_numbers, check_parts, check_texts
from hfcls.models.classes import task_of_config
from hfcls.models.compact.precision import check_exact, check_float32, lower_precision
from hfcls.models.heads import mean_by_text
from hfcls.models.loading import load_classifier
from hfcls.models.positions import check_positions, usable_length
from hfcls.models.sources import local_folder
from hfcls.models.tokenizers import fit_tokenizer
from hfcls.scoring.tasks import MultiLabel, Regression

# How many texts of one length `exact` batches hold, and up to which length: longer ones keep a CPU busy one at a time.
EXACT_COUNT, EXACT_LENGTH = 16, 32
SHOWN_LABELS = 10


class Classifier:
    """A fine-tuned model with its tokenizer, ready to predict.

    Example:
        >>> classifier = Classifier.from_pretrained("outputs/nsmc")
        >>> classifier("시간 가는 줄 몰랐어요")
        {'label': '긍정', 'score': 0.99}
        >>> classifier(["최고", "돈 아까움"])
        [{'label': '긍정', 'score': 0.98}, {'label': '부정', 'score': 0.97}]
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_length: int | None = None,
        batch_size: int = 128,
        batching: str | None = None,
    ) -> None:
        """
        Args:
            max_length: tokens per text, or per window of a long one; default: what the model was fine-tuned with, as
                far as it has positions for it; 512 where nothing is known of either.
            batch_size: texts per forward pass. They are dealt to batches by their length, so the result comes sooner;
                it comes in the order of the input.
            batching: packed, longest, fixed or exact; default: packed where that gives a padded batch's logits, else
                longest. With `exact` the result for a text has the same bits whatever texts come with it, before it or
                after: each forward pass has texts of one length only and a shape that follows from this length. That
                holds for one machine, one version of the libraries and one number of threads; `batch_size` does not
                matter.

        A classifier may be shared by threads.

        Raises:
            HfclsError: the model has too few positions for `max_length`, or `batch_size` is not positive.
        """
        for name, value in (("batch_size", batch_size), ("max_length", 1 if max_length is None else max_length)):
            if not isinstance(value, int) or value < 1:
                raise HfclsError(f"{name} must be at least 1, found {value!r}")
        fit_tokenizer(tokenizer, model.config)
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.max_length = max_length or usable_length(model.config, tokenizer)
        check_positions(model.config, self.max_length)
        self.stride = window_stride(model.config, tokenizer, self.max_length)
        self.task = task_of_config(model.config)
        self.batch_size = batch_size
        self.exact = batching == "exact"
        check_exact(model, self.exact)
        self.collator = collator_for(
            model,
            pad_token_id=tokenizer.pad_token_id,
            max_length=self.max_length,
            batching="longest" if self.exact else batching,
        )
        self.labels: list[str] = self.task.names
        self.columns: dict[str, Any] = getattr(model.config, "data_columns", None) or {}  # of the training data
        self.takes_pairs = bool(self.columns.get("text_pair_column"))
        # The first call sets the tokenizer's truncation; two first calls at once would fail with "Already borrowed".
        self._rows([("", "")] if self.takes_pairs else [""])

    @property
    def joint(self) -> str:
        """What stands between the texts of several columns."""
        own = getattr(self.tokenizer, "sep_token", None)
        return str(self.columns.get("joint") or (f" {own} " if own else JOINT))

    def __repr__(self) -> str:
        config = self.model.config
        shown = ", ".join(self.labels[:SHOWN_LABELS]) + (", ..." if len(self.labels) > SHOWN_LABELS else "")
        return (
            f"Classifier({config.name_or_path!r}, {config.model_type}, {len(self.labels)} labels: {shown}; "
            f"max_length {self.max_length}, {self.model.device})"
        )

    @classmethod
    def from_pretrained(
        cls,
        name: str,
        *,
        device: str | None = None,
        trust_remote_code: bool = False,
        max_length: int | None = None,
        batch_size: int = 128,
        batching: str | None = None,
        precision: str = "float32",
    ) -> "Classifier":
        """Load a folder that `hfcls train` or `hfcls export` wrote, or a Hub id.

        Args:
            device: default: the accelerator if there is one; a CPU for int8 and for exported models.
            precision: float32, int8 (on a CPU) or bf16 (where the device has it). Fewer bits are held to the rows that
                the run was scored on: see `hfcls.inference.agreement`.
            max_length: see `Classifier`.
            batch_size: see `Classifier`.
            batching: see `Classifier`.

        Raises:
            HfclsError: not a fine-tuned classifier, weights or tokenizer missing, it needs Python code out of its
                repository and `trust_remote_code` is not set, the Hub is out of reach, the model gives a text other
                logits beside other texts, or the precision is not to be had or costs too much.
        """
        folder = local_folder(name)
        if folder and is_baseline(folder):
            check_float32(precision)
            return _BaselineClassifier(BaselineModel(folder), batch_size)
        model, tokenizer = load_classifier(name, trust_remote_code=trust_remote_code)
        if isinstance(model, torch.nn.Module):  # an exported model was checked before
            check_batching(model, tokenizer, None, max_length=max_length or usable_length(model.config, tokenizer))
        if device is None:
            device = "cpu" if precision == "int8" else str(torch.accelerator.current_accelerator() or "cpu")
        model.to(device)  # type: ignore[arg-type]  # transformers wraps `to` and loses its signature
        lower_precision(model, precision)
        classifier = cls(model, tokenizer, max_length=max_length, batch_size=batch_size, batching=batching)
        if precision != "float32":
            verify_precision(classifier, name, precision)
        return classifier

    @overload
    def __call__(self, texts: Text, *, all_scores: bool = ...) -> dict[str, Any]: ...
    @overload
    def __call__(self, texts: list[str] | list[tuple[str, str]], *, all_scores: bool = ...) -> list[dict[str, Any]]: ...
    def __call__(self, texts: Any, *, all_scores: bool = False) -> Any:
        """`{"label": name, "score": probability}` of one text or pair of texts, or a list of these for a list.

        With `all_scores`, also `"scores"`: the probability of every class by name. A model of several labels gives
        `{"labels": names, "scores": their probabilities by name}`, a regression its number as `"score"`.

        Raises:
            HfclsError: neither a text, a pair nor a list of them; or see `logits`.
        """
        batch, single = as_batch(texts)
        check_parts(batch, self.columns)
        given = [self.task.answer(row, all_scores=all_scores) for row in self.probabilities(batch).tolist()]
        return given[0] if single else given

    def probabilities(self, texts: Sequence[Text]) -> torch.Tensor:
        """Softmax of `logits`, or their sigmoid where labels do not exclude each other; as they are in a regression.

        Float32 [len(texts), num_labels], on the CPU, as transformers' pipeline gives them.
        """
        logits = self.logits(texts)
        if isinstance(self.task, Regression):
            return logits
        return logits.sigmoid() if isinstance(self.task, MultiLabel) else logits.softmax(dim=-1)

    @torch.inference_mode()
    def logits(self, texts: Sequence[Text]) -> torch.Tensor:
        """Float32 [len(texts), num_labels], on the CPU, in the order of `texts`.

        Raises:
            HfclsError: a text is not a str (or pair of str), or not valid Unicode, or is answered with NaN; names its
                index.
        """
        rows = self._rows(texts)
        counts, rows = window_counts(rows), split_windows(rows)
        logits = torch.empty(len(rows), len(self.labels))
        for indices in self._batches(rows):
            batch = self.collator([rows[i] for i in indices])
            batch = {name: tensor.to(self.model.device) for name, tensor in batch.items()}
            logits[indices] = self.model(**batch).logits.float().cpu()
        logits = mean_by_text(logits, counts)
        check_numbers(logits.numpy())
        return logits

    def _rows(self, texts: Sequence[Text]) -> Sequence[Row]:
        check_texts(texts)
        texts = as_fitted(texts, self.columns)
        if not texts:
            return []
        firsts = [text if isinstance(text, str) else text[0] for text in texts]
        pairs = None if isinstance(texts[0], str) else [text[1] for text in texts]
        encoded = tokenize(self.tokenizer, firsts, pairs, max_length=self.max_length, stride=self.stride)
        return [dict(zip(encoded, values, strict=True)) for values in zip(*encoded.values(), strict=True)]

    def _batches(self, rows: Sequence[Row]) -> Iterator[list[int]]:
        lengths = [len(row["input_ids"]) for row in rows]
        order = sorted(range(len(rows)), key=lengths.__getitem__)
        if isinstance(self.collator, PackedCollator):  # long and short texts in each batch: they fill rows best
            count = math.ceil(len(order) / self.batch_size)
            yield from (order[start::count] for start in range(count))
            return
        if not self.exact:
            for start in range(0, len(order), self.batch_size):
                yield order[start : start + self.batch_size]
            return
        # The bits of a sum depend on its order, and that on the shape of the batch: on how far it is padded and, in the
        # products of the head, on how many texts there are. So neither may follow from the company.
        for length, group in groupby(order, key=lengths.__getitem__):
            # Not by tokens: of 5 to 10 texts, two threads gave the head other bits by their place in the batch (MKL).
            count, same_length = EXACT_COUNT if length <= EXACT_LENGTH else 1, list(group)
            for start in range(0, len(same_length), count):
                indices = same_length[start : start + count]
                yield indices + indices[-1:] * (count - len(indices))


class _BaselineClassifier(Classifier):
    """A kept baseline: it reads texts as they are, so that batches and tokens do not matter."""

    def __init__(self, model: BaselineModel, batch_size: int) -> None:
        self.model, self.tokenizer = model, None  # type: ignore[assignment]
        self.max_length, self.batch_size, self.exact = model.fitted.ngrams.cut, batch_size, True
        self.stride = None
        self.task = task_of_config(model.config)
        self.columns = getattr(model.config, "data_columns", None) or {}
        self.takes_pairs = model.fitted.ngrams.pairs
        self.labels = self.task.names

    def logits(self, texts: Sequence[Text]) -> torch.Tensor:
        check_texts(texts)
        return self.model.logits(list(as_fitted(texts, self.columns)))
