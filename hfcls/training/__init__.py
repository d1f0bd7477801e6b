"""Trainer with an exact loss, the book's optimizer, and runs that go on where they stopped."""
