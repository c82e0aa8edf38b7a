"""What ends a command with one line and the code 1: something is not as it must be."""


class Stopped(RuntimeError):
    """The base of all that stops a command, each raised where its work is done."""
