using LrtMesh.Generation;
using LrtMesh.TestKit;
using LrtMesh.V1;
using Grpc.Core;
using Grpc.Net.Client;
using Xunit;

namespace LrtMesh.Services.Tests.Mesh;

/// <summary>How tokens are chosen, told and scored.</summary>
public sealed class SamplingTests(MeshFixture mesh) : MeshTests(mesh)
{
    [Fact]
    public async Task Samples_are_answers_of_their_own_seeds()
    {
        var request = Greedy("The cat");
        request.Sampling = new Sampling { Temperature = 1.5, Seed = 40, Samples = 3 };
        var ids = new List<uint>[] { [], [], [] };
        var ends = new HashSet<uint>();
        using var call = Mesh.Generation.Generate(request, cancellationToken: Ct);
        await foreach (var part in call.ResponseStream.ReadAllAsync(Ct))
        {
            ids[part.Text?.Sample ?? 0].AddRange(part.Text?.TokenIds ?? []);
            Assert.True(part.Finished is null || ends.Add(part.Finished.Sample));
        }

        Assert.Equal<uint>([0, 1, 2], ends.Order());
        Assert.Equal(3, ids.Select(one => string.Join(' ', one)).Distinct().Count());
        for (var sample = 0; sample < 3; sample++)
        {
            request.Sampling = new Sampling { Temperature = 1.5, Seed = 40 + (ulong)sample };
            Assert.Equal(ids[sample], (await Mesh.Generation.AnswerAsync(request, Ct)).Ids);
        }
    }

    [Fact]
    public async Task What_waits_for_a_slow_reader_comes_in_messages_that_it_can_take()
    {
        const int Tokens = 2000;
        var folder = Path.Combine(Mesh.Folder, "long");
        TinyCheckpoint.Write(folder, Path.Combine(Mesh.Folder, "tokenizer"), width: 16, layers: 1, seed: 6, context: 2 * Tokens);
        await using var role = GenerationRole.Build(new() { Redis = Mesh.Mesh.Store.Split(' ')[1], Models = [new("long", folder)] });
        await role.StartAsync(Ct);
        CountTensors();
        var request = Greedy("The cat");
        (request.Model, request.Sampling.Logprobs, request.Stopping) = ("long", 20, new() { MaxTokens = Tokens, IgnoreEos = true });
        using var slow = GrpcChannel.ForAddress(role.Address);
        using var call = new GenerationService.GenerationServiceClient(slow).Generate(request, cancellationToken: Ct);
        Assert.True(await call.ResponseStream.MoveNext(Ct));
        using var other = GrpcChannel.ForAddress(role.Address);
        await new GenerationService.GenerationServiceClient(other).AnswerAsync(request, Ct); // of the same length and begun after: all of the first is there

        var counts = new List<int>();
        await foreach (var part in call.ResponseStream.ReadAllAsync(Ct))
        {
            counts.Add(part.Text?.TokenIds.Count ?? 0);
        }

        Assert.Equal(Tokens, counts.Sum());
        Assert.Equal(512, counts.Max());
    }

    [Fact]
    public async Task Scores_are_the_logprobs_of_the_answer()
    {
        var request = Greedy("Once upon");
        request.Sampling.Logprobs = 2;
        using var call = Mesh.Generation.Generate(request, cancellationToken: Ct);
        var ids = new List<uint>();
        var logprobs = new List<TokenLogprobs>();
        await foreach (var part in call.ResponseStream.ReadAllAsync(Ct))
        {
            ids.AddRange(part.Text?.TokenIds ?? []);
            logprobs.AddRange(part.Text?.Logprobs ?? []);
        }

        Assert.Equal(ids.Count, logprobs.Count);
        Assert.All(ids.Zip(logprobs), pair => Assert.Equal((pair.First, pair.Second.Logprob), (pair.Second.Top[0].TokenId, pair.Second.Top[0].Logprob)));
        Assert.All(logprobs, token => Assert.True(token.Top.Count == 2 && token.Top[1].Logprob <= token.Logprob));

        var second = logprobs[0].Top[1].TokenId;
        var scored = await Mesh.Generation.ScoreAsync(
            new ScoreRequest
            {
                Model = "target",
                Prompt = "Once upon",
                Continuations = { new Continuation { Ids = new TokenIds { Ids = { ids } } }, new Continuation { Ids = new TokenIds { Ids = { second } } } },
            },
            cancellationToken: Ct);
        Assert.Equal([true, false], scored.Scores.Select(score => score.Greedy));
        Assert.All(scored.Scores[0].Tokens.Zip(logprobs), pair => Assert.Equal(pair.Second.Logprob, pair.First.Logprob, 1e-4));
        Assert.Equal(logprobs.Sum(token => token.Logprob), scored.Scores[0].Logprob, 1e-3);
        Assert.Equal(logprobs[0].Top[1].Logprob, scored.Scores[1].Logprob, 1e-4);
    }

    [Fact]
    public async Task Steering_changes_scores_and_says_so()
    {
        var vector = await LearnTargetAsync("score/steered");
        var request = new ScoreRequest { Model = "target", Prompt = "The cat", Continuations = { new Continuation { Text = " sat on" } } };
        var plain = await Mesh.Generation.ScoreAsync(request, cancellationToken: Ct);
        request.Steering.Add(new Steering { Vector = vector.Name, Coefficient = 100 });
        var steered = await Mesh.Generation.ScoreAsync(request, cancellationToken: Ct);

        Assert.NotEqual(plain.Scores[0].Logprob, steered.Scores[0].Logprob);
        Assert.Equal(vector.Digest, Assert.Single(steered.Scores[0].Steering).VectorDigest);
    }

    [Fact]
    public async Task A_stop_token_ends_the_answer_before_it()
    {
        var request = Greedy("She said");
        var whole = await Mesh.Generation.AnswerAsync(request, Ct);
        request.Stopping.StopTokenIds.Add(whole.Ids[5]);
        var stopped = await Mesh.Generation.AnswerAsync(request, Ct);

        var before = whole.Ids.TakeWhile(id => id != whole.Ids[5]).ToArray();
        Assert.Equal(before, stopped.Ids);
        Assert.Equal((FinishReason.Stop, (uint)before.Length + 1), (stopped.Finished.Reason, stopped.Finished.GeneratedTokens));
    }

    [Fact]
    public async Task A_change_of_steering_holds_from_the_position_that_the_answer_says()
    {
        var vector = await LearnTargetAsync("converse/changed");
        var request = Greedy("The children");
        request.Stopping.MaxTokens = 80;
        var plain = await Mesh.Generation.AnswerAsync(request, Ct);

        // Now and then the whole answer is there before the change.
        var (ids, change, finished) = await ChangedAsync();
        for (var again = 0; !change.HasFromPosition && again < 50; again++)
        {
            (ids, change, finished) = await ChangedAsync();
        }

        Assert.True(change.HasFromPosition);
        var from = (int)change.FromPosition;
        var prompt = (int)plain.Started.PromptTokens;
        Assert.InRange(from, prompt, prompt + 79);
        // The token at `from` is read with the new steering: the one after it is the first that can differ.
        Assert.Equal(plain.Ids.Take(from - prompt + 1), ids.Take(from - prompt + 1));
        Assert.NotEqual(plain.Ids, ids);
        Assert.Equal((uint)(prompt + 79 - from), Assert.Single(finished.Steering).Positions);

        // The same by a range, in one go.
        request.Steering.Add(new Steering { Vector = vector.Name, Coefficient = 300, Positions = PositionRule.Ranges, Ranges = { new PositionRange { Start = (uint)from } } });
        Assert.Equal((await Mesh.Generation.AnswerAsync(request, Ct)).Ids, ids);

        async Task<(List<uint> Ids, SteeringChanged Change, GenerationFinished Finished)> ChangedAsync()
        {
            using var call = Mesh.Generation.Converse(cancellationToken: Ct);
            await call.RequestStream.WriteAsync(new() { Start = request }, Ct);
            await call.RequestStream.WriteAsync(
                new() { Change = new SteeringChange { Steering = { new Steering { Vector = vector.Name, Coefficient = 300 } } } }, Ct);
            var (all, changes, end) = await ReadAsync(call);
            return (all, Assert.Single(changes), end);
        }
    }

    [Fact]
    public async Task A_change_that_comes_too_late_says_so_and_a_wrong_one_ends_the_call()
    {
        var request = Greedy("The children");
        request.Stopping.MaxTokens = 80;
        using var wrong = Mesh.Generation.Converse(cancellationToken: Ct);
        await wrong.RequestStream.WriteAsync(new() { Start = request }, Ct);
        await wrong.RequestStream.WriteAsync(new() { Change = new SteeringChange { Steering = { new Steering { Vector = "none", Coefficient = 1 } } } }, Ct);
        var error = await Assert.ThrowsAsync<RpcException>(() => ReadAsync(wrong));
        Assert.Equal(StatusCode.NotFound, error.StatusCode);
        Assert.Contains("change.steering[0].vector", error.Status.Detail, StringComparison.Ordinal);
    }

    private static async Task<(List<uint> Ids, List<SteeringChanged> Changes, GenerationFinished Finished)> ReadAsync(
        AsyncDuplexStreamingCall<ConverseRequest, ConverseResponse> call)
    {
        var (ids, changes, finished) = (new List<uint>(), new List<SteeringChanged>(), new GenerationFinished());
        await foreach (var part in call.ResponseStream.ReadAllAsync(Ct))
        {
            ids.AddRange(part.Answer?.Text?.TokenIds ?? []);
            finished = part.Answer?.Finished ?? finished;
            if (part.Changed is { } changed)
            {
                changes.Add(changed);
            }
        }

        return (ids, changes, finished);
    }
}
