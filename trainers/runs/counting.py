"""Function that formats a count together with a noun in the singular or plural."""


def counted(number: int, noun: str) -> str:
    """Format a count together with a noun in the singular or plural, such as "1 error" or "1,797 images".

    Args:
        number: a whole number, not negative.
        noun: in the singular; its plural must end in "s".
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
