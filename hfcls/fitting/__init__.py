"""Ways to make a model other than one run of `fine_tune`."""
