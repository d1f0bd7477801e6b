"""The one exception that hfcls raises on purpose."""


class HfclsError(Exception):
    """Something the user can mend: the message says what was found, what was needed and what to do next.

    The command line prints it as one line and exits with status 1; scripts may catch it.
    """
