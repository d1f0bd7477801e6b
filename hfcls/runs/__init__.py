"""The folder of a run: its files, checkpoints, results, predictions, and what the run was made of."""
