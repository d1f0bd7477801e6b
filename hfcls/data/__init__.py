"""Labelled texts in: files, corpora, splits, repeated texts, tokens."""
