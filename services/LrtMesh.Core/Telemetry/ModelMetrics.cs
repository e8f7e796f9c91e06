using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using LrtMesh.Core.Models;

namespace LrtMesh.Core.Telemetry;

/// <summary>
/// How a loaded model serves: its queue, its caches, its tokens and its times. The gen_ai instruments, their attributes and their buckets are those of
/// OpenTelemetry's semantic conventions for generative AI servers. What the model's thread counts is read when metrics are, and costs it nothing.
/// </summary>
internal sealed class ModelMetrics : IDisposable
{
    private const string ModelKey = "gen_ai.request.model";
    private const string OperationKey = "gen_ai.operation.name";
    private const string ErrorKey = "error.type";
    private const string CacheKey = "lrtmesh.cache.result";

    private static readonly ConcurrentDictionary<ModelMetrics, byte> Live = new();
    private static readonly Meter Meter = new("LrtMesh.Models");

    private static readonly Histogram<double> RequestDuration = Seconds(
        "gen_ai.server.request.duration", "From arrival in the queue to the last token.",
        [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]);

    private static readonly Histogram<double> TimeToFirstToken = Seconds(
        "gen_ai.server.time_to_first_token", "From arrival in the queue to the first token.",
        [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]);

    private static readonly Histogram<double> TimePerOutputToken = Seconds(
        "gen_ai.server.time_per_output_token", "Mean time of a token after the first, of one answer.",
        [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5]);

    private static readonly Histogram<double> QueueTime = Seconds(
        "lrtmesh.generation.queue_time", "From arrival in the queue to the first step that computes for a request.",
        [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]);

    private readonly KeyValuePair<string, object?> _model;
    private readonly GenerationLoop _loop;
    private readonly ModelThread _thread;

    static ModelMetrics()
    {
        Gauge("lrtmesh.generation.queued", "{request}", "Requests that wait for a place in the running batch.", model => model._loop.Queued);
        Gauge("lrtmesh.generation.running", "{sequence}", "Sequences in the running batch.", model => model._loop.Running);
        Gauge("lrtmesh.reading.queued", "{reading}", "Batches of texts that wait to be read for their hidden states.", model => model._thread.Queued);
        Gauge("lrtmesh.kv_cache.bytes", "By", "Memory that keys and values of live sequences take.", model => model._loop.CacheBytes);
        Gauge("lrtmesh.kv_cache.budget", "By", "Memory that they may take at most.", model => model._loop.CacheBudget);
        Gauge("lrtmesh.prefix_cache.bytes", "By", "Memory that keys and values of kept prompts take.", model => model._loop.PrefixBytes);
        Counter("lrtmesh.generation.prompt_tokens", "{token}", "Tokens of prompts, those found in the prefix cache included.", model => model._loop.Tally.PromptTokens);
        Counter("lrtmesh.generation.generated_tokens", "{token}", "Tokens generated or scored.", model => model._loop.Tally.GeneratedTokens);
        Counter("lrtmesh.generation.steered_tokens", "{token}", "Tokens steered, once for each steering.", model => model._loop.Tally.SteeredTokens);
        Counter("lrtmesh.reading.tokens", "{token}", "Tokens read for their hidden states.", model => model._loop.Tally.ReadTokens);
        Meter.CreateObservableCounter(
            "lrtmesh.prefix_cache.tokens",
            () => Live.Keys.SelectMany(model => new Measurement<long>[]
            {
                new(model._loop.Tally.HeldTokens, model._model, new(CacheKey, "hit")),
                new(model._loop.Tally.PromptTokens - model._loop.Tally.HeldTokens, model._model, new(CacheKey, "miss")),
            }),
            "{token}",
            "Tokens of prompts that the prefix cache held, or did not.");
    }

    /// <summary>Metrics of a model until they are disposed.</summary>
    /// <param name="model">Its name.</param>
    /// <param name="loop">Its generation.</param>
    /// <param name="thread">Its thread.</param>
    public ModelMetrics(string model, GenerationLoop loop, ModelThread thread)
    {
        (_model, _loop, _thread) = (new(ModelKey, model), loop, thread);
        Live.TryAdd(this, 0);
    }

    /// <summary>Measures a generation when it ends, and shows its wait, its prompt and its tokens in the trace of the call that is under way here.</summary>
    public void Observe(Generation generation)
    {
        var arrived = DateTime.UtcNow;
        // Not on the model's thread. The execution context is this call's, and with it the parent of spans.
        _ = generation.Outcome.ContinueWith(
            ended =>
            {
                if (ended.Exception is { } error)
                {
                    Failed(generation, error.InnerException!, arrived);
                }
                else
                {
                    Finished(generation, ended.Result, arrived);
                }
            },
            CancellationToken.None,
            TaskContinuationOptions.None,
            TaskScheduler.Default);
    }

    /// <inheritdoc/>
    public void Dispose() => Live.TryRemove(this, out _);

    private void Finished(Generation generation, GenerationOutcome outcome, DateTime arrived)
    {
        var tags = Tags(generation);
        RequestDuration.Record(outcome.Took.TotalSeconds, tags);
        QueueTime.Record(outcome.Queued.TotalSeconds, _model);
        Span("queue", tags, arrived, arrived + outcome.Queued);
        if (outcome.Tokens > 0)
        {
            TimeToFirstToken.Record(outcome.FirstToken.TotalSeconds, tags);
            Span("prefill", tags, arrived + outcome.Queued, arrived + outcome.FirstToken, ("gen_ai.usage.input_tokens", generation.Request.Prompt.Count));
            Span("decode", tags, arrived + outcome.FirstToken, arrived + outcome.Took, ("gen_ai.usage.output_tokens", outcome.Tokens));
        }

        if (outcome.Tokens > 1)
        {
            TimePerOutputToken.Record((outcome.Took - outcome.FirstToken).TotalSeconds / (outcome.Tokens - 1), tags);
        }
    }

    private void Failed(Generation generation, Exception error, DateTime arrived)
    {
        var tags = Tags(generation);
        tags.Add(ErrorKey, error switch
        {
            OperationCanceledException => "Cancelled",
            LrtMeshException known => known.Reason.ToString(),
            _ => "Internal",
        });
        var took = generation.SinceArrival;
        RequestDuration.Record(took.TotalSeconds, tags);
        Span("generation", tags, arrived, arrived + took);
    }

    private TagList Tags(Generation generation) => new()
    {
        _model,
        new(OperationKey, generation.Request.Forced.Count > 0 ? "score" : "text_completion"),
        new("gen_ai.provider.name", "lrtmesh"),
    };

    /// <summary>A span of what is over already.</summary>
    private static void Span(string name, TagList tags, DateTime from, DateTime to, (string Key, int Value)? more = null)
    {
        if (more is var (key, value))
        {
            tags.Add(key, value);
        }

        using var span = Spans.Source.StartActivity(name, ActivityKind.Internal, default(ActivityContext), tags, startTime: from);
        if (span is not null)
        {
            span.SetStatus(span.GetTagItem(ErrorKey) is null ? ActivityStatusCode.Unset : ActivityStatusCode.Error);
            span.SetEndTime(to);
        }
    }

    private static Histogram<double> Seconds(string name, string description, double[] buckets) =>
        Meter.CreateHistogram(name, "s", description, advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = buckets });

    private static void Gauge(string name, string unit, string description, Func<ModelMetrics, long> value) =>
        Meter.CreateObservableGauge(name, () => Live.Keys.Select(model => new Measurement<long>(value(model), model._model)), unit, description);

    private static void Counter(string name, string unit, string description, Func<ModelMetrics, long> value) =>
        Meter.CreateObservableCounter(name, () => Live.Keys.Select(model => new Measurement<long>(value(model), model._model)), unit, description);
}
