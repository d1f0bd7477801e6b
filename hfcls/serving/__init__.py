"""A fine-tuned model in the browser."""
