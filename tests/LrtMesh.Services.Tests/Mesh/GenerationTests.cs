using Grpc.Core;
using LrtMesh.TestKit;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Services.Tests.Mesh;

public sealed class GenerationTests(MeshFixture mesh) : MeshTests(mesh)
{
    [Fact]
    public async Task An_answer_starts_streams_and_finishes()
    {
        var request = Greedy("The cat");
        request.RequestId = "mine";
        var answer = await Mesh.Generation.AnswerAsync(request, Ct);

        Assert.Equal("mine", answer.Started.RequestId);
        Assert.Equal(16, answer.Ids.Count);
        Assert.Equal((FinishReason.Length, 16u), (answer.Finished.Reason, answer.Finished.GeneratedTokens));
        Assert.Equal(answer.Started.PromptTokens, answer.Finished.PromptTokens);
        Assert.True(answer.Finished.TotalTime.ToTimeSpan() >= answer.Finished.TimeToFirstToken.ToTimeSpan());
        var joined = await new ModelService.ModelServiceClient(Mesh.GenerationChannel).TokenizeAsync(
            new() { Model = "target", TokenIds = new TokenIds { Ids = { answer.Ids } } }, cancellationToken: Ct);
        Assert.Equal(joined.Text, answer.Text);
    }

    [Fact]
    public async Task A_seed_repeats_an_answer_and_the_one_drawn_is_told()
    {
        var request = Greedy("A dog");
        request.Sampling = new Sampling { Temperature = 1.5 };
        var drawn = await Mesh.Generation.AnswerAsync(request, Ct);
        request.Sampling.Seed = drawn.Started.Seed;

        Assert.Equal(drawn.Ids, (await Mesh.Generation.AnswerAsync(request, Ct)).Ids);
    }

    [Fact]
    public async Task A_vector_changes_the_answer_and_the_answer_says_how()
    {
        var vector = await LearnTargetAsync("steer/native");
        var plain = await Mesh.Generation.AnswerAsync(Greedy("The cat"), Ct);
        var steered = await Mesh.Generation.AnswerAsync(Greedy("The cat", new Steering { Vector = vector.Name, Coefficient = 200 }), Ct);

        Assert.Empty(plain.Finished.Steering);
        Assert.NotEqual(plain.Ids, steered.Ids);
        var applied = Assert.Single(steered.Finished.Steering);
        Assert.Equal((vector.Name, vector.Digest, "", 2u), (applied.Vector, applied.VectorDigest, applied.MapDigest, applied.Layer));
        Assert.True(applied.MeanRelativeChange > 1);
    }

    [Fact]
    public async Task A_given_vector_steers_as_the_stored_one()
    {
        var vector = await LearnTargetAsync("steer/given");
        var elements = (await Mesh.Vectors.GetVectorAsync(new() { Name = vector.Name }, cancellationToken: Ct)).Elements;
        var stored = await Mesh.Generation.AnswerAsync(Greedy("The cat", new Steering { Vector = vector.Name, Coefficient = 200 }), Ct);
        var given = await Mesh.Generation.AnswerAsync(Greedy("The cat", new Steering { Given = elements, Layer = vector.Layer, Coefficient = 200 }), Ct);

        Assert.Equal(stored.Ids, given.Ids);
        Assert.Equal(("", stored.Finished.Steering[0].MeanRelativeChange), (given.Finished.Steering[0].Vector, given.Finished.Steering[0].MeanRelativeChange));
    }

    [Theory]
    [InlineData(PositionRule.Unspecified, -1, 15)]
    [InlineData(PositionRule.Prompt, -1, 0)]
    [InlineData(PositionRule.Generated, 0, 15)]
    [InlineData(PositionRule.LastPromptToken, 0, 1)]
    [InlineData(PositionRule.FromLastPromptToken, 0, 16)]
    public async Task Steered_positions_are_counted(PositionRule rule, int prompts, int others)
    {
        // The last of 16 generated tokens is never read by the model, so 15 of them can be steered.
        var vector = await LearnTargetAsync("steer/counted");
        var answer = await Mesh.Generation.AnswerAsync(Greedy("The cat sat", new Steering { Vector = vector.Name, Coefficient = 1, Positions = rule }), Ct);

        Assert.Equal((uint)(others - (prompts * answer.Started.PromptTokens)), Assert.Single(answer.Finished.Steering).Positions);
    }

    [Fact]
    public async Task Coefficient_0_changes_nothing()
    {
        var vector = await LearnTargetAsync("steer/zero");
        var plain = await Mesh.Generation.AnswerAsync(Greedy("Once upon"), Ct);
        var steered = await Mesh.Generation.AnswerAsync(Greedy("Once upon", new Steering { Vector = vector.Name, Coefficient = 0 }), Ct);

        Assert.Equal(plain.Ids, steered.Ids);
        Assert.Equal(0, Assert.Single(steered.Finished.Steering).MeanRelativeChange);
    }

    [Fact]
    public async Task Steering_leaves_the_next_request_and_hidden_states_as_they_were()
    {
        var vector = await LearnTargetAsync("steer/left");
        var spec = new ExtractionSpec { Model = "target", Layers = { 3 } };
        var before = await Mesh.Generation.AnswerAsync(Greedy("He asked"), Ct);
        var states = await Mesh.TargetExtraction.ReadAsync(spec, [["He asked"]], Ct);
        await Mesh.Generation.AnswerAsync(Greedy("He asked", new Steering { Vector = vector.Name, Coefficient = 500 }), Ct);

        Assert.Equal(before.Ids, (await Mesh.Generation.AnswerAsync(Greedy("He asked"), Ct)).Ids);
        Assert.Equal(states[0].Layers[0], (await Mesh.TargetExtraction.ReadAsync(spec, [["He asked"]], Ct))[0].Layers[0]);
    }

    [Fact]
    public async Task A_stop_string_ends_the_answer_before_it_also_across_tokens()
    {
        var request = Greedy("She said");
        var whole = await Mesh.Generation.AnswerAsync(request, Ct);
        var stop = whole.Text.Substring(4, 3); // tokens are one to few characters: this spans some
        request.Stopping.Stop.Add(["never comes up", stop]);
        var stopped = await Mesh.Generation.AnswerAsync(request, Ct);

        Assert.Equal(FinishReason.Stop, stopped.Finished.Reason);
        Assert.Equal(whole.Text[..whole.Text.IndexOf(stop, StringComparison.Ordinal)], stopped.Text);
        Assert.True(stopped.Ids.Count <= stopped.Finished.GeneratedTokens);
    }

    [Fact]
    public async Task A_cancelled_call_ends_and_frees_its_place()
    {
        var request = Greedy("The children");
        request.Stopping.MaxTokens = 80;
        for (var i = 0; i < 20; i++)
        {
            using var call = Mesh.Generation.Generate(request, cancellationToken: Ct);
            Assert.True(await call.ResponseStream.MoveNext(Ct));
        }

        // Had the twenty not left, their steps would be part of this answer's time; their tensors are checked after the test.
        Assert.Equal(16, (await Mesh.Generation.AnswerAsync(Greedy("The children"), Ct)).Ids.Count);
    }

    [Fact]
    public async Task A_deadline_ends_a_call()
    {
        // In company, since alone the whole answer may be there in a millisecond or two.
        var request = Greedy("The children");
        request.Stopping.MaxTokens = 80;
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(Ct);
        var company = Enumerable.Range(0, 256).Select(_ => Mesh.Generation.AnswerAsync(request, enough.Token)).ToArray();
        using var call = Mesh.Generation.Generate(request, deadline: DateTime.UtcNow.AddMilliseconds(2), cancellationToken: Ct);
        var error = await Assert.ThrowsAsync<RpcException>(async () =>
        {
            while (await call.ResponseStream.MoveNext(Ct))
            {
            }
        });

        Assert.Equal(StatusCode.DeadlineExceeded, error.StatusCode);
        await enough.CancelAsync();
        await Task.WhenAll(company).ContinueWith(_ => { }, Ct, TaskContinuationOptions.None, TaskScheduler.Default);
    }

    [Fact]
    public async Task Of_64_at_once_each_gets_its_own_answer()
    {
        var vector = await LearnTargetAsync("steer/many");
        var requests = TinyCheckpoint.Texts(64).Select((text, i) => i % 2 == 0
            ? Greedy(text)
            : Greedy(text, new Steering { Vector = vector.Name, Coefficient = i })).ToArray();
        var alone = new List<Answer>();
        foreach (var request in requests)
        {
            alone.Add(await Mesh.Generation.AnswerAsync(request, Ct));
        }

        var together = await Task.WhenAll(requests.Select(request => Mesh.Generation.AnswerAsync(request, Ct)));

        // Products of other shapes differ in the last bits, which may tip a near tie: then all that follows differs.
        var same = together.Zip(alone).Count(pair => pair.First.Ids.SequenceEqual(pair.Second.Ids));
        Assert.InRange(same, 61, 64);
        Assert.All(together.Zip(alone), pair => Assert.Equal(pair.Second.Ids[0], pair.First.Ids[0]));
        Assert.True(alone.Select(answer => string.Join(',', answer.Ids)).Distinct().Count() > 32);
    }
}
