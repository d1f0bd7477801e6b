"""Encoders, tokenizers and classification heads: loaded, or built from scratch."""
