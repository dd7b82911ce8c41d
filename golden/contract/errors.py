"""The one error that a user's bad input raises."""


class InputError(ValueError):
    """Bad input: the message is one line naming the value, the rule it breaks, and how to fix it.

    The command line prints it as it is and exits with code 2; library users catch it as a ``ValueError``.
    """
