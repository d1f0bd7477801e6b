"""Load the tokenizer of an encoder, or learn a small one from texts."""

import logging
import math
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, BertTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from hfcls.errors import HfclsError
from hfcls.models.positions import AFTER_PADDING
from hfcls.models.sources import (
    check_described,
    check_guess,
    could_not_load,
    encoder_folder,
    load_config,
    loading_options,
    sets_case,
)

logger = logging.getLogger(__name__)

WORD_BEGIN = "\u2581"  # what Metaspace writes for a space

# What makes a folder a tokenizer, and a model; one of each is needed.
TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.txt",
    "tokenizer_config.json",
    "spiece.model",
    "sentencepiece.bpe.model",
    "spm.model",
)
PROBE = "영화 재미 최고 정말 이"


def load_tokenizer(name: str, *, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """The tokenizer of a Hub id or folder; case is kept unless the tokenizer's own files say otherwise.

    A bare BERT vocabulary (vocab.txt without tokenizer_config.json, as KcBERT was first published) would be loaded
    lower-casing, which also splits Hangul into parts the vocabulary lacks; it is loaded with `do_lower_case=False`.

    Args:
        trust_remote_code: run Python code that the repository holds, if it needs any.

    Raises:
        HfclsError: no tokenizer there, the Hub is out of reach, it needs code that is not trusted, or transformers
            reads it otherwise than it was made.
    """
    folder = encoder_folder(name)
    if folder and not any((folder / file).is_file() for file in TOKENIZER_FILES):
        raise HfclsError(f"{name} holds no tokenizer: one of {', '.join(TOKENIZER_FILES)} is needed")
    if folder:
        check_described(name, folder)
    options = loading_options(name, trust_remote_code)
    try:
        if folder and (folder / "vocab.txt").is_file() and not sets_case(folder):
            tokenizer = BertTokenizer.from_pretrained(str(folder), do_lower_case=False)
        else:
            tokenizer = AutoTokenizer.from_pretrained(str(folder or name), **options)
        tokenizer.init_kwargs.pop("local_files_only", None)  # it would be saved, and depends on the network alone
        words = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in PROBE.split()]
    except Exception as error:
        raise HfclsError(could_not_load("tokenizer", name, error)) from error
    check_guess(name, tokenizer.tokenize)
    config = _config_beside(name, trust_remote_code)
    check_reading(name, tokenizer, config)
    if tokenizer.unk_token_id is not None and all(tokenizer.unk_token_id in ids for ids in words):
        logger.warning("the tokenizer of %s knows none of %s: is it one for Korean?", name, PROBE.replace(" ", ", "))
    if config is not None:
        fit_tokenizer(tokenizer, config)
    return tokenizer


def fit_tokenizer(tokenizer: PreTrainedTokenizerBase, config: Any) -> None:
    """Let the tokenizer give no `token_type_ids` to a model that has fewer than two; what is saved keeps it so.

    klue/roberta has one type and BERT's tokenizer, whose 1 for a second text its embedding does not hold. A tokenizer
    without a padding token takes that of the model.
    """
    config, names = config.get_text_config(), tokenizer.model_input_names
    if "token_type_ids" in names and (getattr(config, "type_vocab_size", None) or 0) < 2:
        kept = [name for name in names if name != "token_type_ids"]
        tokenizer.model_input_names = tokenizer.init_kwargs["model_input_names"] = kept
    if tokenizer.pad_token_id is None and config.pad_token_id is not None:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(config.pad_token_id)


def agree_on_padding(name: str, tokenizer: PreTrainedTokenizerBase, config: Any) -> None:
    """Tokenizer and model get one padding token; the head of a decoder finds the end of a text by it.

    A tokenizer without one, as decoders have it, takes its end mark, or another special token that no text ends in.
    RoBERTa-type models keep their own id, from which they count positions.

    Raises:
        HfclsError: the tokenizer has no such token.
    """
    config = config.get_text_config()
    if tokenizer.pad_token_id is None:
        last = tokenizer(PROBE.split()[0])["input_ids"][-1]
        marks = (tokenizer.eos_token, tokenizer.unk_token, tokenizer.bos_token)
        spare = [mark for mark in marks if mark is not None and tokenizer.convert_tokens_to_ids(mark) != last]
        if not spare:
            raise HfclsError(f"the tokenizer of {name} has no padding token and none to spare: set its pad_token")
        tokenizer.pad_token = spare[0]
        logger.info("the tokenizer of %s has no padding token: it pads with %s", name, spare[0])
    if getattr(config, "pad_token_id", None) is None or config.model_type not in AFTER_PADDING:
        config.pad_token_id = tokenizer.pad_token_id


def composing(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """A tokenizer that reads decomposed Hangul (NFD, as macOS writes it) as NFC; the same one if it does already.

    It is saved as a plain fast tokenizer: transformers makes the normalizer of a `BertTokenizer` anew as it loads it.
    """
    inner = getattr(tokenizer, "backend_tokenizer", None)
    decomposed = unicodedata.normalize("NFD", PROBE)
    if inner is None or inner.encode(PROBE).ids == inner.encode(decomposed).ids:
        return tokenizer
    inner = Tokenizer.from_str(inner.to_str())
    inner.normalizer = normalizers.Sequence([normalizers.NFC(), *([inner.normalizer] if inner.normalizer else [])])
    inner.no_truncation()
    inner.no_padding()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        model_input_names=tokenizer.model_input_names,
        padding_side=tokenizer.padding_side,
        truncation_side=tokenizer.truncation_side,
        model_max_length=tokenizer.model_max_length,
        **tokenizer.special_tokens_map,
    )


def check_vocabulary(name: str, tokenizer: PreTrainedTokenizerBase, config: Any) -> None:
    """Raises HfclsError if the tokenizer has a token for which the model has no row."""
    size = getattr(config.get_text_config(), "vocab_size", None) or math.inf  # CANINE hashes characters to its rows
    beyond = sorted((index, token) for token, index in tokenizer.get_vocab().items() if index >= size)
    if beyond:
        raise HfclsError(
            f"the tokenizer of {name} does not fit its model: {len(beyond):,} of its tokens have ids above the model's "
            f"{size:,} rows ({beyond[0][1]!r} is {beyond[0][0]:,}); was it loaded as the class it was saved as "
            "(tokenizer_class in tokenizer_config.json)?"
        )


def check_reading(name: str, tokenizer: PreTrainedTokenizerBase, config: Any = None) -> None:
    """Raises HfclsError if transformers reads the tokenizer's files otherwise than they were made.

    So it does with KoBERT's in three ways: pieces of SentencePiece in vocab.txt become mostly unknown, XLNetTokenizer
    takes Hangul apart, and puts the first token last.

    Args:
        config: of the model beside it, if there is one.
    """
    kind, vocabulary = type(tokenizer).__name__, tokenizer.get_vocab()
    if set(vocabulary) <= set(tokenizer.all_special_tokens):
        raise HfclsError(f"the tokenizer of {name} has no words: its files are not those of {kind}")
    if tokenizer.is_fast and isinstance(tokenizer.backend_tokenizer.model, models.WordPiece):
        pieces = sum(token.startswith(WORD_BEGIN) and token != WORD_BEGIN for token in vocabulary)
        if pieces > sum(token.startswith("##") for token in vocabulary):
            raise HfclsError(
                f"the vocabulary of {name} has {pieces:,} pieces of SentencePiece ({WORD_BEGIN}), which its {kind} "
                "cannot read: most words would be unknown; convert it to a tokenizer.json"
            )
    if config is not None and config.model_type != "xlnet" and tokenizer.cls_token_id in tokenizer(PROBE).input_ids[1:]:
        raise HfclsError(
            f"the {kind} of {name} puts {tokenizer.cls_token} last, and its {config.model_type} model reads it first: "
            "convert it to a tokenizer.json that puts it there"
        )
    _check_sentencepiece(name, tokenizer)


def _check_sentencepiece(name: str, tokenizer: PreTrainedTokenizerBase) -> None:
    """Holds a tokenizer that transformers made of a model of SentencePiece to SentencePiece itself."""
    file = Path(getattr(tokenizer, "vocab_file", None) or "")
    if file.suffix != ".model" or (file.parent / "tokenizer.json").is_file():
        return
    from sentencepiece import SentencePieceProcessor  # transformers has read the file with it

    model = SentencePieceProcessor(str(file))
    unknown = {tokenizer.unk_token, model.id_to_piece(model.unk_id())}
    expected = [model.id_to_piece(i) for i in model.encode(PROBE)]
    found = tokenizer.convert_ids_to_tokens(tokenizer(PROBE, add_special_tokens=False)["input_ids"])
    if [piece in unknown or piece for piece in found] != [piece in unknown or piece for piece in expected]:
        raise HfclsError(
            f"{type(tokenizer).__name__} reads the SentencePiece model of {name} otherwise than SentencePiece does: "
            f"{found} for {expected}; convert it to a tokenizer.json"
        )


def _config_beside(name: str, trust_remote_code: bool) -> Any:
    """The config of the model, or None; what is wrong with it is told when the model is loaded."""
    try:
        return load_config(name, trust_remote_code=trust_remote_code)
    except HfclsError:
        return None


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
    one_space = normalizers.Replace(Regex(r"\s+"), " ")  # spaces at the ends tell how a file was made, not what it says
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), one_space, normalizers.Strip()])
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
