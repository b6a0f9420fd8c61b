"""Puts a program that was built already into the wheel, and says which systems it runs on.

WHEEL_PROGRAM names the program. What it needs is read out of it, not assumed of the machine that packs: so one machine packs
the programs of all. WHEEL_PLATFORM says it for programs other than those of Linux.
"""

import os
import re

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# The field e_machine of ELF, little endian.
MACHINES = {b"\x3e\x00": "x86_64", b"\xb7\x00": "aarch64"}


def platform_of(program: str) -> str:
    """The platform tag of a program for Linux; that of a static one fits every distribution."""
    with open(program, "rb") as file:
        content = file.read()
    if content[:4] != b"\x7fELF":
        raise SystemExit(f"{program} is no program for Linux: say in WHEEL_PLATFORM what it is for")
    machine = MACHINES.get(content[18:20])
    if machine is None:
        raise SystemExit(f"{program} is for a machine that is not known here: say in WHEEL_PLATFORM which")
    needed = [int(minor) for minor in re.findall(rb"GLIBC_2\.(\d+)", content)]
    if not needed:
        return f"manylinux2014_{machine}.musllinux_1_1_{machine}"
    return f"manylinux_2_{max(needed)}_{machine}"


class ProgramHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict) -> None:
        program = os.environ.get("WHEEL_PROGRAM")
        if not program:
            raise SystemExit("WHEEL_PROGRAM must name the program that the wheel is to hold")
        platform = os.environ.get("WHEEL_PLATFORM") or platform_of(program)
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
        build_data["shared_scripts"] = {program: "orgd"}
