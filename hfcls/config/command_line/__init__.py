"""The command line for people: help, and what is written from habit."""
