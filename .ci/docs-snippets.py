#!/usr/bin/env python3
"""Writes the snippets of a page that are tests into files, each into one of its own, so that they can be run.

    .ci/docs-snippets.py python|testcontainers|node|go PAGE FOLDER
"""

import pathlib
import re
import sys

LANGUAGES = {
    # The word after the fence, what a test of it holds, its file.
    "python": ("python", "def test_", "test_{}.py"),
    "testcontainers": ("python", "DockerContainer(", "containers_{}.py"),
    "node": ("js", "test(", "docs_{}.{}.mjs"),
    "go": ("go", "func Test", "docs_{}_test.go"),
}

language, page, folder = sys.argv[1:]
word, mark, name = LANGUAGES[language]
text = pathlib.Path(page).read_text(encoding="utf-8")
folder = pathlib.Path(folder)
folder.mkdir(parents=True, exist_ok=True)
written = 0
for found in re.finditer(rf"^```{word}[^\n]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
    snippet = found.group(1)
    if mark not in snippet:
        continue
    runner = "vitest" if "vitest" in snippet else "test"
    (folder / name.format(written, runner)).write_text(snippet, encoding="utf-8")
    written += 1
if written == 0:
    sys.exit(f"{page} has no test in {language}")
print(f"{page}: {written} snippets in {language}")
