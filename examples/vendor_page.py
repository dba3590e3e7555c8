"""Fetch the JavaScript packages that the studio's page, and its tests, contain.

    python examples/vendor_page.py            write them again
    python examples/vendor_page.py --check    fail unless they are what this script writes

`npm pack` downloads the pinned versions; their hashes are checked. The page has no build step, so bare imports are
rewritten to relative ones. To update a package, change its version, run the script, and enter the hash that it reports.
"""

import argparse
import base64
import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "src/styleganv/studio/page/vendor"
TESTS = ROOT / "tests/studio/vendor"
#: Modules of the page, by the names under which packages import each other.
MODULES = {
    "preact": "preact.js",
    "preact/hooks": "hooks.js",
    "@preact/signals-core": "signals-core.js",
}
SOURCE_MAP = re.compile(r"//# sourceMappingURL=\S+\s*")
IMPORT = re.compile(rf'(from|import)"({"|".join(map(re.escape, MODULES))})"')


@dataclass(frozen=True)
class Package:
    """A published version, its SHA-512, and the files to take from it by their new names."""

    name: str
    sha512: str
    files: dict[str, str]
    folder: Path = PAGE
    end: str = ""


PACKAGES = [
    Package(
        "preact@11.2.0",
        "/HfHI/7N84e6GrWBJ3J280z3mLaRJiDcSvj/A+y/4AbLnND/1UlGHe1sR6oYuTGwId0nP7dqDU9OnLxMPZ7xBg==",
        {"preact.js": "dist/preact.mjs", "hooks.js": "hooks/dist/hooks.mjs", "preact.LICENSE": "LICENSE"},
    ),
    Package(
        "htm@3.1.1",
        "983Vyg8NwUE7JkZ6NmOqpCZ+sh1bKv2iYTlUkzlWmA5JD2acKoxd4KVxbMmxX/85mtfdnDmTFoNKcg5DGAvxNQ==",
        {"htm.js": "dist/htm.module.js", "htm.LICENSE": "LICENSE"},
    ),
    Package(
        "@preact/signals@2.11.4",
        "Rb+5RPo9gWSaHtzJeauhHxiC8KP/IF2DEPkHPEOGOnuy2wnJzRqyeLRankUCYd6ADqtxS6GnWGv6Ie343d8aYw==",
        {"signals.js": "dist/signals.module.js", "signals.LICENSE": "LICENSE"},
    ),
    Package(
        "@preact/signals-core@1.14.5",
        "vcRv7Ityz5JVmeiVqIluLFzT/PDS/AlhHUpw3/aUWqcVUs6bDGIPXE/6RSC4evBNWYvnniozg5Syfj33al3gkg==",
        {"signals-core.js": "dist/signals-core.module.js", "signals-core.LICENSE": "LICENSE"},
    ),
    Package(
        "uplot@1.6.32",
        "KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==",
        # The minified file of this package is a script, not a module.
        {"uplot.js": "dist/uPlot.iife.min.js", "uplot.css": "dist/uPlot.min.css", "uplot.LICENSE": "LICENSE"},
        end="\nexport default uPlot;\n",
    ),
    Package(
        "axe-core@4.14.1",
        "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
        {"axe.min.js": "axe.min.js", "axe.LICENSE": "LICENSE"},
        folder=TESTS,
    ),
]


def pack(name: str, sha512: str, folder: Path) -> Path:
    """Download a package, e.g. htm@3.1.1. Exits if its hash is another."""
    command = ["npm", "pack", "--silent", name, "--pack-destination", str(folder)]
    file = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder).stdout.split()[-1]
    found = base64.b64encode(hashlib.sha512((folder / file).read_bytes()).digest()).decode()
    if found != sha512:
        raise SystemExit(f"{name} has the SHA-512 {found}, expected {sha512}: check the package.")
    return folder / file


def vendored(package: Package, archive: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield the paths and contents of the files that the repository contains."""
    with tarfile.open(archive) as tar:
        for name, member in package.files.items():
            file = tar.extractfile(f"package/{member}")
            assert file is not None, member
            content = file.read()
            if name.endswith(".js"):
                text = SOURCE_MAP.sub("", content.decode()).rstrip("\n")
                text = IMPORT.sub(lambda found: f'{found[1]}"./{MODULES[found[2]]}"', text)
                content = f"{text}{package.end or chr(10)}".encode()
            yield package.folder / name, content


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    is_check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        for package in PACKAGES:
            for path, content in vendored(package, pack(package.name, package.sha512, Path(folder))):
                if not is_check:
                    path.parent.mkdir(exist_ok=True)
                    path.write_bytes(content)
                elif not path.is_file() or path.read_bytes() != content:
                    sys.exit(f"{path.relative_to(ROOT)} is not that of {package.name}: run python {sys.argv[0]}.")


if __name__ == "__main__":
    main()
