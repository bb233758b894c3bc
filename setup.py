"""Make the stubs from protos/ and the description for package indexes, in whatever is built."""

import re
import shutil
import sys
from pathlib import Path

import grpc_tools
from grpc_tools import protoc
from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
PROTOS = ROOT / "protos"
STUBS = ROOT / "fedsiege" / "v1"


def generate_stubs() -> None:
    """Write fedsiege/v1 anew, so that a removed message cannot live on in an old stub."""
    shutil.rmtree(STUBS, ignore_errors=True)
    STUBS.mkdir(parents=True)
    (STUBS / "__init__.py").write_text('"""Generated from protos/fedsiege/v1 by the build."""\n')
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    plugins = Path(sys.prefix) / "bin"
    scripts = [Path(entry) for entry in sys.path if entry] + [plugins]
    arguments = [
        "protoc",
        f"--proto_path={PROTOS}",
        f"--proto_path={well_known}",
        f"--python_out={ROOT}",
        f"--grpc_python_out={ROOT}",
        *_typing_arguments(scripts),
        *(str(path) for path in sorted(PROTOS.glob("fedsiege/v1/*.proto"))),
    ]
    status = protoc.main(arguments)
    if status != 0:
        raise SystemExit(f"protoc failed with status {status} on {PROTOS}")


def _typing_arguments(folders: list[Path]) -> list[str]:
    """Find mypy-protobuf's plugins, which pip puts beside the build's own packages."""
    for folder in folders:
        for scripts in (folder, *(parent / "bin" for parent in folder.parents[:4])):
            plugin = scripts / "protoc-gen-mypy"
            if plugin.is_file():
                return [
                    f"--plugin=protoc-gen-mypy={plugin}",
                    f"--plugin=protoc-gen-mypy_grpc={scripts / 'protoc-gen-mypy_grpc'}",
                    f"--mypy_out=quiet:{ROOT}",
                    f"--mypy_grpc_out=quiet:{ROOT}",
                ]
    raise SystemExit("protoc-gen-mypy was not found; it comes with the package mypy-protobuf")


def description() -> str:
    """Return README.md for a package index, where relative links and pictures lead nowhere.

    A picture with its caption is left out; of a link its text remains.
    """
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    relative = r"\((?!https?:|mailto:|#)[^)\s]*\)"
    picture = rf"^!\[[^\]]*\]{relative}\n"
    caption = r"\n\*(?!\*)[^\n].*?\*\n"
    text = re.sub(rf"{picture}({caption})?\n?", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(rf"(?<!!)\[([^\]]*)\]{relative}", r"\1", text)


class BuildWithStubs(build_py):
    """The usual build, with the stubs generated first."""

    def run(self) -> None:
        """Generate, then build."""
        generate_stubs()
        # In a tree never built before, setuptools could not find this package.
        self.packages = sorted({*self.packages, "fedsiege.v1"})
        super().run()


setup(
    cmdclass={"build_py": BuildWithStubs},
    long_description=description(),
    long_description_content_type="text/markdown",
)
