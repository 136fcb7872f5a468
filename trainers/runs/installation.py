"""Commands that install this package's optional dependencies, to be shown in error messages."""


def install_command(extra: str) -> str:
    """Return the pip command that installs one group of this package's optional dependencies (a pip "extra").

    The package is on no package index, so it is installed from its source.

    Args:
        extra: a name under `options.extras_require` in setup.cfg.
    """
    return f'pip install -e ".[{extra}]" in the folder of the source code'
