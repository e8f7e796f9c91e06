// Package lrtmesh is the Go client of LrtMesh: generated stubs of the contract lrtmesh.v1 (package lrtmesh/v1), and a thin layer for tensors,
// streams, errors and channels.
package lrtmesh

//go:generate ./generate.sh
