using Google.Protobuf;
using Grpc.Core;
using LrtMesh.Core.Tensors;
using LrtMesh.V1;

namespace LrtMesh.TestKit;

/// <summary>An answer read to its end.</summary>
/// <param name="Started">Its first part.</param>
/// <param name="Text">All of its text.</param>
/// <param name="Ids">All of its tokens.</param>
/// <param name="Finished">Its last part.</param>
public sealed record Answer(GenerationStarted Started, string Text, IReadOnlyList<uint> Ids, GenerationFinished Finished);

/// <summary>Hidden states of one text.</summary>
/// <param name="TokenIds">Its tokens.</param>
/// <param name="Spans">The characters that each covers.</param>
/// <param name="Layers">One entry a layer, [tokens, width].</param>
public sealed record ReadText(IReadOnlyList<uint> TokenIds, IReadOnlyList<(uint Start, uint End)> Spans, IReadOnlyList<float[]> Layers);

/// <summary>A row of hidden states.</summary>
/// <param name="Sequence">Its text.</param>
/// <param name="Position">Its first token.</param>
/// <param name="PositionEnd">One past its last token.</param>
/// <param name="Span">Which span of the text's; null without.</param>
/// <param name="TokenId">Its last token.</param>
/// <param name="Characters">What it covers.</param>
/// <param name="Layers">One entry a layer, [width].</param>
public sealed record StateRow(
    uint Sequence, uint Position, uint PositionEnd, uint? Span, uint TokenId, (uint Start, uint End) Characters, IReadOnlyList<float[]> Layers);

/// <summary>Streaming calls, read to their ends.</summary>
public static class MeshCalls
{
    /// <summary>Generates.</summary>
    public static async Task<Answer> AnswerAsync(this GenerationService.GenerationServiceClient client, GenerateRequest request, CancellationToken cancellation)
    {
        using var call = client.Generate(request, cancellationToken: cancellation);
        GenerationStarted? started = null;
        GenerationFinished? finished = null;
        var text = "";
        var ids = new List<uint>();
        await foreach (var response in call.ResponseStream.ReadAllAsync(cancellation))
        {
            started ??= response.Started ?? throw new InvalidDataException("the first part is not `started`");
            finished = finished is null ? response.Finished : throw new InvalidDataException("a part after `finished`");
            text += response.Text?.Text;
            ids.AddRange(response.Text?.TokenIds ?? []);
        }

        return new Answer(started!, text, ids, finished ?? throw new InvalidDataException("no `finished`"));
    }

    /// <summary>Reads hidden states of all tokens, one batch after the other.</summary>
    public static async Task<IReadOnlyList<ReadText>> ReadAsync(
        this ExtractionService.ExtractionServiceClient client, ExtractionSpec spec, IEnumerable<IReadOnlyList<string>> batches, CancellationToken cancellation)
    {
        var rows = await client.ReadRowsAsync(spec, batches.Select(batch => new TextBatch { Texts = { batch } }), cancellation);
        return
        [
            .. rows.GroupBy(row => row.Sequence).OrderBy(text => text.Key).Select(text =>
            {
                if (!text.Select(row => row.Position).SequenceEqual(Enumerable.Range(0, text.Count()).Select(i => (uint)i)))
                {
                    throw new InvalidDataException($"the positions of text {text.Key} do not rise by 1 from 0");
                }

                return new ReadText(
                    [.. text.Select(row => row.TokenId)],
                    [.. text.Select(row => row.Characters)],
                    [.. spec.Layers.Select((_, layer) => text.SelectMany(row => row.Layers[layer]).ToArray())]);
            }),
        ];
    }

    /// <summary>Reads rows of hidden states, one batch after the other.</summary>
    public static async Task<IReadOnlyList<StateRow>> ReadRowsAsync(
        this ExtractionService.ExtractionServiceClient client, ExtractionSpec spec, IEnumerable<TextBatch> batches, CancellationToken cancellation)
    {
        using var call = client.ExtractHiddenStates(cancellationToken: cancellation);
        var sending = SendAsync();
        var rows = new List<StateRow>();
        RowBlock? block = null;
        TensorAssembler? assembler = null;
        uint width = 0;
        await foreach (var response in call.ResponseStream.ReadAllAsync(cancellation))
        {
            switch (response.PartCase)
            {
                case ExtractHiddenStatesResponse.PartOneofCase.Started:
                    width = response.Started.Width;
                    break;
                case ExtractHiddenStatesResponse.PartOneofCase.Rows:
                    block = response.Rows;
                    assembler = new TensorAssembler(block.Layers, "rows.layers", 1 << 24);
                    break;
                default:
                    assembler!.Add(response.Chunk, "chunk");
                    break;
            }

            if (assembler is { IsComplete: true })
            {
                rows.AddRange(RowsOf(block!, [.. spec.Layers.Select((_, i) => assembler.Tensor(i, "chunk"))], (int)width));
                assembler = null;
            }
        }

        await sending;
        return rows;

        async Task SendAsync()
        {
            try
            {
                await call.RequestStream.WriteAsync(new() { Spec = spec }, cancellation);
                foreach (var batch in batches)
                {
                    await call.RequestStream.WriteAsync(new() { Batch = batch }, cancellation);
                }

                await call.RequestStream.CompleteAsync();
            }
            catch (Exception e) when (e is RpcException or InvalidOperationException)
            {
                // The server has ended the call; the reading side says why.
            }
        }
    }

    /// <summary>The rows of a block.</summary>
    /// <param name="block">Their labels.</param>
    /// <param name="layers">Of each layer, [rows, width].</param>
    /// <param name="width">Of a row.</param>
    public static IEnumerable<StateRow> RowsOf(RowBlock block, IReadOnlyList<float[]> layers, int width)
    {
        for (var row = 0; row < block.Sequence.Count; row++)
        {
            yield return new StateRow(
                block.Sequence[row],
                block.Position[row],
                block.PositionEnd.Count > 0 ? block.PositionEnd[row] : block.Position[row] + 1,
                block.Span.Count > 0 ? block.Span[row] : null,
                block.TokenId[row],
                (block.CharStart[row], block.CharEnd[row]),
                [.. layers.Select(layer => layer[(row * width)..((row + 1) * width)])]);
        }
    }

    /// <summary>Runs a map job to its end.</summary>
    public static async Task<MapJob> RunJobAsync(this MappingService.MappingServiceClient client, CreateMapJobRequest request, CancellationToken cancellation)
    {
        return await client.EndedAsync((await client.CreateMapJobAsync(request, cancellationToken: cancellation)).Job.Id, cancellation);
    }

    /// <summary>Watches a map job to its end.</summary>
    public static async Task<MapJob> EndedAsync(this MappingService.MappingServiceClient client, string id, CancellationToken cancellation)
    {
        var job = new MapJob();
        using var watch = client.WatchMapJob(new WatchMapJobRequest { Id = id }, cancellationToken: cancellation);
        await foreach (var response in watch.ResponseStream.ReadAllAsync(cancellation))
        {
            job = response.Job;
        }

        return job;
    }

    /// <summary>A float32 tensor of shape [width].</summary>
    public static Tensor Elements(params float[] values) => TensorCodec.Encode(values, values.Length);

    /// <summary>A tensor whose bytes are not what its header says.</summary>
    public static Tensor Truncated(Tensor tensor)
    {
        var broken = tensor.Clone();
        broken.Data = ByteString.CopyFrom(tensor.Data.Span[..^1]);
        return broken;
    }
}
