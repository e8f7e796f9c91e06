using Grpc.Core;
using LrtMesh.Client;
using LrtMesh.V1;

namespace LrtMesh.Cli;

/// <summary>
/// Reads the answer of ExtractHiddenStates and checks it as it comes: sizes before bytes, chunks in order and without
/// gaps, CRC-32C of each, every tensor whole before the next block.
/// </summary>
/// <param name="onStarted">Takes the model that reads.</param>
/// <param name="onRows">Takes the labels of a block's rows.</param>
/// <param name="onBytes">Takes bytes of a layer's rows: index of the layer in the spec, little-endian row-major data.</param>
internal sealed class HiddenStateStream(ExtractionSpec spec, Action<ExtractionStarted> onStarted, Action<RowBlock> onRows, Action<int, ReadOnlyMemory<byte>> onBytes)
{
    private ExtractionStarted? _started;
    private ulong[] _expected = [];
    private ulong[] _received = [];

    /// <summary>Takes one message.</summary>
    /// <exception cref="CommandException">The server broke the contract, or bytes were damaged on the way.</exception>
    public void Take(ExtractHiddenStatesResponse response)
    {
        switch (response.PartCase)
        {
            case ExtractHiddenStatesResponse.PartOneofCase.Started when _started is null:
                _started = response.Started;
                onStarted(_started);
                break;
            case ExtractHiddenStatesResponse.PartOneofCase.Rows when _started is not null:
                Finish();
                TakeRows(response.Rows);
                break;
            case ExtractHiddenStatesResponse.PartOneofCase.Chunk:
                TakeChunk(response.Chunk);
                break;
            default:
                throw Broken($"an unexpected part: {response.PartCase}");
        }
    }

    /// <summary>Checks that every announced tensor has arrived whole.</summary>
    /// <exception cref="CommandException">Bytes are missing.</exception>
    public void Finish()
    {
        if (!_expected.AsSpan().SequenceEqual(_received))
        {
            throw Broken("a block of rows that is not whole");
        }
    }

    private void TakeRows(RowBlock rows)
    {
        int count = rows.Sequence.Count;
        if (new[] { rows.Position.Count, rows.TokenId.Count, rows.CharStart.Count, rows.CharEnd.Count }.Any(other => other != count))
        {
            throw Broken("labels of unequal number");
        }

        if (rows.Layers.Count != spec.Layers.Count)
        {
            throw Broken($"{rows.Layers.Count} layers where {spec.Layers.Count} were asked for");
        }

        foreach (var header in rows.Layers)
        {
            ulong bytes = (ulong)count * _started!.Width * (ulong)Tensors.ElementSize(spec.Dtype);
            if (header.Dtype != spec.Dtype || !header.Shape.SequenceEqual([(ulong)count, _started.Width]) || header.ByteLength != bytes)
            {
                throw Broken($"a tensor of {header.Dtype} [{string.Join(", ", header.Shape)}] and {header.ByteLength} bytes where {spec.Dtype} [{count}, {_started.Width}] was due");
            }
        }

        _expected = [.. rows.Layers.Select(header => header.ByteLength)];
        _received = new ulong[_expected.Length];
        onRows(rows);
    }

    private void TakeChunk(TensorChunk chunk)
    {
        if (chunk.Tensor >= _expected.Length || chunk.Offset != _received[chunk.Tensor] || chunk.Offset + (ulong)chunk.Data.Length > _expected[chunk.Tensor])
        {
            throw Broken($"a chunk out of place: tensor {chunk.Tensor}, offset {chunk.Offset}");
        }

        if (TensorBytes.Crc32C(chunk.Data.Span) != chunk.Crc32C)
        {
            throw Broken($"a damaged chunk: tensor {chunk.Tensor}, offset {chunk.Offset}, wrong crc32c");
        }

        _received[chunk.Tensor] += (ulong)chunk.Data.Length;
        onBytes((int)chunk.Tensor, chunk.Data.Memory);
    }

    private static CommandException Broken(string what) => new($"The extraction server sent {what}.");
}
