"""Kinds of files, each read as one stream of Arrow tables, every value as it stands there."""
