#!/usr/bin/env bash
# Makes the package lrtmesh/v1 from the protos: protoc, protoc-gen-go and protoc-gen-go-grpc must be on the PATH.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
protos=../../protos
files=() options=()
for path in "$protos"/lrtmesh/v1/*.proto; do
    file=lrtmesh/v1/$(basename "$path")
    files+=("$file")
    options+=("--go_opt=M$file=lrtmesh/v1" "--go-grpc_opt=M$file=lrtmesh/v1")
done
rm -rf v1
protoc -I "$protos" --go_out=. --go-grpc_out=. --go_opt=module=lrtmesh --go-grpc_opt=module=lrtmesh "${options[@]}" "${files[@]}"
