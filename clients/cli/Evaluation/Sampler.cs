using Grpc.Core;
using LrtMesh.V1;

namespace LrtMesh.Cli.Evaluation;

/// <summary>A text to generate: arms that share prompt and seed are paired.</summary>
internal sealed record Sample(string Prompt, ulong Seed, SteeredBy? Steering);

/// <summary>A text that was generated, and its tokens.</summary>
internal sealed record SampledText(string Text, uint[] Ids);

/// <summary>Generates many texts at once, as a batch-serving role likes it, and checks the proof of steering of each.</summary>
/// <param name="log">Where answers are kept; null: nowhere.</param>
internal sealed class Sampler(GenerationService.GenerationServiceClient generation, Model model, AnswerLog? log = null)
{
    public const uint NewTokens = 16;

    private long _generated;

    /// <summary>Texts generated so far.</summary>
    public long Generated => Interlocked.Read(ref _generated);

    /// <summary>The texts, in the order of the samples.</summary>
    /// <param name="report">Takes (done, total).</param>
    /// <exception cref="CommandException">An answer was not steered as asked, or not finished.</exception>
    public Task<SampledText[]> RunAsync(IReadOnlyList<Sample> samples, Action<long, long> report, CancellationToken cancellation) =>
        ManyCalls.RunAsync(samples, sample => sample.Prompt, sample => RunAsync(sample, cancellation), report, cancellation);

    private Task<SampledText> RunAsync(Sample sample, CancellationToken cancellation)
    {
        var request = new GenerateRequest
        {
            Model = model.Name,
            Prompt = sample.Prompt,
            Sampling = new Sampling { Temperature = 1, Seed = sample.Seed },
            Stopping = new Stopping { MaxTokens = NewTokens },
        };
        return log is null ? AskAsync() : log.GetAsync(AnswerLog.Key(model.Digest, request, sample.Steering), AskAsync);

        Task<SampledText> AskAsync() => ManyCalls.WhenFreeAsync(() => GenerateAsync(request, sample.Steering, cancellation), cancellation);
    }

    private async Task<SampledText> GenerateAsync(GenerateRequest request, SteeredBy? steering, CancellationToken cancellation)
    {
        var text = new System.Text.StringBuilder();
        var ids = new List<uint>();
        GenerationFinished? finished = null;
        using var call = generation.Generate(steering is null ? request : new GenerateRequest(request) { Steering = { steering.ToSteering() } }, Mesh.Long(cancellation));
        await foreach (var part in call.ResponseStream.ReadAllAsync(cancellation))
        {
            text.Append(part.Text?.Text);
            ids.AddRange(part.Text?.TokenIds ?? []);
            finished ??= part.Finished;
        }

        SteeredBy.CheckProof(steering, finished?.Steering ?? throw new CommandException("A text did not come to its end."));
        Interlocked.Increment(ref _generated);
        return new SampledText(text.ToString(), [.. ids]);
    }
}
