package lrtmesh

import (
	"context"
	"fmt"
	"io"

	v1 "lrtmesh/v1"
)

// HiddenStates is a block of rows, always of whole texts.
type HiddenStates struct {
	// Labels has the sequence, position, token and characters of each row.
	Labels *v1.RowBlock
	// Layers has one list a layer, in the order of the spec: row-major [rows, width].
	Layers [][]float32
	Width  int
}

// HiddenStates streams hidden states of batches of texts to take, in order; it ends when batches is closed and all are answered, or take fails.
func (mesh *Mesh) HiddenStates(ctx context.Context, spec *v1.ExtractionSpec, batches <-chan []string, take func(HiddenStates) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	role, err := mesh.RoleOf(ctx, spec.Model)
	if err != nil {
		return err
	}
	stream, err := role.Extraction.ExtractHiddenStates(ctx)
	if err != nil {
		return err
	}
	go send(ctx, stream, spec, batches)

	var started *v1.ExtractionStarted
	var rows *v1.RowBlock
	var assembler *Assembler
	for {
		response, err := stream.Recv()
		if err == io.EOF && rows == nil {
			return nil
		} else if err == io.EOF {
			return fmt.Errorf("%w: the stream ended within a block of rows", ErrBrokenTensor)
		} else if err != nil {
			return err
		}
		switch {
		case response.GetStarted() != nil && started == nil:
			started = response.GetStarted()
			continue
		case response.GetRows() != nil && started != nil && rows == nil:
			rows = response.GetRows()
			if assembler, err = begin(spec, started, rows); err != nil {
				return err
			}
		case response.GetChunk() != nil && rows != nil:
			if err := assembler.Add(response.GetChunk()); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%w: an unexpected part: %T", ErrBrokenTensor, response.Part)
		}
		if assembler.Complete() {
			block := HiddenStates{Labels: rows, Width: int(started.Width)}
			for i := range rows.Layers {
				block.Layers = append(block.Layers, assembler.Tensor(i))
			}
			rows = nil
			if err := take(block); err != nil {
				return err
			}
		}
	}
}

// send ends early where the server has ended the call; the reading side learns why.
func send(ctx context.Context, stream v1.ExtractionService_ExtractHiddenStatesClient, spec *v1.ExtractionSpec, batches <-chan []string) {
	defer stream.CloseSend()
	if stream.Send(&v1.ExtractHiddenStatesRequest{Part: &v1.ExtractHiddenStatesRequest_Spec{Spec: spec}}) != nil {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case texts, open := <-batches:
			if !open || stream.Send(&v1.ExtractHiddenStatesRequest{Part: &v1.ExtractHiddenStatesRequest_Batch{Batch: &v1.TextBatch{Texts: texts}}}) != nil {
				return
			}
		}
	}
}

func begin(spec *v1.ExtractionSpec, started *v1.ExtractionStarted, rows *v1.RowBlock) (*Assembler, error) {
	count := len(rows.Sequence)
	if len(rows.Position) != count || len(rows.TokenId) != count || len(rows.CharStart) != count || len(rows.CharEnd) != count {
		return nil, fmt.Errorf("%w: labels of unequal number", ErrBrokenTensor)
	}
	if len(rows.Layers) != len(spec.Layers) {
		return nil, fmt.Errorf("%w: %d layers where %d were asked for", ErrBrokenTensor, len(rows.Layers), len(spec.Layers))
	}
	for _, header := range rows.Layers {
		if len(header.Shape) != 2 || header.Shape[0] != uint64(count) || header.Shape[1] != uint64(started.Width) {
			return nil, fmt.Errorf("%w: shape %v where [%d %d] was due", ErrBrokenTensor, header.Shape, count, started.Width)
		}
	}
	return NewAssembler(rows.Layers)
}
