"""A look at labelled texts before training on them."""
