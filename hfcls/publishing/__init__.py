"""A run as others see it: report, figures, model card, the Hub."""
