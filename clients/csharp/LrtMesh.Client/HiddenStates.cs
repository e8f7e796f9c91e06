using System.Runtime.ExceptionServices;
using LrtMesh.V1;

namespace LrtMesh.Client;

/// <summary>A block of rows, always of whole texts.</summary>
/// <param name="Started">The model that reads.</param>
/// <param name="Labels">Sequence, position, token and characters of each row; of means their end, of spans which.</param>
/// <param name="Bytes">One tensor a layer, in the order of the spec, as it came: row-major [rows, width], little-endian, of the spec's element type.</param>
public sealed record HiddenStates(ExtractionStarted Started, RowBlock Labels, IReadOnlyList<ReadOnlyMemory<byte>> Bytes) : IDisposable
{
    private readonly TensorAssembler? _memory;
    private IReadOnlyList<float[]>? _layers;

    internal HiddenStates(ExtractionStarted started, RowBlock labels, TensorAssembler memory)
        : this(started, labels, memory.Bytes) => _memory = memory;

    /// <summary>Width of the model.</summary>
    public int Width => (int)Started.Width;

    /// <summary>One list a layer, in the order of the spec: row-major [rows, width], as float32.</summary>
    public IReadOnlyList<float[]> Layers => _layers ??= [.. Bytes.Zip(Labels.Layers, (bytes, header) => TensorBytes.Floats(header.Dtype, bytes.Span))];

    /// <summary>
    /// Gives the memory of <see cref="Bytes"/> back for blocks to come, which is faster than to leave it to the collector: nobody may read them any more. <see cref="Layers"/> that were
    /// asked for before stay.
    /// </summary>
    public void Dispose() => _memory?.Dispose();
}

/// <summary>What one message of ExtractHiddenStates came to.</summary>
/// <param name="TensorBytes">Bytes of a tensor that it had.</param>
/// <param name="Block">The block that it completed; null: none.</param>
/// <param name="Failure">The <see cref="BrokenTensorException"/> that it deserves; null: none.</param>
internal sealed record ReadPart(int TensorBytes, HiddenStates? Block, ExceptionDispatchInfo? Failure);

/// <summary>Makes <see cref="HiddenStates"/> of the messages of ExtractHiddenStates and checks them on the way.</summary>
internal sealed class HiddenStateReader(ExtractionSpec spec) : IDisposable
{
    private readonly Dtype _dtype = spec.Dtype == Dtype.Unspecified ? Dtype.Float32 : spec.Dtype;
    private ExtractionStarted? _started;
    private RowBlock? _rows;
    private TensorAssembler? _assembler; // of the block that is under way

    /// <summary>Takes a message where it was received, without throwing.</summary>
    public ReadPart Read(ExtractHiddenStatesResponse response)
    {
        try
        {
            return new(response.Chunk?.Data.Length ?? 0, Take(response), null);
        }
        catch (BrokenTensorException e)
        {
            return new(0, null, ExceptionDispatchInfo.Capture(e));
        }
    }

    /// <summary>Takes a message; gives a block where it completes one.</summary>
    /// <exception cref="BrokenTensorException">It is not what is due.</exception>
    public HiddenStates? Take(ExtractHiddenStatesResponse response)
    {
        switch (response.PartCase)
        {
            case ExtractHiddenStatesResponse.PartOneofCase.Started when _started is null:
                _started = response.Started;
                return null;
            case ExtractHiddenStatesResponse.PartOneofCase.Rows when _started is not null && _rows is null:
                Begin(response.Rows);
                break;
            case ExtractHiddenStatesResponse.PartOneofCase.Chunk when _rows is not null:
                _assembler!.Add(response.Chunk);
                break;
            default:
                throw new BrokenTensorException($"an unexpected part: {response.PartCase}");
        }

        if (!_assembler!.IsComplete)
        {
            return null;
        }

        var block = new HiddenStates(_started!, _rows!, _assembler);
        (_rows, _assembler) = (null, null);
        return block;
    }

    /// <summary>Checks that the stream did not end within a block.</summary>
    /// <exception cref="BrokenTensorException">It did.</exception>
    public void Finish()
    {
        if (_rows is not null)
        {
            throw new BrokenTensorException("the stream ended within a block of rows");
        }
    }

    /// <summary>Gives the memory of a block back that was not completed.</summary>
    public void Dispose() => _assembler?.Dispose();

    private void Begin(RowBlock rows)
    {
        int count = rows.Sequence.Count;
        if (new[] { rows.Position.Count, rows.TokenId.Count, rows.CharStart.Count, rows.CharEnd.Count }.Any(other => other != count)
            || new[] { rows.PositionEnd.Count, rows.Span.Count }.Any(other => other != 0 && other != count))
        {
            throw new BrokenTensorException("labels of unequal number");
        }

        if (rows.Layers.Count != spec.Layers.Count || rows.Layers.Any(header => header.Dtype != _dtype || !header.Shape.SequenceEqual([(ulong)count, _started!.Width])))
        {
            throw new BrokenTensorException($"not {spec.Layers.Count} layers of {_dtype} and shape [{count}, {_started!.Width}]");
        }

        _rows = rows;
        _assembler = new TensorAssembler(rows.Layers);
    }
}
