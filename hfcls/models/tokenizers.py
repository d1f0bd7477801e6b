"""Load the tokenizer of an encoder, or learn a small one from texts."""

import json
import logging
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, BertTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from hfcls.errors import HfclsError
from hfcls.models.sources import could_not_load, local_folder

logger = logging.getLogger(__name__)

# What makes a folder a tokenizer, and a model; one of each is needed.
TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.txt",
    "tokenizer_config.json",
    "spiece.model",
    "sentencepiece.bpe.model",
)


def load_tokenizer(name: str, *, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """The tokenizer of a Hub id or folder; case is kept unless the tokenizer's own files say otherwise.

    A bare BERT vocabulary (vocab.txt without tokenizer_config.json, as KcBERT was first published) would be loaded
    lower-casing, which also splits Hangul into parts the vocabulary lacks; it is loaded with `do_lower_case=False`.

    Args:
        trust_remote_code: run Python code that the repository holds, if it needs any.

    Raises:
        HfclsError: no tokenizer there, the Hub is out of reach, or it needs code that is not trusted.
    """
    folder = local_folder(name)
    if folder and not any((folder / file).is_file() for file in TOKENIZER_FILES):
        raise HfclsError(f"{name} holds no tokenizer: one of {', '.join(TOKENIZER_FILES)} is needed")
    name = str(folder or name)
    try:
        if folder and (folder / "vocab.txt").is_file() and not _sets_case(folder):
            tokenizer = BertTokenizer.from_pretrained(name, do_lower_case=False)
        else:
            tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=trust_remote_code)
    except Exception as error:
        raise HfclsError(could_not_load("tokenizer", name, error)) from error
    words = ["영화", "재미", "최고", "정말", "이"]
    if tokenizer.unk_token_id is not None and all(
        tokenizer.unk_token_id in tokenizer(word, add_special_tokens=False)["input_ids"] for word in words
    ):
        logger.warning("the tokenizer of %s knows none of %s: is it one for Korean?", name, ", ".join(words))
    return tokenizer


def train_tokenizer(texts: Iterable[str], vocab_size: int = 2000) -> PreTrainedTokenizerBase:
    """A cased BPE tokenizer with BERT's special tokens, learned from `texts`: the same one for the same texts.

    Not WordPiece, whose trainer numbers its tokens in another order each time (tokenizers 0.23.3), so that a resumed
    run would read its own texts wrongly.
    """
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()])
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=list(special.values()), show_progress=False),
    )
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **special,
    )


def _sets_case(folder: Path) -> bool:
    if (folder / "tokenizer.json").is_file():
        return True
    config = folder / "tokenizer_config.json"
    return config.is_file() and "do_lower_case" in json.loads(config.read_text(encoding="utf-8"))
