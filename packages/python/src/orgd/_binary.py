"""Where the program is."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig


def find_binary() -> str:
    """The program that ORGD_BIN names, that of the wheel, or the first on the path."""
    named = os.environ.get("ORGD_BIN")
    if named:
        if not os.access(named, os.X_OK):
            raise FileNotFoundError(f"ORGD_BIN names {named}, which is no program")
        return named
    for folder in _script_folders():
        program = os.path.join(folder, "orgd")
        if os.access(program, os.X_OK):
            return program
    found = shutil.which("orgd")
    if found is None:
        raise FileNotFoundError("there is no orgd: neither beside this module, nor in ORGD_BIN, nor on the path")
    return found


def _script_folders() -> list[str]:
    """Where an installation puts the program: the environment's folder, the user's, that beside a `--target`."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    user = "osx_framework_user" if sys.platform == "darwin" and sysconfig.get_config_var("PYTHONFRAMEWORK") else "posix_user"
    return [sysconfig.get_path("scripts"), sysconfig.get_path("scripts", scheme=user), os.path.join(here, "bin")]
