"""Install commands of the optional dependencies of this package, for error messages."""


def install_command(extra: str) -> str:
    """Return the pip command that installs an optional set of dependencies (an "extra") of this package.

    The package is on no package index, so it is installed from its source.

    Args:
        extra: a name under `options.extras_require` in setup.cfg.
    """
    return f'pip install -e ".[{extra}]" in the folder of the source code'
