#!/usr/bin/env bash
# Builds a program that uses this client from a distribution's Go packages: build.sh FOLDER EXECUTABLE
set -euo pipefail
here=$(readlink -f -- "$(dirname -- "${BASH_SOURCE[0]}")")
program=$(readlink -f -- "$1") out=$(realpath -m -- "$2")
"$here/generate.sh"
# Without modules, lrtmesh is looked for in a workspace, and the packages of Debian lie in another.
mkdir -p "$here/.gopath/src"
ln -sfn "$here" "$here/.gopath/src/lrtmesh"
cd "$program"
GO111MODULE=off GOPATH="$here/.gopath:/usr/share/gocode" go build -o "$out" ./*.go
