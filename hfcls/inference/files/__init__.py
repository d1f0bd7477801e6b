"""The files that `hfcls predict` writes, and the note of what they were made from."""
