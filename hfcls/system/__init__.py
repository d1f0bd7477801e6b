"""The machine around a run: files, locks, launchers, the terminal and the shell."""
