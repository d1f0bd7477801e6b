"""What needs no encoder: character n-grams and logistic regression, and what they tell of a model and of labels."""
