using Google.Protobuf.Collections;
using Grpc.Core;
using LrtMesh.Core;
using LrtMesh.Core.Models;
using LrtMesh.Core.Models.Tokenizers;
using LrtMesh.ServiceDefaults;
using LrtMesh.V1;

namespace LrtMesh.Extraction;

/// <summary>Lists, describes, loads and unloads the models of a role, and splits texts.</summary>
internal sealed class ModelServiceImpl(ModelRegistry models, ModelRoleOptions options) : ModelService.ModelServiceBase
{
    // Tokens of one answer: about 20 bytes each, which keeps it below the 4 MiB that receivers accept.
    private const int MaxTokens = 65536;

    /// <inheritdoc/>
    public override Task<ListModelsResponse> ListModels(ListModelsRequest request, ServerCallContext context) =>
        Task.FromResult(new ListModelsResponse { Models = { models.All.Select(model => model.Description) } });

    /// <inheritdoc/>
    public override Task<GetModelResponse> GetModel(GetModelRequest request, ServerCallContext context) =>
        Task.FromResult(new GetModelResponse { Model = models.Find(request.Name, "name").Description });

    /// <inheritdoc/>
    public override async Task<LoadModelResponse> LoadModel(LoadModelRequest request, ServerCallContext context)
    {
        var root = options.ModelRoot ?? throw LrtMeshException.Mismatch("checkpoint", "this role loads no models: it was started without --model-root");
        var check = new RequestCheck();
        check.Name(request.Name, "name");
        check.Known(request.Dtype, "dtype");
        check.Throw();
        var dtype = request.Dtype switch
        {
            WeightDtype.Unspecified => options.Dtype,
            WeightDtype.Float32 => ComputeDtype.Float32,
            WeightDtype.Bfloat16 => ComputeDtype.BFloat16,
            _ => ComputeDtype.Int8,
        };
        var device = request.Device.Length > 0 ? request.Device : options.Device;
        var source = new ModelSource(request.Name, ModelRoot.Find(request.Checkpoint, root, "checkpoint"));
        return new LoadModelResponse { Model = await models.LoadAsync(source, dtype, device, context.CancellationToken) };
    }

    /// <inheritdoc/>
    public override async Task<UnloadModelResponse> UnloadModel(UnloadModelRequest request, ServerCallContext context)
    {
        if (options.ModelRoot is null)
        {
            throw LrtMeshException.Mismatch("name", "this role unloads no models: it was started without --model-root");
        }

        await models.UnloadAsync(request.Name, "name").WaitAsync(context.CancellationToken);
        return new UnloadModelResponse();
    }

    /// <inheritdoc/>
    public override Task<TokenizeResponse> Tokenize(TokenizeRequest request, ServerCallContext context)
    {
        var tokenizer = models.Find(request.Model, "model").Tokenizer;
        return Task.FromResult(request.InputCase switch
        {
            TokenizeRequest.InputOneofCase.Text => Split(tokenizer, request.Text, request.AddSpecialTokens),
            TokenizeRequest.InputOneofCase.TokenIds => Join(tokenizer, request.TokenIds.Ids),
            _ => throw LrtMeshException.Invalid("input", "must be text or token_ids"),
        });
    }

    private static TokenizeResponse Split(Tokenizer tokenizer, string text, bool addSpecialTokens)
    {
        var tokens = tokenizer.Encode(text, addSpecialTokens);
        CheckCount(tokens.Count, "text");
        var response = new TokenizeResponse { Text = text };
        var stream = tokenizer.NewStream();
        foreach (var token in tokens)
        {
            response.Tokens.Add(new Token
            {
                Id = (uint)token.Id,
                Text = TextOf(tokenizer, stream, token.Id),
                CharStart = (uint)token.Start,
                CharEnd = (uint)token.End,
            });
        }

        return response;
    }

    private static TokenizeResponse Join(Tokenizer tokenizer, RepeatedField<uint> ids)
    {
        CheckCount(ids.Count, "token_ids.ids");
        var wrong = ids.Select((id, i) => (Id: id, Index: i)).Where(entry => entry.Id >= tokenizer.VocabularySize)
            .Select(entry => new Violation($"token_ids.ids[{entry.Index}]", $"must be below {tokenizer.VocabularySize}, the size of the vocabulary, not {entry.Id}")).ToArray();
        if (wrong.Length > 0)
        {
            throw new LrtMeshException(ErrorReason.InvalidArgument, wrong);
        }

        var response = new TokenizeResponse();
        var stream = tokenizer.NewStream();
        var position = 0;
        foreach (var id in ids)
        {
            var text = TextOf(tokenizer, stream, (int)id);
            var covers = tokenizer.IsSpecial((int)id) ? 0 : text.Length;
            response.Tokens.Add(new Token { Id = id, Text = text, CharStart = (uint)position, CharEnd = (uint)(position + covers) });
            position += covers;
        }

        response.Text = tokenizer.Decode(ids.Select(id => (int)id));
        return response;
    }

    private static string TextOf(Tokenizer tokenizer, TextStream stream, int id) =>
        tokenizer.IsSpecial(id) ? tokenizer.Decode([id], skipSpecialTokens: false) : stream.Push(id);

    private static void CheckCount(int tokens, string field)
    {
        if (tokens > MaxTokens)
        {
            throw LrtMeshException.Invalid(field, $"has {tokens} tokens, and an answer holds at most {MaxTokens}: send it in parts");
        }
    }
}
