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

    /// <summary>Reads hidden states, one batch after the other.</summary>
    public static async Task<IReadOnlyList<ReadText>> ReadAsync(
        this ExtractionService.ExtractionServiceClient client, ExtractionSpec spec, IEnumerable<IReadOnlyList<string>> batches, CancellationToken cancellation)
    {
        using var call = client.ExtractHiddenStates(cancellationToken: cancellation);
        var sending = SendAsync();
        var texts = new SortedDictionary<uint, (List<uint> Ids, List<(uint, uint)> Spans, List<float>[] Layers)>();
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
                var layers = spec.Layers.Select((_, i) => assembler.Tensor(i, "chunk")).ToArray();
                for (var row = 0; row < block!.Sequence.Count; row++)
                {
                    if (!texts.TryGetValue(block.Sequence[row], out var text))
                    {
                        texts[block.Sequence[row]] = text = ([], [], [.. layers.Select(_ => new List<float>())]);
                    }

                    if (block.Position[row] != text.Ids.Count)
                    {
                        throw new InvalidDataException($"position {block.Position[row]} of text {block.Sequence[row]} comes after {text.Ids.Count} others");
                    }

                    text.Ids.Add(block.TokenId[row]);
                    text.Spans.Add((block.CharStart[row], block.CharEnd[row]));
                    for (var layer = 0; layer < layers.Length; layer++)
                    {
                        text.Layers[layer].AddRange(layers[layer].AsSpan(row * (int)width, (int)width));
                    }
                }

                assembler = null;
            }
        }

        await sending;
        return [.. texts.Values.Select(text => new ReadText(text.Ids, text.Spans, [.. text.Layers.Select(layer => layer.ToArray())]))];

        async Task SendAsync()
        {
            try
            {
                await call.RequestStream.WriteAsync(new() { Spec = spec }, cancellation);
                foreach (var batch in batches)
                {
                    await call.RequestStream.WriteAsync(new() { Batch = new TextBatch { Texts = { batch } } }, cancellation);
                }

                await call.RequestStream.CompleteAsync();
            }
            catch (Exception e) when (e is RpcException or InvalidOperationException)
            {
                // The server has ended the call; the reading side says why.
            }
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
