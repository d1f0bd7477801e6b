"""Rows to batches: padded or packed, every row once, in shapes that a device takes."""
