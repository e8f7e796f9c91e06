using Grpc.Core;
using LrtMesh.V1;

namespace LrtMesh.Cli.Demo;

/// <summary>A vector that steers, at which layer, and how strongly: the length of what is added to each hidden state.</summary>
internal sealed record SteeredBy(string Vector, string Digest, uint Layer, double Coefficient);

/// <summary>A text to generate: arms that share prompt and seed are paired.</summary>
internal sealed record Sample(string Prompt, ulong Seed, SteeredBy? Steering);

/// <summary>Generates many texts at once, as a batch-serving role likes it, and checks the proof of steering of each.</summary>
internal sealed class Sampler(GenerationService.GenerationServiceClient generation, string model)
{
    public const uint NewTokens = 16;
    private const int Concurrency = 128;
    private const int BusyAttempts = 20;

    private long _generated;

    /// <summary>Texts generated so far.</summary>
    public long Generated => Interlocked.Read(ref _generated);

    /// <summary>The texts, in the order of the samples.</summary>
    /// <param name="report">Takes (done, total).</param>
    /// <exception cref="CommandException">An answer was not steered as asked, or not finished.</exception>
    public async Task<string[]> RunAsync(IReadOnlyList<Sample> samples, Action<long, long> report, CancellationToken cancellation)
    {
        string[] texts = new string[samples.Count];
        long done = 0;
        var options = new ParallelOptions { MaxDegreeOfParallelism = Concurrency, CancellationToken = cancellation };
        // Prompts of about equal length go together: the server reads those that arrive together as one padded batch.
        int[] order = [.. Enumerable.Range(0, samples.Count).OrderBy(i => samples[i].Prompt.Length)];
        await Parallel.ForAsync(0, samples.Count, options, async (n, stop) =>
        {
            int i = order[n];
            texts[i] = await GenerateWhenFreeAsync(samples[i], stop);
            Interlocked.Increment(ref _generated);
            report(Interlocked.Increment(ref done), samples.Count);
        });
        return texts;
    }

    // A full queue answers at once; with its seed the request can simply be sent again.
    private async Task<string> GenerateWhenFreeAsync(Sample sample, CancellationToken cancellation)
    {
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                return await GenerateAsync(sample, cancellation);
            }
            catch (RpcException e) when (e.StatusCode == StatusCode.ResourceExhausted && attempt < BusyAttempts)
            {
                var asked = e.GetRpcStatus()?.GetDetail<Google.Rpc.RetryInfo>()?.RetryDelay?.ToTimeSpan();
                await Task.Delay(asked ?? TimeSpan.FromMilliseconds(50 * attempt), cancellation);
            }
        }
    }

    private async Task<string> GenerateAsync(Sample sample, CancellationToken cancellation)
    {
        var request = new GenerateRequest
        {
            Model = model,
            Prompt = sample.Prompt,
            Sampling = new Sampling { Temperature = 1, Seed = sample.Seed },
            Stopping = new Stopping { MaxTokens = NewTokens },
        };
        if (sample.Steering is { } steering)
        {
            request.Steering.Add(new Steering { Vector = steering.Vector, Layer = steering.Layer, Coefficient = steering.Coefficient, Unit = CoefficientUnit.UnitVector, Positions = PositionRule.FromLastPromptToken });
        }

        var text = new System.Text.StringBuilder();
        GenerationFinished? finished = null;
        using var call = generation.Generate(request, Mesh.Long(cancellation));
        await foreach (var part in call.ResponseStream.ReadAllAsync(cancellation))
        {
            text.Append(part.Text?.Text);
            finished ??= part.Finished;
        }

        CheckProof(sample, finished);
        return text.ToString();
    }

    private static void CheckProof(Sample sample, GenerationFinished? finished)
    {
        string[] wanted = sample.Steering is { } steering ? [steering.Digest] : [];
        if (finished is null || !finished.Steering.Select(applied => applied.VectorDigest).SequenceEqual(wanted))
        {
            throw new CommandException($"A text was not steered as asked: wanted [{string.Join(", ", wanted)}], the answer says {finished?.Steering.ToString() ?? "nothing"}.");
        }
    }
}
