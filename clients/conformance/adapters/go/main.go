// The Go client as the conformance runner drives it: a step a line on standard input, its outcome a line on standard output.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"lrtmesh"
	v1 "lrtmesh/v1"
)

type object = map[string]interface{}

type step struct {
	Do          string
	Method      string
	Role        string
	Request     json.RawMessage
	Deadline    float64
	CancelAfter int
	Spec        json.RawMessage
	Batches     []json.RawMessage
	Vector      json.RawMessage
	Map         string
	Rows, Width int
	Scale       float32
	WithoutBias bool
}

func main() {
	profile, err := lrtmesh.ReadProfile(os.Args[1])
	if err != nil {
		panic(err)
	}
	mesh, err := lrtmesh.Open(profile)
	if err != nil {
		panic(err)
	}
	defer mesh.Close()
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return
		} else if err != nil {
			panic(err)
		}
		var step step
		if err := json.Unmarshal(line, &step); err != nil {
			panic(err)
		}
		answer, err := run(mesh, &step)
		outcome := object{"ok": answer}
		if details, failed := lrtmesh.Details(err); failed {
			outcome = object{"error": object{"status": statusName(details), "message": details.Message, "reason": details.Reason, "fields": details.Fields}}
		} else if err != nil {
			outcome = object{"error": object{"status": "CLIENT", "message": err.Error(), "reason": "", "fields": object{}}}
		}
		bytes, err := json.Marshal(outcome)
		if err != nil {
			panic(err)
		}
		fmt.Println(string(bytes))
	}
}

// statusName writes a code as the gRPC specification does: NotFound is NOT_FOUND.
func statusName(details lrtmesh.ErrorDetails) string {
	name := ""
	for i, letter := range details.Code.String() {
		if i > 0 && letter >= 'A' && letter <= 'Z' {
			name += "_"
		}
		name += string(letter)
	}
	return strings.Replace(strings.ToUpper(name), "CANCELED", "CANCELLED", 1)
}

func run(mesh *lrtmesh.Mesh, step *step) (interface{}, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if step.Deadline > 0 {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(step.Deadline*float64(time.Second)))
		defer cancel()
	}
	switch step.Do {
	case "call":
		return call(ctx, mesh, step)
	case "generate":
		return generate(ctx, cancel, mesh, step)
	case "job":
		return job(ctx, mesh, step)
	case "hiddenStates":
		return hiddenStates(ctx, mesh, step)
	case "roundTrip":
		return roundTrip(ctx, mesh, step)
	case "applyMap":
		return applyMap(ctx, mesh, step)
	}
	return nil, fmt.Errorf("unknown step %q", step.Do)
}

func call(ctx context.Context, mesh *lrtmesh.Mesh, step *step) (interface{}, error) {
	role := mesh.ExtractionRole
	if step.Role == "generation" {
		role = mesh.GenerationRole
	}
	parts := strings.Split(step.Method, "/")
	client := map[string]interface{}{
		"ModelService": role.Models, "ExtractionService": role.Extraction, "MappingService": mesh.Mapping, "VectorService": mesh.Vectors,
	}[parts[0]]
	method := reflect.ValueOf(client).MethodByName(parts[1])
	request := reflect.New(method.Type().In(1).Elem())
	parse(step.Request, request.Interface().(proto.Message))
	results := method.Call([]reflect.Value{reflect.ValueOf(ctx), request})
	if err, failed := results[1].Interface().(error); failed {
		return nil, err
	}
	return plain(results[0].Interface().(proto.Message)), nil
}

func generate(ctx context.Context, cancel func(), mesh *lrtmesh.Mesh, step *step) (interface{}, error) {
	request := &v1.GenerateRequest{}
	parse(step.Request, request)
	stream, err := mesh.Generation.Generate(ctx, request)
	if err != nil {
		return nil, err
	}
	outcome, text, tokens, parts := object{}, "", 0, 0
	for {
		part, err := stream.Recv()
		if err == io.EOF {
			outcome["text"], outcome["tokens"] = text, tokens
			return outcome, nil
		} else if err != nil {
			return nil, err
		}
		switch {
		case part.GetStarted() != nil:
			outcome["started"] = plain(part.GetStarted())
		case part.GetFinished() != nil:
			outcome["finished"] = plain(part.GetFinished())
		default:
			text += part.GetText().Text
			tokens += len(part.GetText().TokenIds)
			if parts++; parts == step.CancelAfter {
				cancel()
			}
		}
	}
}

func job(ctx context.Context, mesh *lrtmesh.Mesh, step *step) (interface{}, error) {
	request := &v1.CreateMapJobRequest{}
	parse(step.Request, request)
	created, err := mesh.Mapping.CreateMapJob(ctx, request)
	if err != nil {
		return nil, err
	}
	states := 0
	last, err := mesh.Watch(ctx, created.Job.Id, func(*v1.MapJob) { states++ })
	if err != nil {
		return nil, err
	}
	return object{"job": plain(last), "states": states}, nil
}

func hiddenStates(ctx context.Context, mesh *lrtmesh.Mesh, step *step) (interface{}, error) {
	spec := &v1.ExtractionSpec{}
	parse(step.Spec, spec)
	batches := make(chan *v1.TextBatch, len(step.Batches))
	for _, each := range step.Batches {
		batch := &v1.TextBatch{}
		if json.Unmarshal(each, &batch.Texts) != nil {
			parse(each, batch)
		}
		batches <- batch
	}
	close(batches)
	texts, labels, width := map[uint32]bool{}, &v1.RowBlock{}, 0
	squares, firstRow := make([]float64, len(spec.Layers)), []float32(nil)
	err := mesh.HiddenStatesOf(ctx, spec, batches, func(block lrtmesh.HiddenStates) error {
		if firstRow == nil {
			firstRow = block.Layers[0][:4]
		}
		width = block.Width
		proto.Merge(labels, block.Labels)
		for _, sequence := range block.Labels.Sequence {
			texts[sequence] = true
		}
		for i, layer := range block.Layers {
			squares[i] += sumOfSquares(layer)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return object{
		"texts": len(texts), "tokenIds": first(labels.TokenId), "positions": first(labels.Position), "positionEnds": first(labels.PositionEnd),
		"spans": first(labels.Span), "charEnd": labels.CharEnd[0], "rows": len(labels.Sequence), "width": width, "sumOfSquares": squares, "firstRow": firstRow,
	}, nil
}

func first(labels []uint32) []uint32 {
	if len(labels) > 8 {
		return labels[:8]
	}
	return append([]uint32{}, labels...)
}

func roundTrip(ctx context.Context, mesh *lrtmesh.Mesh, step *step) (interface{}, error) {
	elements := pattern(step.Width, 1)
	tensor, err := lrtmesh.Encode(elements, uint64(step.Width))
	if err != nil {
		return nil, err
	}
	vector := &v1.Vector{}
	parse(step.Vector, vector)
	stored, err := mesh.Vectors.PutVector(ctx, &v1.PutVectorRequest{Vector: vector, Elements: tensor})
	if err != nil {
		return nil, err
	}
	back, err := mesh.Vectors.GetVector(ctx, &v1.GetVectorRequest{Name: stored.Vector.Name})
	if err != nil {
		return nil, err
	}
	got, err := lrtmesh.Decode(back.Elements)
	return object{"equal": reflect.DeepEqual(got, elements), "vector": plain(back.Vector)}, err
}

func applyMap(ctx context.Context, mesh *lrtmesh.Mesh, step *step) (interface{}, error) {
	rows, err := lrtmesh.Encode(pattern(step.Rows*step.Width, step.Scale), uint64(step.Rows), uint64(step.Width))
	if err != nil {
		return nil, err
	}
	answer, err := mesh.Mapping.ApplyMap(ctx, &v1.ApplyMapRequest{Map: step.Map, Rows: rows, WithoutBias: step.WithoutBias})
	if err != nil {
		return nil, err
	}
	mapped, err := lrtmesh.Decode(answer.Rows)
	shape := answer.Rows.Header.Shape
	return object{"rows": shape[0], "width": shape[1], "sumOfSquares": sumOfSquares(mapped), "digest": answer.MapDigest}, err
}

// pattern has numbers that a float32 holds exactly, the same in every client.
func pattern(count int, scale float32) []float32 {
	elements := make([]float32, count)
	for i := range elements {
		elements[i] = float32(i*37%101-50) / 8 * scale
	}
	return elements
}

func sumOfSquares(elements []float32) (sum float64) {
	for _, element := range elements {
		sum += float64(element) * float64(element)
	}
	return sum
}

func parse(text json.RawMessage, message proto.Message) {
	if err := protojson.Unmarshal(text, message); err != nil {
		panic(err)
	}
}

func plain(message proto.Message) json.RawMessage {
	bytes, err := protojson.Marshal(message)
	if err != nil {
		panic(err)
	}
	return bytes
}
