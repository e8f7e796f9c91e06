package lrtmesh

import "google.golang.org/protobuf/proto"

// codec is protobuf by the runtime that the stubs are made for. Older releases of gRPC, such as Debian's, bring one that cannot read them.
type codec struct{}

func (codec) Name() string { return "proto" }

func (codec) Marshal(message interface{}) ([]byte, error) {
	return proto.Marshal(message.(proto.Message))
}

func (codec) Unmarshal(data []byte, message interface{}) error {
	return proto.Unmarshal(data, message.(proto.Message))
}
