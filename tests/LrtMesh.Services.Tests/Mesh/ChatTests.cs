using Grpc.Core;
using LrtMesh.TestKit;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Services.Tests.Mesh;

/// <summary>Chats are read by the model's template wherever a text could stand, with no special tokens but the template's.</summary>
public sealed class ChatTests(MeshFixture mesh) : MeshTests(mesh)
{
    private const string Rendered = "user: The cat?\nassistant: A dog.\nuser: And the rain?\nassistant:";

    [Fact]
    public async Task A_chat_is_answered_as_the_tokens_of_its_rendering()
    {
        var models = new ModelService.ModelServiceClient(Mesh.GenerationChannel);
        var tokens = (await models.TokenizeAsync(new() { Model = "target", Text = Rendered }, cancellationToken: Ct)).Tokens;
        var request = Greedy("");
        request.PromptIds = new TokenIds { Ids = { tokens.Select(token => token.Id) } };
        var expected = await Mesh.Generation.AnswerAsync(request, Ct);
        request.Chat = Conversation();
        var answer = await Mesh.Generation.AnswerAsync(request, Ct);

        Assert.Equal((uint)tokens.Count, answer.Started.PromptTokens);
        Assert.Equal(expected.Ids, answer.Ids);
    }

    [Fact]
    public async Task A_vector_learnt_from_chats_is_that_of_their_renderings()
    {
        var request = new LearnVectorRequest { Name = "chat/learnt", Model = "source", Layers = { 1 }, Position = LearnPosition.Mean };
        request.Pairs.AddRange(Pairs(6).Select(pair => new ContrastPair { PositiveChat = One(pair.Positive), NegativeChat = One(pair.Negative) }));
        var ofChats = Assert.Single((await Mesh.Extraction.LearnVectorAsync(request, cancellationToken: Ct)).Vectors).Vector;

        request.Name = "chat/texts";
        request.Pairs.Clear();
        request.Pairs.AddRange(Pairs(6).Select(pair => new ContrastPair { Positive = $"user: {pair.Positive}\n", Negative = $"user: {pair.Negative}\n" }));
        var ofTexts = Assert.Single((await Mesh.Extraction.LearnVectorAsync(request, cancellationToken: Ct)).Vectors).Vector;
        Assert.NotEqual(ofTexts.Provenance.DataDigest, ofChats.Provenance.DataDigest);
        Assert.Equal(ofTexts.Width, ofChats.Width);

        request.Pairs[3].PositiveChat = One("x");
        var error = await Assert.ThrowsAsync<RpcException>(() => Mesh.Extraction.LearnVectorAsync(request, cancellationToken: Ct).ResponseAsync);
        Assert.Contains("pairs[3].positive", error.Status.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_vector_can_be_learnt_at_the_last_token_of_what_is_said()
    {
        var request = new LearnVectorRequest { Name = "chat/said", Model = "source", Layers = { 1 }, Position = LearnPosition.LastContent };
        request.Pairs.AddRange(Pairs(6).Select(pair => new ContrastPair { PositiveChat = One(pair.Positive), NegativeChat = One(pair.Negative) }));
        var said = Assert.Single((await Mesh.Extraction.LearnVectorAsync(request, cancellationToken: Ct)).Vectors).Vector;
        Assert.Equal(LearnPosition.LastContent, said.Provenance.Position);

        // The template writes "user: ", the content and a new line.
        request.Name = "chat/written";
        request.Pairs.Clear();
        request.Pairs.AddRange(Pairs(6).Select(pair => new ContrastPair { Positive = $"user: {pair.Positive}", Negative = $"user: {pair.Negative}" }));
        var written = Assert.Single((await Mesh.Extraction.LearnVectorAsync(request, cancellationToken: Ct)).Vectors).Vector;
        var (one, other) = (await ElementsAsync(said.Name), await ElementsAsync(written.Name));
        Assert.Equal(1, one.Zip(other, (x, y) => (double)x * y).Sum() / Math.Sqrt(one.Sum(x => (double)x * x) * other.Sum(x => (double)x * x)), 1e-2);

        request.Pairs[2].PositiveChat = One(" ");
        request.Pairs[2].Positive = "";
        var error = await Assert.ThrowsAsync<RpcException>(() => Mesh.Extraction.LearnVectorAsync(request, cancellationToken: Ct).ResponseAsync);
        Assert.Equal(StatusCode.FailedPrecondition, error.StatusCode);
        Assert.Contains("pairs[2].positive_chat", error.Status.Detail, StringComparison.Ordinal);

        async Task<float[]> ElementsAsync(string name) =>
            System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>((await Mesh.Vectors.GetVectorAsync(new() { Name = name }, cancellationToken: Ct)).Elements.Data.Span).ToArray();
    }

    [Fact]
    public async Task A_map_is_fitted_on_chats_beside_texts()
    {
        var job = await Mesh.Mapping.RunJobAsync(
            new CreateMapJobRequest
            {
                Map = "chat/map",
                Source = new LayerRef { Model = "source", Layer = 1 },
                Target = new LayerRef { Model = "target", Layer = 2 },
                Documents = { TinyCheckpoint.Texts(40).Select((text, i) => i % 3 == 0 ? new Document { Text = text } : new Document { Chat = One(text) }) },
            },
            Ct);
        Assert.Equal((JobState.Succeeded, ""), (job.State, job.Error));
        Assert.Equal(40ul, job.DocumentsDone);
    }

    [Fact]
    public async Task A_model_without_a_template_says_so()
    {
        using var call = Mesh.Extraction.ExtractHiddenStates(cancellationToken: Ct);
        await call.RequestStream.WriteAsync(new() { Spec = new ExtractionSpec { Model = "stranger", Layers = { 0 } } }, Ct);
        await call.RequestStream.WriteAsync(new() { Batch = new TextBatch { Chats = { One("Hello") } } }, Ct);
        await call.RequestStream.CompleteAsync();
        var error = await Assert.ThrowsAsync<RpcException>(async () =>
        {
            while (await call.ResponseStream.MoveNext(Ct))
            {
            }
        });
        Assert.Equal(StatusCode.FailedPrecondition, error.StatusCode);
        Assert.Contains("no chat template", error.Status.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_ablation_changes_the_answer_and_the_answer_says_how_much()
    {
        var vector = await LearnTargetAsync("chat/ablated");
        var steering = new Steering { Vector = vector.Name, Operator = SteeringOperator.Ablate, Coefficient = 1 };
        var once = await Mesh.Generation.AnswerAsync(Greedy("The cat", steering), Ct);
        var twice = await Mesh.Generation.AnswerAsync(Greedy("The cat", steering, steering), Ct);

        Assert.True(Assert.Single(once.Finished.Steering).MeanRelativeChange is > 0 and <= 1);
        // What is taken out is not there to be taken out again.
        Assert.Equal(0, twice.Finished.Steering[1].MeanRelativeChange, 5);
        Assert.Equal(once.Ids, twice.Ids);
    }

    private static Chat One(string content) => new() { Messages = { new ChatMessage { Role = "user", Content = content } } };

    private static Chat Conversation() => new()
    {
        Messages =
        {
            new ChatMessage { Role = "user", Content = "The cat?" }, new ChatMessage { Role = "assistant", Content = "A dog." },
            new ChatMessage { Role = "user", Content = "And the rain?" },
        },
    };
}
