package lrtmesh

import (
	"encoding/json"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// serviceConfig has round robin, and retries when UNAVAILABLE of what the protos declare to have no side effects.
func serviceConfig() string {
	type object = map[string]interface{}
	var reads []object
	protoregistry.GlobalFiles.RangeFilesByPackage("lrtmesh.v1", func(file protoreflect.FileDescriptor) bool {
		for i := 0; i < file.Services().Len(); i++ {
			methods := file.Services().Get(i).Methods()
			for j := 0; j < methods.Len(); j++ {
				options, _ := methods.Get(j).Options().(*descriptorpb.MethodOptions)
				if options.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS {
					reads = append(reads, object{"service": file.Services().Get(i).FullName(), "method": methods.Get(j).Name()})
				}
			}
		}
		return true
	})
	config, err := json.Marshal(object{
		"loadBalancingConfig": []object{{"round_robin": object{}}},
		"methodConfig": []object{{
			"name": reads,
			"retryPolicy": object{
				"maxAttempts": 4, "initialBackoff": "0.2s", "maxBackoff": "2s", "backoffMultiplier": 2,
				"retryableStatusCodes": []string{"UNAVAILABLE"},
			},
		}},
	})
	if err != nil {
		panic(err) // constants alone
	}
	return string(config)
}
