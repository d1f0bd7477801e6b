"""Whether a model gives a text its own logits whatever it is padded with: tried, since architectures are many."""

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hfcls.batching.collate import PaddedCollator, Row
from hfcls.data.encoding import tokenize
from hfcls.errors import HfclsError

TOLERANCE = 1e-3  # of the largest logit: rounding stays below 1e-5, a model that reads padding is off by tenths
WIDEST = 512  # tokens of the widest batch that is tried


def check_padding(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
    """Three texts, one of them with every special token in it: alone, together, and padded to `max_length`.

    XLNet reads the last token of a row, which is padding; FNet and ConvBERT mix it in; BART fails at an end mark in a
    text; decoders, which read the last token that is not padding, pass.

    Raises:
        HfclsError: the logits differ, or the model fails on such texts.
    """
    kind = model.config.model_type
    texts = ["영화", f"정말 {' '.join(map(str, tokenizer.all_special_tokens))} 재미있다", ""]
    encoded = tokenize(tokenizer, texts, max_length=max_length)["input_ids"]
    rows: list[Row] = [{"input_ids": ids} for ids in encoded]
    pad = tokenizer.pad_token_id or 0
    longest = max(map(len, encoded))
    training = model.training
    model.eval()
    try:
        alone = torch.cat([_logits(model, [row], pad) for row in rows])
        others = [_logits(model, rows, pad, width) for width in (longest, max(longest, min(max_length, WIDEST)))]
    except Exception as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise HfclsError(f"this {kind} model fails on three short texts ({why:.200}): take another one") from error
    finally:
        model.train(training)
    gap = max((logits - alone).abs().max().item() for logits in others)
    if not gap <= TOLERANCE * alone.abs().max().item():
        raise HfclsError(
            f"the logits of this {kind} model depend on the padding beside a text (by {gap:.2g}), so that a text would "
            "have another label in another batch: take another one, such as a BERT"
        )


@torch.no_grad()
def _logits(model: PreTrainedModel, rows: Sequence[Row], pad: int, width: int | None = None) -> torch.Tensor:
    batch = PaddedCollator(pad, width)(rows)
    return model(**{name: tensor.to(model.device) for name, tensor in batch.items()}).logits.float()
