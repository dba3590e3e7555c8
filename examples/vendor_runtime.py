"""Fetch onnxruntime for browsers, which `styleganv export --format web` writes beside a model.

    python examples/vendor_runtime.py            write its files again
    python examples/vendor_runtime.py --check    fail unless they are what this script writes

`npm pack` downloads the pinned version, whose hash is checked. There are two builds: the plain one computes in float32
and float64 on CPUs, the one with `asyncify` in float32 on GPUs. Modules are renamed to .js, since some servers do not
know .mjs. Programs are stored with xz, which halves the size of gzip. The license is that of the Python package, since
the package for browsers contains none. To update, change the version, and enter the hash that the script reports.
"""

import argparse
import lzma
import re
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

from vendor_page import pack

ROOT = Path(__file__).parents[1]
RUNTIME = ROOT / "src/styleganv/interop/web_player/runtime"
VERSION = "1.30.0"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
MODULES = {
    "cpu.js": "ort.wasm.min.mjs",
    "cpu-loader.js": "ort-wasm-simd-threaded.mjs",
    "gpu.js": "ort.webgpu.min.mjs",
    "gpu-loader.js": "ort-wasm-simd-threaded.asyncify.mjs",
}
PROGRAMS = {
    "cpu.wasm.xz": "ort-wasm-simd-threaded.wasm",
    "gpu.wasm.xz": "ort-wasm-simd-threaded.asyncify.wasm",
}
NOTICES = {"LICENSE": "onnxruntime/LICENSE", "NOTICES.txt.xz": "onnxruntime/ThirdPartyNotices.txt"}
SOURCE_MAP = re.compile(rb"//# sourceMappingURL=\S+\s*")


def vendored(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the names and uncompressed contents of the files."""
    with tarfile.open(archive) as tar:
        for name, member in (MODULES | PROGRAMS).items():
            file = tar.extractfile(f"package/dist/{member}")
            assert file is not None, member
            content = file.read()
            if name in MODULES:
                content = SOURCE_MAP.sub(b"", content)
            yield name, content
    for name, member in NOTICES.items():
        yield name, Path(str(distribution("onnxruntime").locate_file(member))).read_bytes()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    is_check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        for name, content in vendored(pack(f"onnxruntime-web@{VERSION}", SHA512, Path(folder))):
            path = RUNTIME / name
            is_packed = path.suffix == ".xz"
            if not is_check:
                path.write_bytes(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME) if is_packed else content)
            elif (lzma.decompress(path.read_bytes()) if is_packed else path.read_bytes()) != content:
                sys.exit(f"{path.relative_to(ROOT)} is not that of version {VERSION}: run python {sys.argv[0]}.")


if __name__ == "__main__":
    main()
