using Grpc.Core;
using LrtMesh.Core;
using LrtMesh.Core.Models;
using LrtMesh.Core.Tensors;
using LrtMesh.ServiceDefaults;
using LrtMesh.ServiceDefaults.Limits;
using LrtMesh.V1;
using Part = LrtMesh.V1.RunOnRequest.PartOneofCase;

namespace LrtMesh.Extraction;

/// <summary>Runs a model on from given states of a layer, sequence by sequence, and says how well it then predicts each next token.</summary>
internal static class RunOnStream
{
    /// <summary>Answers a stream: 1. take the spec; 2. check each sequence, run it, and answer before the next is read.</summary>
    /// <exception cref="LrtMeshException">NotFound: the model; InvalidArgument or OutOfRange, naming every wrong field.</exception>
    public static async Task RunAsync(
        ModelRegistry models, IAsyncStreamReader<RunOnRequest> requests, IServerStreamWriter<RunOnResponse> responses, TenantUse use, CancellationToken cancellation)
    {
        // 1.
        if (!await requests.MoveNext(cancellation) || requests.Current.PartCase != Part.Spec)
        {
            throw LrtMeshException.Invalid("spec", "must be the first message of the stream");
        }

        var spec = requests.Current.Spec;
        using var lent = models.Lend(spec.Model, "spec.model");
        var model = lent.Model;
        var last = model.Description.Layers - 1;
        if (spec.Layer > last)
        {
            throw new LrtMeshException(ErrorReason.OutOfRange, [new Violation("spec.layer", $"must be 0 to {last} for {model.Name}, not {spec.Layer}")]);
        }

        await responses.WriteAsync(new RunOnResponse { Started = new RunOnStarted { ModelDigest = model.Description.Digest } }, cancellation);

        // 2.
        while (await requests.MoveNext(cancellation))
        {
            if (requests.Current.PartCase != Part.Sequence)
            {
                throw LrtMeshException.Invalid("sequence", "must be every message after the first");
            }

            var sequence = requests.Current.Sequence;
            var states = Check(sequence, model);
            await use.UseTokensInTimeAsync(sequence.TokenIds.Count, cancellation);
            var losses = await model.RunOnAsync(
                [.. sequence.TokenIds.Select(id => (int)id)], (int)spec.Layer, [.. sequence.Positions.Select(position => (long)position)], states, cancellation);
            await responses.WriteAsync(new RunOnResponse { Losses = new RunOnLosses { Losses = { losses } } }, cancellation);
        }
    }

    /// <returns>The states that are put in, [positions, width].</returns>
    private static float[] Check(RunOnSequence sequence, LoadedModel model)
    {
        var (vocabulary, context, width) = (model.Description.Vocabulary, model.Description.Context, (int)model.Description.Width);
        var check = new RequestCheck();
        check.Require(sequence.TokenIds.Count >= 2, "sequence.token_ids", "must hold at least 2 tokens, so that there is a next one to predict");
        check.RequireRange(sequence.TokenIds.Count <= context, "sequence.token_ids", $"must hold at most {context} tokens, the context of {model.Name}, not {sequence.TokenIds.Count}");
        check.Require(sequence.TokenIds.All(id => id < vocabulary), "sequence.token_ids", $"must be below {vocabulary}, the vocabulary of {model.Name}");
        check.Require(
            sequence.Positions.Zip(sequence.Positions.Skip(1)).All(next => next.First < next.Second), "sequence.positions", "must rise, each once");
        check.RequireRange(
            sequence.Positions.All(position => position < sequence.TokenIds.Count), "sequence.positions", $"must be below {sequence.TokenIds.Count}, the number of tokens");
        float[] states = [];
        if (sequence.Positions.Count > 0)
        {
            check.Gather(() => states = TensorCodec.DecodeRows(sequence.States, width, "sequence.states", TensorCodec.MaximumInlineBytes / sizeof(float)));
            check.Require(
                states.Length == 0 || states.Length == sequence.Positions.Count * width, "sequence.states.header.shape", $"must be [{sequence.Positions.Count}, {width}], a row for each position");
        }
        else
        {
            check.Require(sequence.States is null, "sequence.states", "must be unset where no positions are given");
        }

        check.Throw();
        return states;
    }
}
