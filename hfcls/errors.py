"""The exceptions that hfcls raises on purpose."""


class HfclsError(Exception):
    """Something the user can mend: the message says what was found, what was needed and what to do next.

    The command line prints it as one line and exits with status 1; scripts may catch it.
    """


class PushError(HfclsError):
    """The model is trained and saved, but the Hub did not take it; the command line exits with status 3."""


class NoRowsError(HfclsError):
    """A file is what it should be, but holds no rows."""


class FailedElsewhere(HfclsError):
    """Another process of the run has failed and says why; the command line prints nothing of this one."""
