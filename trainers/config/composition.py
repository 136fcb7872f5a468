"""Validation of augmentation and loss for training on overlapping or transformed images (`--compose`)."""

from ..runs.errors import UserError

ONE_LABEL_LOSSES = ("spread",)
_MIXING = ("mixup", "cutmix")
_CROPPING = ("+", "++")


def check_composition(compose: str, augment: tuple[str, ...], loss: str) -> None:
    """Raise `UserError` if the augmentation or loss does not suit overlapping or transformed images (`--compose`).

    Args:
        compose: "none", "overlap" or "affine".
        augment: names of the augmentations, the base first.
        loss: name of the loss.
    """
    if compose == "none":
        return
    flags = f"--compose={compose} --augment={','.join(augment)}"
    if compose == "affine" and augment != ("none",):
        raise UserError(
            f"{flags}: affine trains on upright images without augmentation and tests on transformed ones, so that the "
            "accuracy tells how well the network generalises to transformations. Use --augment=none."
        )
    if mixing := [name for name in augment if name in _MIXING]:
        raise UserError(
            f"{flags}: {mixing[0]} mixes the labels of two images, and overlap has two labels for each image already. "
            f"Leave {mixing[0]} out."
        )
    if augment[0] in _CROPPING:
        raise UserError(
            f"{flags}: the base {augment[0]} crops images, which would cut off objects. overlap shifts each of the two "
            "images by itself. Use the base none or affine."
        )
    if compose == "overlap" and loss in ONE_LABEL_LOSSES:
        raise UserError(
            f"--compose=overlap --loss={loss}: each image has two labels, and the {loss} loss compares a single true "
            "class with the others. Use --loss=margin, or --loss=crossentropy for networks that give probabilities."
        )
