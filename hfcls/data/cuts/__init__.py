"""What is read of texts that are far too long, token for token as if all of them had been; without transformers."""
