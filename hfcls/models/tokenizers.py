"""Load the tokenizer of an encoder, or learn a small one from texts."""

import json
import logging
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, BertTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from hfcls.errors import HfclsError
from hfcls.models.sources import could_not_load, loading_options, local_folder

logger = logging.getLogger(__name__)

WORD_BEGIN = "\u2581"  # what Metaspace writes for a space

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
    options = loading_options(name, trust_remote_code)
    try:
        if folder and (folder / "vocab.txt").is_file() and not _sets_case(folder):
            tokenizer = BertTokenizer.from_pretrained(str(folder), do_lower_case=False)
        else:
            tokenizer = AutoTokenizer.from_pretrained(str(folder or name), **options)
        tokenizer.init_kwargs.pop("local_files_only", None)  # it would be saved, and depends on the network alone
    except Exception as error:
        raise HfclsError(could_not_load("tokenizer", name, error)) from error
    words = ["영화", "재미", "최고", "정말", "이"]
    if tokenizer.unk_token_id is not None and all(
        tokenizer.unk_token_id in tokenizer(word, add_special_tokens=False)["input_ids"] for word in words
    ):
        logger.warning("the tokenizer of %s knows none of %s: is it one for Korean?", name, ", ".join(words))
    return tokenizer


def fit_tokenizer(tokenizer: PreTrainedTokenizerBase, config: Any) -> None:
    """Let the tokenizer give no `token_type_ids` to a model that knows one type only; what is saved keeps it so.

    klue/roberta has one type and BERT's tokenizer, whose 1 for a second text its embedding does not hold.
    """
    if getattr(config, "type_vocab_size", 2) < 2 and "token_type_ids" in tokenizer.model_input_names:
        tokenizer.model_input_names = [name for name in tokenizer.model_input_names if name != "token_type_ids"]


def train_tokenizer(
    texts: Iterable[str], vocab_size: int = 2000, *, mask_token: str | None = None, alphabet: int | None = None
) -> PreTrainedTokenizerBase:
    """A cased BPE tokenizer with BERT's special tokens, learned from `texts`: the same one for the same texts.

    Not WordPiece, whose trainer numbers its tokens in another order each time (tokenizers 0.23.3), so that a resumed
    run would read its own texts wrongly.

    Args:
        texts: with `alphabet`, read twice.
        mask_token: a further special token, for masked language modelling.
        alphabet: the most characters that become tokens, the most frequent ones; rarer ones are `[UNK]`. None: all,
            which in a large corpus are thousands.
    """
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    if mask_token:
        special["mask_token"] = mask_token
    characters: dict[str, Any] = {}
    if alphabet:  # chosen here: of equally frequent characters, the trainer itself takes others each time
        chosen = frequent_characters(texts, alphabet)
        characters = {"initial_alphabet": chosen, "limit_alphabet": len(chosen)}
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()])
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocab_size, special_tokens=list(special.values()), show_progress=False, **characters
        ),
    )
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **special,
    )


def frequent_characters(texts: Iterable[str], count: int) -> list[str]:
    """The mark of a word's begin and the most frequent characters of the texts (NFC); of equals, the lower code."""
    found: Counter[str] = Counter()
    for text in texts:
        found.update("".join(unicodedata.normalize("NFC", text).split()))
    return [WORD_BEGIN, *sorted(found, key=lambda character: (-found[character], character))[: count - 1]]


def _sets_case(folder: Path) -> bool:
    if (folder / "tokenizer.json").is_file():
        return True
    config = folder / "tokenizer_config.json"
    return config.is_file() and "do_lower_case" in json.loads(config.read_text(encoding="utf-8"))
