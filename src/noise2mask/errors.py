"""The one exception a user is meant to read."""


class UserError(Exception):
    """A mistake or a circumstance that the user can mend, told in one sentence.

    The sentence says what was given, what is allowed, where it came from and what to do.
    The command line prints it without a traceback and exits with status 2.
    """
