// The main job: learn a vector in a small model, fit a map, carry the vector over, and steer the large model by it.
// Run it at the root of the repository, with `./lrtmesh up` in another terminal.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"lrtmesh"
	v1 "lrtmesh/v1"
)

var (
	small = &v1.LayerRef{Model: "tiny-medium", Layer: 3}
	large = &v1.LayerRef{Model: "tiny-large", Layer: 5}
)

func main() {
	path := ".lrtmesh/mesh.json"
	if len(os.Args) > 1 {
		path = os.Args[1]
	}
	profile, err := lrtmesh.ReadProfile(path)
	check(err)
	mesh, err := lrtmesh.Open(profile)
	check(err)
	defer mesh.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()

	learnt, err := mesh.ExtractionRole.Extraction.LearnVector(ctx, &v1.LearnVectorRequest{
		Name: "polite", Model: small.Model, Layers: []uint32{small.Layer}, Pairs: contrastPairs(), Position: v1.LearnPosition_LEARN_POSITION_MEAN,
	})
	check(err)
	fmt.Printf("learnt polite in %s: it tells held-out pairs apart with AUC %.2f\n", small.Model, learnt.Vectors[0].Auc)

	created, err := mesh.Mapping.CreateMapJob(ctx, &v1.CreateMapJobRequest{Map: "small-to-large", Source: small, Target: large, Documents: documents(400)})
	check(err)
	job, err := mesh.Watch(ctx, created.Job.Id, func(*v1.MapJob) {})
	check(err)
	if job.State != v1.JobState_JOB_STATE_SUCCEEDED {
		log.Fatalf("the map job ended %v: %s", job.State, job.Error)
	}
	metrics := job.Result.Metrics
	fmt.Printf("fitted %s on %d rows: R² %.2f on held-out documents\n", job.Map, metrics.Rows, metrics.R2)

	mapped, err := mesh.Mapping.TransferVector(ctx, &v1.TransferVectorRequest{Vector: "polite", Map: "small-to-large", Name: "polite-large"})
	check(err)
	fmt.Printf("carried it over to %s: norm %.2f\n", mapped.Vector.Model, mapped.Vector.Norm)

	plain, _, err := answer(ctx, mesh)
	check(err)
	steered, finished, err := answer(ctx, mesh, &v1.Steering{Vector: "polite-large", Coefficient: 8})
	check(err)
	fmt.Printf("\nunsteered:%s\n\nsteered:%s\n\n", plain, steered)
	proof := finished.Steering[0]
	fmt.Printf("proof: %d positions of layer %d changed by %.1f%%, vector %.19s\n", proof.Positions, proof.Layer, 100*proof.MeanRelativeChange, proof.VectorDigest)

	// A wrong request says which field is wrong.
	_, _, err = answer(ctx, mesh, &v1.Steering{Vector: "no-such-vector", Coefficient: 8})
	if details, failed := lrtmesh.Details(err); failed {
		fmt.Printf("%v: %v\n", details.Code, details.Fields)
	}
}

func answer(ctx context.Context, mesh *lrtmesh.Mesh, steering ...*v1.Steering) (string, *v1.GenerationFinished, error) {
	greedy := 0.0
	stream, err := mesh.Generation.Generate(ctx, &v1.GenerateRequest{
		Model:    large.Model,
		Input:    &v1.GenerateRequest_Prompt{Prompt: "Mia And The Red Lantern"},
		Sampling: &v1.Sampling{Temperature: &greedy},
		Stopping: &v1.Stopping{MaxTokens: 40},
		Steering: steering,
	})
	if err != nil {
		return "", nil, err
	}
	text := ""
	var finished *v1.GenerationFinished
	for {
		part, err := stream.Recv()
		if err == io.EOF {
			return text, finished, nil
		} else if err != nil {
			return "", nil, err
		}
		text += part.GetText().GetText()
		if part.GetFinished() != nil {
			finished = part.GetFinished()
		}
	}
}

func contrastPairs() (pairs []*v1.ContrastPair) {
	bytes, err := os.ReadFile("models/tiny/behaviours/polite.json")
	check(err)
	var behaviour struct {
		Contrast []struct{ Positive, Negative string }
	}
	check(json.Unmarshal(bytes, &behaviour))
	for _, pair := range behaviour.Contrast {
		pairs = append(pairs, &v1.ContrastPair{Positive: pair.Positive, Negative: pair.Negative})
	}
	return pairs
}

func documents(count int) (documents []*v1.Document) {
	file, err := os.Open("models/tiny/text/map.jsonl")
	check(err)
	defer file.Close()
	lines := bufio.NewScanner(file)
	for len(documents) < count && lines.Scan() {
		var line struct{ Text string }
		check(json.Unmarshal(lines.Bytes(), &line))
		documents = append(documents, &v1.Document{Text: line.Text})
	}
	check(lines.Err())
	return documents
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
