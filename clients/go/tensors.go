package lrtmesh

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	v1 "lrtmesh/v1"
)

const (
	// MaxTensorBytes is what a whole tensor in one message holds at most.
	MaxTensorBytes = 2 << 20
	// MaxChunkBytes is what a chunk holds at most.
	MaxChunkBytes = 512 << 10
)

// ErrBrokenTensor is wrapped by errors about a tensor that is not what was announced: wrong size, order or crc32c.
var ErrBrokenTensor = errors.New("broken tensor")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Encode makes a whole float32 tensor of row-major elements.
func Encode(elements []float32, shape ...uint64) (*v1.Tensor, error) {
	count := uint64(1)
	for _, length := range shape {
		count *= length
	}
	if count != uint64(len(elements)) {
		return nil, fmt.Errorf("shape %v does not have %d elements", shape, len(elements))
	}
	if 4*len(elements) > MaxTensorBytes {
		return nil, fmt.Errorf("a tensor in one message holds at most %d bytes; this one has %d: send it in parts", MaxTensorBytes, 4*len(elements))
	}
	data := make([]byte, 4*len(elements))
	for i, element := range elements {
		binary.LittleEndian.PutUint32(data[4*i:], math.Float32bits(element))
	}
	header := &v1.TensorHeader{Dtype: v1.Dtype_DTYPE_FLOAT32, Shape: shape, ByteLength: uint64(len(data))}
	return &v1.Tensor{Header: header, Data: data, Crc32C: crc32.Checksum(data, castagnoli)}, nil
}

// Decode gives the row-major elements of a whole tensor of any element type, as float32.
func Decode(tensor *v1.Tensor) ([]float32, error) {
	if _, err := elementSize(tensor.GetHeader()); err != nil {
		return nil, err
	}
	if uint64(len(tensor.Data)) != tensor.Header.ByteLength {
		return nil, fmt.Errorf("%w: %d bytes where %d were announced", ErrBrokenTensor, len(tensor.Data), tensor.Header.ByteLength)
	}
	if crc32.Checksum(tensor.Data, castagnoli) != tensor.Crc32C {
		return nil, fmt.Errorf("%w: wrong crc32c", ErrBrokenTensor)
	}
	return floats(tensor.Header.Dtype, tensor.Data), nil
}

// Assembler puts tensors together from their chunks, which come in order and without gaps within each tensor.
type Assembler struct {
	headers []*v1.TensorHeader
	buffers [][]byte
}

// NewAssembler checks the headers before it takes memory.
func NewAssembler(headers []*v1.TensorHeader) (*Assembler, error) {
	assembler := &Assembler{headers: headers}
	for _, header := range headers {
		if _, err := elementSize(header); err != nil {
			return nil, err
		}
		assembler.buffers = append(assembler.buffers, make([]byte, 0, header.ByteLength))
	}
	return assembler, nil
}

// Complete says whether every byte is there.
func (assembler *Assembler) Complete() bool {
	for i, header := range assembler.headers {
		if uint64(len(assembler.buffers[i])) != header.ByteLength {
			return false
		}
	}
	return true
}

// Add takes a chunk.
func (assembler *Assembler) Add(chunk *v1.TensorChunk) error {
	if int(chunk.Tensor) >= len(assembler.buffers) ||
		chunk.Offset != uint64(len(assembler.buffers[chunk.Tensor])) ||
		chunk.Offset+uint64(len(chunk.Data)) > assembler.headers[chunk.Tensor].ByteLength {
		return fmt.Errorf("%w: a chunk out of place: tensor %d, offset %d", ErrBrokenTensor, chunk.Tensor, chunk.Offset)
	}
	if len(chunk.Data) > MaxChunkBytes {
		return fmt.Errorf("%w: a chunk of %d bytes; %d is the most", ErrBrokenTensor, len(chunk.Data), MaxChunkBytes)
	}
	if crc32.Checksum(chunk.Data, castagnoli) != chunk.Crc32C {
		return fmt.Errorf("%w: wrong crc32c: tensor %d, offset %d", ErrBrokenTensor, chunk.Tensor, chunk.Offset)
	}
	assembler.buffers[chunk.Tensor] = append(assembler.buffers[chunk.Tensor], chunk.Data...)
	return nil
}

// Tensor gives the elements of a tensor that is complete, as float32.
func (assembler *Assembler) Tensor(index int) []float32 {
	return floats(assembler.headers[index].Dtype, assembler.buffers[index])
}

func elementSize(header *v1.TensorHeader) (uint64, error) {
	sizes := map[v1.Dtype]uint64{v1.Dtype_DTYPE_FLOAT32: 4, v1.Dtype_DTYPE_FLOAT16: 2, v1.Dtype_DTYPE_BFLOAT16: 2, v1.Dtype_DTYPE_FLOAT64: 8}
	size, known := sizes[header.GetDtype()]
	if !known {
		return 0, fmt.Errorf("%w: element type %v is unknown", ErrBrokenTensor, header.GetDtype())
	}
	bytes := size
	for _, length := range header.Shape {
		if length != 0 && bytes > math.MaxUint64/length {
			return 0, fmt.Errorf("%w: shape %v is too large", ErrBrokenTensor, header.Shape)
		}
		bytes *= length
	}
	if len(header.Shape) > 8 || bytes != header.ByteLength {
		return 0, fmt.Errorf("%w: shape %v of %d-byte elements is not %d bytes", ErrBrokenTensor, header.Shape, size, header.ByteLength)
	}
	return size, nil
}

func floats(dtype v1.Dtype, data []byte) []float32 {
	var elements []float32
	switch dtype {
	case v1.Dtype_DTYPE_FLOAT64:
		for i := 0; i < len(data); i += 8 {
			elements = append(elements, float32(math.Float64frombits(binary.LittleEndian.Uint64(data[i:]))))
		}
	case v1.Dtype_DTYPE_FLOAT32:
		for i := 0; i < len(data); i += 4 {
			elements = append(elements, math.Float32frombits(binary.LittleEndian.Uint32(data[i:])))
		}
	case v1.Dtype_DTYPE_BFLOAT16:
		for i := 0; i < len(data); i += 2 {
			elements = append(elements, math.Float32frombits(uint32(binary.LittleEndian.Uint16(data[i:]))<<16))
		}
	case v1.Dtype_DTYPE_FLOAT16:
		for i := 0; i < len(data); i += 2 {
			elements = append(elements, half(binary.LittleEndian.Uint16(data[i:])))
		}
	}
	return elements
}

// half widens an IEEE 754 binary16.
func half(bits uint16) float32 {
	sign, exponent, fraction := uint32(bits>>15)<<31, uint32(bits>>10)&0x1f, uint32(bits&0x3ff)
	switch exponent {
	case 0: // zero or subnormal: fraction · 2⁻²⁴
		value := float32(fraction) / (1 << 24)
		return math.Float32frombits(math.Float32bits(value) | sign)
	case 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+112)<<23 | fraction<<13)
}
