"""Builds the package: makes lrtmesh.v1 and lrtmesh.rpc from the protos, with protoc or else grpcio-tools. A source distribution takes the protos along."""

import pathlib
import shutil
import subprocess
import sys

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = pathlib.Path(__file__).resolve().parent
# A source distribution carries the contract; in a checkout it is where everyone has it from.
PROTOS = next((folder for folder in (HERE / "protos", HERE.parent.parent / "protos") if folder.is_dir()), HERE / "protos")


def compiler():
    """The command that starts a protoc able to write gRPC stubs."""
    protoc, plugin = shutil.which("protoc"), shutil.which("grpc_python_plugin")
    if protoc and plugin:
        return [protoc, f"--plugin=protoc-gen-grpc_python={plugin}"]
    return [sys.executable, "-m", "grpc_tools.protoc"]


def generate(out):
    """Writes the modules below the folder `out`."""
    contract = sorted(PROTOS.glob("lrtmesh/v1/*.proto"))
    if not contract:
        raise SystemExit(f"no protos in {PROTOS}: build from a checkout of LrtMesh or its source distribution")
    out.mkdir(parents=True, exist_ok=True)
    command = compiler() + [f"-I{PROTOS}", f"-I{HERE}", f"--python_out={out}", f"--pyi_out={out}", f"--grpc_python_out={out}"]
    files = [str(path.relative_to(PROTOS)) for path in contract]
    subprocess.run(command + files + ["lrtmesh/rpc.proto"], check=True)
    (out / "lrtmesh/rpc_pb2_grpc.py").unlink()
    lines = ['"""The contract lrtmesh.v1: its messages, enums and stubs, by their names in the protos."""\n']
    for path in contract:
        lines += [f"from .{path.stem}_pb2 import *", f"from .{path.stem}_pb2_grpc import *"]
    (out / "lrtmesh/v1/__init__.py").write_text("\n".join(lines) + "\n")


class BuildWithStubs(build_py):
    def run(self):
        super().run()
        generate(HERE if getattr(self, "editable_mode", False) else pathlib.Path(self.build_lib))


class SourcesWithProtos(sdist):
    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        release = pathlib.Path(base_dir)
        for proto, folder in [(path, "protos/lrtmesh/v1") for path in PROTOS.glob("lrtmesh/v1/*.proto")] + [(HERE / "lrtmesh/rpc.proto", "lrtmesh")]:
            (release / folder).mkdir(parents=True, exist_ok=True)
            shutil.copy(proto, release / folder)


setup(cmdclass={"build_py": BuildWithStubs, "sdist": SourcesWithProtos})
