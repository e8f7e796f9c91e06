package lrtmesh

import (
	"context"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	v1 "lrtmesh/v1"
)

// Watch gives the states of a job to seen until it has ended, and returns the last one. It goes on after a broken connection, unless that breaks
// twice at one revision.
func (mesh *Mesh) Watch(ctx context.Context, id string, seen func(*v1.MapJob)) (*v1.MapJob, error) {
	var last *v1.MapJob
	brokenAt := uint64(0)
	for {
		stream, err := mesh.Mapping.WatchMapJob(ctx, &v1.WatchMapJobRequest{Id: id, AfterRevision: last.GetRevision()})
		for err == nil {
			var response *v1.WatchMapJobResponse
			if response, err = stream.Recv(); err == nil {
				last = response.Job
				seen(last)
			}
		}
		if err == io.EOF {
			return last, nil
		}
		if status.Code(err) != codes.Unavailable || last.GetRevision() == brokenAt {
			return last, err
		}
		brokenAt = last.GetRevision()
	}
}
