"""What an optimizer step is made of: whole batches, whatever the processes, and texts moved against the model."""
