package lrtmesh

import (
	"context"
	"fmt"
	"io"

	v1 "lrtmesh/v1"
)

// HiddenStates is a block of rows, always of whole texts.
type HiddenStates struct {
	// Labels has the sequence, position, token and characters of each row; of means their end, of spans which.
	Labels *v1.RowBlock
	// Layers has one list a layer, in the order of the spec: row-major [rows, width].
	Layers [][]float32
	Width  int
}

// maxWaiting is how many batches may wait for their answer on a stream with credits, as ExtractionSpec.credit_bytes says.
const maxWaiting = 16

// HiddenStates streams hidden states of batches of texts to take, in order; it ends when batches is closed and all are answered, or take fails.
func (mesh *Mesh) HiddenStates(ctx context.Context, spec *v1.ExtractionSpec, batches <-chan []string, take func(HiddenStates) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	messages := make(chan *v1.TextBatch)
	go func() {
		defer close(messages)
		for texts := range batches {
			select {
			case messages <- &v1.TextBatch{Texts: texts}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return mesh.HiddenStatesOf(ctx, spec, messages, take)
}

// HiddenStatesOf does the same with batches of texts or chats, and their spans where the spec's reduction is by span. Where the spec has CreditBytes,
// what was read is granted again, so that no more bytes than these are on their way at once.
func (mesh *Mesh) HiddenStatesOf(ctx context.Context, spec *v1.ExtractionSpec, batches <-chan *v1.TextBatch, take func(HiddenStates) error) error {
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
	sender := &sender{stream: stream, spec: spec, took: make(chan progress), ended: make(chan struct{})}
	go sender.send(ctx, batches)

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
			sender.note(progress{bytes: len(response.GetChunk().Data)})
		default:
			return fmt.Errorf("%w: an unexpected part: %T", ErrBrokenTensor, response.Part)
		}
		if assembler.Complete() {
			block := HiddenStates{Labels: rows, Width: int(started.Width)}
			for i := range rows.Layers {
				block.Layers = append(block.Layers, assembler.Tensor(i))
			}
			rows = nil
			if count := len(block.Labels.Sequence); count > 0 {
				sender.note(progress{texts: block.Labels.Sequence[count-1] + 1})
			}
			if err := take(block); err != nil {
				return err
			}
		}
	}
}

// progress is what has come: bytes of a chunk, or all rows of so many texts of the stream.
type progress struct {
	bytes int
	texts uint32
}

// sender sends the spec, the batches and, on a stream with credits, the credits. There it lets no more batches wait for their answer than the server
// allows, and closes its side only when all are answered, since credit can be granted no longer then.
type sender struct {
	stream v1.ExtractionService_ExtractHiddenStatesClient
	spec   *v1.ExtractionSpec
	took   chan progress
	ended  chan struct{}
}

// note tells what has come.
func (sender *sender) note(came progress) {
	if sender.spec.CreditBytes > 0 {
		select {
		case sender.took <- came:
		case <-sender.ended:
		}
	}
}

// send ends early where the server has ended the call; the reading side learns why.
func (sender *sender) send(ctx context.Context, batches <-chan *v1.TextBatch) {
	defer close(sender.ended)
	defer sender.stream.CloseSend()
	if sender.stream.Send(&v1.ExtractHiddenStatesRequest{Part: &v1.ExtractHiddenStatesRequest_Spec{Spec: sender.spec}}) != nil {
		return
	}
	credits := sender.spec.CreditBytes > 0
	var waiting []uint32 // of each batch: one past its last text, counted over the stream
	end, read := uint32(0), uint64(0) // read: bytes, and not yet granted again
	for batches != nil || len(waiting) > 0 {
		next := batches
		if len(waiting) == maxWaiting {
			next = nil
		}
		select {
		case <-ctx.Done():
			return
		case batch, open := <-next:
			if !open {
				batches = nil
				continue
			}
			if end += uint32(len(batch.Texts) + len(batch.Chats)); credits {
				waiting = append(waiting, end)
			}
			if sender.stream.Send(&v1.ExtractHiddenStatesRequest{Part: &v1.ExtractHiddenStatesRequest_Batch{Batch: batch}}) != nil {
				return
			}
		case came := <-sender.took:
			for len(waiting) > 0 && came.texts >= waiting[0] {
				waiting = waiting[1:]
			}
			// Once half of the credit is used up: chunks would shrink otherwise.
			if read += uint64(came.bytes); came.bytes == 0 || read < sender.spec.CreditBytes/2 {
				continue
			}
			credit := &v1.Credit{Bytes: read}
			read = 0
			if sender.stream.Send(&v1.ExtractHiddenStatesRequest{Part: &v1.ExtractHiddenStatesRequest_Credit{Credit: credit}}) != nil {
				return
			}
		}
	}
}

func begin(spec *v1.ExtractionSpec, started *v1.ExtractionStarted, rows *v1.RowBlock) (*Assembler, error) {
	count := len(rows.Sequence)
	if len(rows.PositionEnd) != 0 && len(rows.PositionEnd) != count || len(rows.Span) != 0 && len(rows.Span) != count {
		return nil, fmt.Errorf("%w: labels of unequal number", ErrBrokenTensor)
	}
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
