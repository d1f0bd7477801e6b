"""How far probabilities can be trusted: what is fitted to them on validation, and what that gives elsewhere."""
