"""A small config of each architecture that packs."""

from transformers import (
    AlbertConfig,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    RobertaConfig,
    XLMRobertaConfig,
)

SIZE = {
    "vocab_size": 100,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 194,
    "num_labels": 3,
}
CONFIGS = {
    "bert": BertConfig(**SIZE),
    "electra": ElectraConfig(**SIZE, embedding_size=16),
    "roberta": RobertaConfig(**SIZE, pad_token_id=1, type_vocab_size=1),
    "xlm-roberta": XLMRobertaConfig(**SIZE, pad_token_id=1, type_vocab_size=1),
    "distilbert": DistilBertConfig(
        vocab_size=100, dim=32, n_layers=2, n_heads=2, hidden_dim=64, max_position_embeddings=66, num_labels=3
    ),
    "albert": AlbertConfig(**SIZE, embedding_size=16),
    "modernbert": ModernBertConfig(
        **SIZE, local_attention=16, global_attn_every_n_layers=2, classifier_pooling="cls", pad_token_id=0
    ),
    "modernbert-mean": ModernBertConfig(
        **SIZE, local_attention=16, global_attn_every_n_layers=2, classifier_pooling="mean", pad_token_id=0
    ),
}
