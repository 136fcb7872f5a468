"""What a loader of data hands over, before validation images are set aside."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Loaded:
    """A data set as its files have it.

    Attributes:
        class_names: one per class.
        train, test: a `Split` or an `EncodedSplit` each.
        validation: the same, where the files have one of their own; else None.
        mirrors: whether a mirrored image is still of its class.
        skipped: why -> names of what was left out.
    """

    class_names: tuple[str, ...]
    train: object
    test: object
    validation: object = None
    mirrors: bool = True
    skipped: dict = field(default_factory=dict)
