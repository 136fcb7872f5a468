"""Advice on how to install an optional part of this package."""


def install_command(extra: str) -> str:
    """Return the command that installs an extra of this package, for error messages.

    The package is on no package index, so it is installed from its source.

    Args:
        extra: a name under `options.extras_require` in setup.cfg.
    """
    return f'pip install -e ".[{extra}]" in the folder of the source code'
