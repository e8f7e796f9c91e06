using System.Diagnostics;
using Grpc.Core;
using LrtMesh.Core;
using LrtMesh.Core.Models;
using LrtMesh.Core.Steering;
using LrtMesh.Extraction;
using LrtMesh.ServiceDefaults.Limits;
using LrtMesh.V1;
using Part = LrtMesh.V1.ConverseRequest.PartOneofCase;

namespace LrtMesh.Generation;

/// <summary>A generation whose steering the client changes while it goes on.</summary>
internal sealed class Conversation : IDisposable
{
    private readonly IAsyncStreamReader<ConverseRequest> _requests;
    private readonly GenerateRequest _start;
    private readonly GenerationRequest _call;
    private readonly LentModel _lent;
    private readonly long _arrived = Stopwatch.GetTimestamp();

    private Conversation(IAsyncStreamReader<ConverseRequest> requests, GenerateRequest start, GenerationRequest call, LentModel lent)
    {
        _requests = requests;
        _start = start;
        _call = call;
        _lent = lent;
    }

    /// <summary>The model.</summary>
    public LoadedModel Model => _lent.Model;

    /// <summary>Tokens of prompt and answer at most.</summary>
    public int Longest => _call.Prompt.Count + _call.MaxTokens;

    /// <summary>Reads the first message.</summary>
    /// <exception cref="LrtMeshException">It is not a start, or is wrong.</exception>
    public static async Task<Conversation> StartAsync(
        IAsyncStreamReader<ConverseRequest> requests, ModelRegistry models, Func<GenerateRequest, LoadedModel, Task<GenerationRequest>> read, CancellationToken cancellation)
    {
        if (!await requests.MoveNext(cancellation) || requests.Current.PartCase != Part.Start)
        {
            throw LrtMeshException.Invalid("start", "must be the first message of the stream");
        }

        var start = requests.Current.Start;
        var lent = models.Lend(start.Model, "start.model");
        try
        {
            return GenerationCall.Samples(start) <= 1
                ? new Conversation(requests, start, await read(start, lent.Model), lent)
                : throw LrtMeshException.Invalid("start.sampling.samples", "must be 1: a change of steering belongs to one answer");
        }
        catch
        {
            lent.Dispose();
            throw;
        }
    }

    /// <summary>Gives the model back.</summary>
    public void Dispose() => _lent.Dispose();

    /// <summary>Generates, and takes changes until the text ends.</summary>
    /// <param name="responses">The client.</param>
    /// <param name="use">What the client's tenant has used.</param>
    /// <param name="resolve">Resolves the steering of a change.</param>
    /// <param name="cancellation">Ends it.</param>
    public async Task RunAsync(
        IServerStreamWriter<ConverseResponse> responses, TenantUse use, Func<IReadOnlyList<V1.Steering>, string, Task<SteeringPlan>> resolve, CancellationToken cancellation)
    {
        use.UseTokens(_call.Prompt.Count);
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var generation = Model.Generate(_call, ended.Token);
        using var writer = new OneWriter<ConverseResponse>(responses, cancellation);
        try
        {
            await writer.WriteAsync(new ConverseResponse { Answer = new GenerateResponse { Started = GenerationServiceImpl.Started(_start, _call, Model) } });
            var answer = new AnswerStream(generation, Model, _start, sample: 0, use).SendAsync(
                part => writer.WriteAsync(new ConverseResponse { Answer = part }), () => Stopwatch.GetElapsedTime(_arrived), ended.Token);
            var changes = TakeChangesAsync(generation, resolve, writer.WriteAsync, ended.Token);
            if (await Task.WhenAny(answer, changes) == changes)
            {
                await changes; // a change that is wrong ends the call
            }

            await answer;
            await ended.CancelAsync();
            await changes;
        }
        finally
        {
            await ended.CancelAsync();
        }
    }

    private async Task TakeChangesAsync(
        Core.Models.Generation generation, Func<IReadOnlyList<V1.Steering>, string, Task<SteeringPlan>> resolve, Func<ConverseResponse, Task> send, CancellationToken ended)
    {
        try
        {
            for (var change = 0U; await _requests.MoveNext(ended); change++)
            {
                if (_requests.Current.PartCase != Part.Change)
                {
                    throw LrtMeshException.Invalid("change", "must be every message after the first");
                }

                var steering = _requests.Current.Change.Steering;
                for (var i = 0; i < steering.Count; i++)
                {
                    if (steering[i].Condition?.Scope == ConditionScope.Prompt)
                    {
                        throw LrtMeshException.Invalid($"change.steering[{i}].condition.scope", "must be token in a change: the prompt is over");
                    }
                }

                var from = await generation.ChangeSteeringAsync(await resolve(steering, "change.steering"));
                var changed = new SteeringChanged { Change = change };
                if (from is { } position)
                {
                    changed.FromPosition = (uint)position;
                }

                await send(new ConverseResponse { Changed = changed });
            }
        }
        catch (Exception e) when (ended.IsCancellationRequested && e is OperationCanceledException or IOException or InvalidOperationException)
        {
            // The text has ended, and with it what can be changed.
        }
    }
}
