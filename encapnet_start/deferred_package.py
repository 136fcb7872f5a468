"""Import of submodules of a Python package without execution of the package's `__init__.py`."""

import importlib.util
import sys


class DeferredPackage:
    """Python package whose `__init__.py` runs only when the method `execute` is called, instead of on import.

    Until then, the package is in `sys.modules` already, and its modules can be imported as long as they need nothing
    that `__init__.py` defines.
    `importlib.util.LazyLoader` does not serve: importing a module reads the package's `__path__`, and that executes it.

    Args:
        name: name of a package. If it was imported before, it stays as it is.
    """

    def __init__(self, name: str):
        self._spec = None
        if name in sys.modules:
            return
        self._spec = importlib.util.find_spec(name)
        if self._spec is None or self._spec.loader is None:
            raise ModuleNotFoundError(f"There is no package {name!r}. Install it again: pip install -e .", name=name)
        self._module = sys.modules[name] = importlib.util.module_from_spec(self._spec)

    def execute(self) -> None:
        """Run the `__init__.py` of a lazily imported package, unless it has already run."""
        spec, self._spec = self._spec, None
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module(self._module)
