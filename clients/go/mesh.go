package lrtmesh

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	v1 "lrtmesh/v1"
)

// Profile has the addresses of a mesh's roles, such as http://127.0.0.1:5001, or dns:///HOST:PORT for all replicas behind a name.
type Profile struct {
	Extraction string `json:"extraction"`
	Mapping    string `json:"mapping"`
	Generation string `json:"generation"`
}

// ReadProfile reads mesh.json, which `lrtmesh up` writes.
func ReadProfile(path string) (Profile, error) {
	var profile Profile
	bytes, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(bytes, &profile)
	}
	return profile, err
}

// Role has the clients of a role that holds models.
type Role struct {
	Models     v1.ModelServiceClient
	Extraction v1.ExtractionServiceClient
}

// Mesh has a generated client for each service of a mesh. Extraction and generation roles both hold models.
type Mesh struct {
	ExtractionRole Role
	GenerationRole Role
	Mapping        v1.MappingServiceClient
	Vectors        v1.VectorServiceClient
	Generation     v1.GenerationServiceClient

	connections []*grpc.ClientConn
}

// Open connects to the roles of a profile; calls wait for no connection here. Further options come after the defaults.
func Open(profile Profile, options ...grpc.DialOption) (*Mesh, error) {
	return OpenSecure(profile, nil, options...)
}

// OpenSecure does the same with credentials of yours: https addresses use them instead of the system's roots, and so do dns addresses.
func OpenSecure(profile Profile, secure credentials.TransportCredentials, options ...grpc.DialOption) (*Mesh, error) {
	mesh := &Mesh{}
	for _, address := range []string{profile.Extraction, profile.Mapping, profile.Generation} {
		connection, err := dial(address, secure, options)
		if err != nil {
			mesh.Close()
			return nil, err
		}
		mesh.connections = append(mesh.connections, connection)
	}
	extraction, mapping, generation := mesh.connections[0], mesh.connections[1], mesh.connections[2]
	mesh.ExtractionRole = Role{v1.NewModelServiceClient(extraction), v1.NewExtractionServiceClient(extraction)}
	mesh.GenerationRole = Role{v1.NewModelServiceClient(generation), v1.NewExtractionServiceClient(generation)}
	mesh.Mapping = v1.NewMappingServiceClient(mapping)
	mesh.Vectors = v1.NewVectorServiceClient(mapping)
	mesh.Generation = v1.NewGenerationServiceClient(generation)
	return mesh, nil
}

// Close closes the connections; calls that run are cancelled.
func (mesh *Mesh) Close() {
	for _, connection := range mesh.connections {
		connection.Close()
	}
}

// RoleOf finds the role that holds a model.
func (mesh *Mesh) RoleOf(ctx context.Context, model string) (Role, error) {
	for _, role := range []Role{mesh.ExtractionRole, mesh.GenerationRole} {
		held, err := role.Models.ListModels(ctx, &v1.ListModelsRequest{})
		if err != nil {
			return Role{}, err
		}
		for _, each := range held.Models {
			if each.Name == model {
				return role, nil
			}
		}
	}
	return Role{}, fmt.Errorf("no role of this mesh holds a model %q", model)
}

func dial(address string, secure credentials.TransportCredentials, options []grpc.DialOption) (*grpc.ClientConn, error) {
	parsed, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	target := address
	if parsed.Scheme == "http" || parsed.Scheme == "https" {
		target = "dns:///" + parsed.Host
	}
	if parsed.Scheme == "https" && secure == nil {
		secure = credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
	}
	transport := grpc.WithInsecure()
	if parsed.Scheme != "http" && secure != nil {
		transport = grpc.WithTransportCredentials(secure)
	}
	defaults := []grpc.DialOption{
		transport,
		grpc.WithDefaultCallOptions(grpc.ForceCodec(codec{})),
		grpc.WithDefaultServiceConfig(serviceConfig()),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: time.Minute, Timeout: 20 * time.Second}),
		// A hidden state stream is flow-controlled by these, and 64 KiB would stall it at each message.
		grpc.WithInitialWindowSize(4 << 20),
		grpc.WithInitialConnWindowSize(8 << 20),
	}
	return grpc.Dial(target, append(defaults, options...)...)
}
