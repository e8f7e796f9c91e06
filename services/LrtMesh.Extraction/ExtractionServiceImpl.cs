using Grpc.Core;
using LrtMesh.Core;
using LrtMesh.Core.Models;
using LrtMesh.Core.Models.Tokenizers;
using LrtMesh.Core.Tensors;
using LrtMesh.V1;
using Part = LrtMesh.V1.ExtractHiddenStatesRequest.PartOneofCase;

namespace LrtMesh.Extraction;

/// <summary>Streams hidden states, and learns vectors from contrast pairs.</summary>
internal sealed class ExtractionServiceImpl(ModelRegistry models, VectorLearner learner) : ExtractionService.ExtractionServiceBase
{
    private const int BlockRows = 1024; // rows of one block, unless a single text has more
    private const int ReadRows = 4096; // rows that are held in memory at a time

    /// <inheritdoc/>
    /// <remarks>1. Take the spec and say who reads. 2. Split each batch into tokens. 3. Read runs of texts. 4. Send their rows in blocks of whole texts.</remarks>
    public override async Task ExtractHiddenStates(
        IAsyncStreamReader<ExtractHiddenStatesRequest> requestStream, IServerStreamWriter<ExtractHiddenStatesResponse> responseStream, ServerCallContext context)
    {
        // 1.
        if (!await requestStream.MoveNext(context.CancellationToken) || requestStream.Current.PartCase != Part.Spec)
        {
            throw LrtMeshException.Invalid("spec", "must be the first message of the stream");
        }

        var plan = ExtractionPlan.From(requestStream.Current.Spec, models);
        var description = plan.Model.Description;
        await responseStream.WriteAsync(new ExtractHiddenStatesResponse
        {
            Started = new ExtractionStarted { ModelDigest = description.Digest, Width = description.Width, TokenizerDigest = description.TokenizerDigest },
        });

        var sequence = 0;
        while (await requestStream.MoveNext(context.CancellationToken))
        {
            // 2.
            if (requestStream.Current.PartCase != Part.Batch)
            {
                throw LrtMeshException.Invalid("batch", "must be every message after the first");
            }

            var texts = plan.Split(requestStream.Current.Batch);
            foreach (var run in Runs(texts, ReadRows))
            {
                // 3.
                var read = texts[run];
                SequenceStates[] states = [.. await plan.Model.CaptureAsync([.. read.Select(Ids)], plan.Layers, context.CancellationToken)];

                // 4.
                foreach (var block in Runs(read, BlockRows))
                {
                    await SendAsync(plan, responseStream, sequence + run.Start.Value + block.Start.Value, read[block], states[block], context.CancellationToken);
                }
            }

            sequence += texts.Length;
        }
    }

    /// <inheritdoc/>
    public override Task RunOn(IAsyncStreamReader<RunOnRequest> requestStream, IServerStreamWriter<RunOnResponse> responseStream, ServerCallContext context) =>
        RunOnStream.RunAsync(models, requestStream, responseStream, context.CancellationToken);

    /// <inheritdoc/>
    public override async Task<LearnVectorResponse> LearnVector(LearnVectorRequest request, ServerCallContext context) =>
        new() { Vectors = { await learner.LearnAsync(request, context.CancellationToken) } };

    private static int[] Ids(TextToken[] tokens) => Array.ConvertAll(tokens, token => token.Id);

    /// <summary>Ranges of neighbouring texts with at most so many rows together, or of one text that has more.</summary>
    private static IEnumerable<Range> Runs(TextToken[][] texts, int rows)
    {
        var start = 0;
        var count = 0;
        for (var i = 0; i < texts.Length; i++)
        {
            if (i > start && count + texts[i].Length > rows)
            {
                yield return start..i;
                (start, count) = (i, 0);
            }

            count += texts[i].Length;
        }

        yield return start..texts.Length;
    }

    private static async Task SendAsync(
        ExtractionPlan plan,
        IServerStreamWriter<ExtractHiddenStatesResponse> responseStream,
        int firstSequence,
        TextToken[][] texts,
        SequenceStates[] states,
        CancellationToken cancellation)
    {
        var width = (int)plan.Model.Description.Width;
        var rows = texts.Sum(text => text.Length);
        var block = new RowBlock();
        for (var i = 0; i < texts.Length; i++)
        {
            for (var position = 0; position < texts[i].Length; position++)
            {
                var token = texts[i][position];
                block.Sequence.Add((uint)(firstSequence + i));
                block.Position.Add((uint)position);
                block.TokenId.Add((uint)token.Id);
                block.CharStart.Add((uint)token.Start);
                block.CharEnd.Add((uint)token.End);
            }
        }

        block.Layers.AddRange(plan.Layers.Select(_ => TensorCodec.Header(plan.Dtype, rows, width)));
        await responseStream.WriteAsync(new ExtractHiddenStatesResponse { Rows = block }, cancellation);
        for (var layer = 0; layer < plan.Layers.Length; layer++)
        {
            var values = new float[rows * width]; // [rows, width]
            var at = 0;
            foreach (var sequence in states)
            {
                sequence.Layers[layer].CopyTo(values, at);
                at += sequence.Layers[layer].Length;
            }

            foreach (var chunk in TensorChunks.Split(layer, TensorCodec.Encode(values, plan.Dtype)))
            {
                await responseStream.WriteAsync(new ExtractHiddenStatesResponse { Chunk = chunk }, cancellation);
            }
        }
    }
}
