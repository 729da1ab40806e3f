"""Plain values of the package flowloom."""
import typing


class Gap(typing.NamedTuple):
    """Bytes of one side that are missing.

    >>> gap = Gap(1460, 2920, "capture-loss")
    >>> gap.offset + gap.length
    4380
    """
    offset: int
    length: int
    cause: str


class CaptureWarning(UserWarning):
    """An input could not be read, or not to its end; what was read before was delivered."""
