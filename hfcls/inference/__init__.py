"""A fine-tuned model at work: a text, a held-out split, files of any size, a pipe."""
