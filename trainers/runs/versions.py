"""Versions of the packages that something was made with."""

from importlib.metadata import PackageNotFoundError, version


def installed(*packages: str) -> dict[str, str | None]:
    """Package -> its version; None where it is not installed, or not under that name."""
    return {package: _version(package) for package in packages}


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None
