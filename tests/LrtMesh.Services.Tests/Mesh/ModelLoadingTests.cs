using System.Buffers.Binary;
using System.Diagnostics;
using System.Text.Json.Nodes;
using Grpc.Core;
using Grpc.Net.Client;
using LrtMesh.Client;
using LrtMesh.Extraction;
using LrtMesh.Generation;
using LrtMesh.ServiceDefaults;
using LrtMesh.ServiceDefaults.Access;
using LrtMesh.Services.Tests.Access;
using LrtMesh.TestKit;
using LrtMesh.V1;
using TorchSharp;
using Xunit;

namespace LrtMesh.Services.Tests.Mesh;

/// <summary>Models that are loaded and unloaded while a role serves.</summary>
public sealed class ModelLoadingTests(MeshFixture mesh) : AccessTests(mesh)
{
    private ModelService.ModelServiceClient Roles => new(Mesh.GenerationChannel);

    [Fact]
    public async Task A_loaded_model_serves_beside_the_others_and_an_unloaded_one_leaves_nothing()
    {
        var before = torch.Tensor.TotalCount;
        var target = await Mesh.Generation.AnswerAsync(Greedy("The cat sat"), Ct);
        var first = (await Roles.LoadModelAsync(new() { Name = "more", Checkpoint = "spare" }, cancellationToken: Ct)).Model;
        Assert.True(torch.Tensor.TotalCount > before, "no tensor has come");
        Assert.Equal(["more", "target"], await ListAsync());
        Assert.Equal((2u, 16u, WeightDtype.Float32, "cpu"), (first.Layers, first.Width, first.WeightDtype, first.Device));

        var request = Greedy("The cat sat");
        request.Model = "more";
        var answer = await Mesh.Generation.AnswerAsync(request, Ct);
        Assert.Equal(first.Digest, answer.Started.ModelDigest);
        Assert.Equal(target.Ids, (await Mesh.Generation.AnswerAsync(Greedy("The cat sat"), Ct)).Ids);
        Assert.NotEqual(target.Ids, answer.Ids);

        await Roles.UnloadModelAsync(new() { Name = "more" }, cancellationToken: Ct);
        Assert.Equal(["target"], await ListAsync());
        Assert.Equal(StatusCode.NotFound, (await Assert.ThrowsAsync<RpcException>(() => Mesh.Generation.AnswerAsync(request, Ct))).StatusCode);

        // The name is free again, for another type too.
        var second = (await Roles.LoadModelAsync(
            new() { Name = "more", Checkpoint = Path.Combine(Mesh.ModelRoot, "spare"), Dtype = WeightDtype.Bfloat16, Device = "cpu" }, cancellationToken: Ct)).Model;
        Assert.Equal((WeightDtype.Bfloat16, first.Digest), (second.WeightDtype, second.Digest));
        await Roles.UnloadModelAsync(new() { Name = "more" }, cancellationToken: Ct);
        // that no tensor is left is seen as the test ends
    }

    [Fact]
    public async Task A_model_is_freed_once_the_calls_that_use_it_have_ended()
    {
        await using var role = await StartAsync(drain: TimeSpan.FromSeconds(60));
        using var channel = Open(role);
        var models = new ModelService.ModelServiceClient(channel);
        using var call = await ReadAsync(channel);
        var loaded = torch.Tensor.TotalCount;
        var unloading = models.UnloadModelAsync(new() { Name = "target" }, cancellationToken: Ct).ResponseAsync;
        await UntilGoneAsync(models);
        Assert.Contains("is being unloaded", (await RefusedAsync(models.LoadModelAsync(new() { Name = "target", Checkpoint = "spare" }, cancellationToken: Ct))).Status.Detail, StringComparison.Ordinal);
        var late = new GenerationService.GenerationServiceClient(channel).AnswerAsync(Greedy("The cat"), Ct);
        Assert.Equal(StatusCode.NotFound, (await Assert.ThrowsAsync<RpcException>(() => late)).StatusCode);

        // The call that runs gets what it asks for.
        await call.RequestStream.WriteAsync(new() { Batch = new() { Texts = { "The cat sat" } } }, Ct);
        Assert.True(await call.ResponseStream.MoveNext(Ct));
        Assert.NotEmpty(call.ResponseStream.Current.Rows.TokenId);
        Assert.False(unloading.IsCompleted);
        Assert.InRange(torch.Tensor.TotalCount, loaded, long.MaxValue);

        await call.RequestStream.CompleteAsync();
        while (await call.ResponseStream.MoveNext(Ct))
        {
        }

        await unloading;
        Assert.True(torch.Tensor.TotalCount < loaded, "no tensor has gone");
        Assert.Empty((await models.ListModelsAsync(new(), cancellationToken: Ct)).Models);
    }

    [Fact]
    public async Task A_call_that_goes_on_beyond_the_drain_time_loses_its_model()
    {
        await using var role = await StartAsync(drain: TimeSpan.FromSeconds(0.5));
        using var channel = Open(role);
        var loaded = torch.Tensor.TotalCount;
        using var call = await ReadAsync(channel);
        var clock = Stopwatch.StartNew();
        await new ModelService.ModelServiceClient(channel).UnloadModelAsync(new() { Name = "target" }, cancellationToken: Ct);
        Assert.InRange(clock.Elapsed, TimeSpan.FromSeconds(0.4), TimeSpan.FromSeconds(20));
        Assert.True(torch.Tensor.TotalCount < loaded, "no tensor has gone");

        await call.RequestStream.WriteAsync(new() { Batch = new() { Texts = { "The cat sat" } } }, Ct);
        Assert.Equal(StatusCode.Unavailable, (await Assert.ThrowsAsync<RpcException>(() => call.ResponseStream.MoveNext(Ct))).StatusCode);
    }

    [Fact]
    public async Task Links_lead_anywhere_below_the_root_and_nowhere_else()
    {
        var source = Path.Combine(Mesh.Folder, "source");
        Directory.CreateSymbolicLink(Path.Combine(Mesh.ModelRoot, "out"), source);
        Directory.CreateSymbolicLink(Path.Combine(Mesh.ModelRoot, "up"), "../source");
        Directory.CreateSymbolicLink(Path.Combine(Mesh.ModelRoot, "alias"), "spare");
        var half = Directory.CreateDirectory(Path.Combine(Mesh.ModelRoot, "half")).FullName;
        foreach (var file in Directory.GetFiles(source))
        {
            File.CreateSymbolicLink(Path.Combine(half, Path.GetFileName(file)), Path.Combine(Path.GetFileName(file) == "model.safetensors" ? source : Path.Combine(Mesh.ModelRoot, "spare"), Path.GetFileName(file)));
        }

        foreach (var (checkpoint, named) in new[] { ("out", "'out'"), ("up", "'up'"), ("half", "'model.safetensors'") })
        {
            var refused = await RefusedAsync(Roles.LoadModelAsync(new() { Name = "more", Checkpoint = checkpoint }, cancellationToken: Ct));
            Assert.Equal(StatusCode.FailedPrecondition, refused.StatusCode);
            Assert.Contains($"checkpoint: {named} lies outside", refused.Status.Detail, StringComparison.Ordinal);
        }

        await Roles.LoadModelAsync(new() { Name = "more", Checkpoint = "alias" }, cancellationToken: Ct);
        await Roles.UnloadModelAsync(new() { Name = "more" }, cancellationToken: Ct);
    }

    [Fact]
    public async Task Weights_that_do_not_fit_into_the_memory_left_are_refused_before_any_is_taken()
    {
        // A file of zeros that takes no room on disk; its weights in float32 take just what the process may have, part of which is in use.
        const int Width = 64;
        var memory = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        WriteWide("wide", Width, (int)Math.Min(int.MaxValue - 1, memory / sizeof(float) / Width / 2));
        var before = Environment.WorkingSet;
        var refused = await RefusedAsync(Roles.LoadModelAsync(new() { Name = "more", Checkpoint = "wide", Dtype = WeightDtype.Float32 }, cancellationToken: Ct));

        Assert.Equal(StatusCode.ResourceExhausted, refused.StatusCode);
        Assert.Matches($@"the weights take {memory / 1e9:F2} GB in Float32, and of the {memory / 1e9:F2} GB .* use [0-9.]+ GB are left", refused.Status.Detail);
        Assert.InRange(Environment.WorkingSet, 0, before + (64L << 20));
        Assert.Equal(["target"], await ListAsync());
    }

    [Fact]
    public async Task A_load_that_is_cancelled_leaves_nothing()
    {
        WriteWide("slow", 64, 1 << 20); // 256 MiB, read and hashed
        var (tensors, memory) = (torch.Tensor.TotalCount, Environment.WorkingSet);
        using var cancel = new CancellationTokenSource();
        var loading = Roles.LoadModelAsync(new() { Name = "more", Checkpoint = "slow", Dtype = WeightDtype.Bfloat16 }, cancellationToken: cancel.Token);
        Assert.True(SpinWait.SpinUntil(() => torch.Tensor.TotalCount > tensors, TimeSpan.FromSeconds(20)), "nothing is read");
        await cancel.CancelAsync();
        Assert.Equal(StatusCode.Cancelled, (await RefusedAsync(loading)).StatusCode);

        // One at a time: this one comes after what was left of that.
        await Roles.LoadModelAsync(new() { Name = "other", Checkpoint = "spare" }, cancellationToken: Ct);
        await Roles.UnloadModelAsync(new() { Name = "other" }, cancellationToken: Ct);
        Assert.Equal(["target"], await ListAsync());
        Assert.InRange(torch.Tensor.TotalCount, 0, tensors);
        Assert.InRange(Environment.WorkingSet, 0, memory + (96L << 20));

        // Loaded to its end and unloaded, its memory returns too.
        await Roles.LoadModelAsync(new() { Name = "more", Checkpoint = "slow", Dtype = WeightDtype.Bfloat16 }, cancellationToken: Ct);
        Assert.InRange(Environment.WorkingSet, memory + (192L << 20), long.MaxValue);
        await Roles.UnloadModelAsync(new() { Name = "more" }, cancellationToken: Ct);
        Assert.InRange(Environment.WorkingSet, 0, memory + (96L << 20));
    }

    [Fact]
    public async Task Without_a_model_root_nothing_is_loaded_or_unloaded()
    {
        await using var role = ExtractionRole.Build(Role("source") with { ModelRoot = null });
        await role.StartAsync(Ct);
        using var channel = Open(role);
        var models = new ModelService.ModelServiceClient(channel);
        foreach (var refused in new[]
        {
            await RefusedAsync(models.LoadModelAsync(new() { Name = "more", Checkpoint = "spare" }, cancellationToken: Ct)),
            await RefusedAsync(models.UnloadModelAsync(new() { Name = "source" }, cancellationToken: Ct)),
        })
        {
            Assert.Equal(StatusCode.FailedPrecondition, refused.StatusCode);
            Assert.Contains("without --model-root", refused.Status.Detail, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Loading_takes_an_admin_and_is_audited()
    {
        await using var role = ExtractionRole.Build(Role("source") with { Access = new() { Tokens = Issuer.Options } });
        await role.StartAsync(Ct);
        var logs = new RecordedLogs().Of(role);
        using var user = Open(role, Issuer.Token("extract generate map:write", "a", subject: "bob"));
        using var admin = Open(role, Issuer.Token(Scope.Admin, "a", subject: "ada"));
        var load = new LoadModelRequest { Name = "more", Checkpoint = "spare" };
        var unload = new UnloadModelRequest { Name = "more" };
        Assert.Equal(StatusCode.PermissionDenied, (await RefusedAsync(new ModelService.ModelServiceClient(user).LoadModelAsync(load, cancellationToken: Ct))).StatusCode);
        await new ModelService.ModelServiceClient(admin).LoadModelAsync(load, cancellationToken: Ct);
        Assert.Equal(StatusCode.PermissionDenied, (await RefusedAsync(new ModelService.ModelServiceClient(user).UnloadModelAsync(unload, cancellationToken: Ct))).StatusCode);
        await new ModelService.ModelServiceClient(admin).UnloadModelAsync(unload, cancellationToken: Ct);

        string[] audited = [.. logs.Lines.Where(line => line.StartsWith("LrtMesh.Audit ", StringComparison.Ordinal)).Select(line => line["LrtMesh.Audit Information: /lrtmesh.v1.ModelService/".Length..].Split(" from ")[0] + line[line.LastIndexOf(':')..].TrimEnd())];
        Assert.Equal(
            [
                "LoadModel of \"more\" by \"bob\" of tenant \"a\": PermissionDenied", "LoadModel of \"more\" by \"ada\" of tenant \"a\": OK",
                "UnloadModel of \"more\" by \"bob\" of tenant \"a\": PermissionDenied", "UnloadModel of \"more\" by \"ada\" of tenant \"a\": OK",
            ],
            audited);
    }

    private ModelRoleOptions Role(string model) => new()
    {
        Redis = Mesh.Mesh.Store.Split(' ')[1], Models = [new(model, Path.Combine(Mesh.Folder, model))], ModelRoot = Mesh.ModelRoot,
    };

    private async Task<RoleHost> StartAsync(TimeSpan drain)
    {
        var role = GenerationRole.Build(Role("target") with { Drain = new() { Time = drain } });
        await role.StartAsync(Ct);
        return role;
    }

    private static GrpcChannel Open(RoleHost role, string? token = null) =>
        MeshChannel.Open(role.Address.GetLeftPart(UriPartial.Authority), token is null ? null : new() { Token = token });

    private async Task<IEnumerable<string>> ListAsync() => (await Roles.ListModelsAsync(new(), cancellationToken: Ct)).Models.Select(model => model.Name);

    private static async Task<RpcException> RefusedAsync<T>(AsyncUnaryCall<T> call) => await Assert.ThrowsAsync<RpcException>(() => call.ResponseAsync);

    /// <summary>A stream of the target's hidden states that has begun.</summary>
    private static async Task<AsyncDuplexStreamingCall<ExtractHiddenStatesRequest, ExtractHiddenStatesResponse>> ReadAsync(GrpcChannel channel)
    {
        var call = new ExtractionService.ExtractionServiceClient(channel).ExtractHiddenStates(cancellationToken: Ct);
        await call.RequestStream.WriteAsync(new() { Spec = new() { Model = "target", Layers = { 1 } } }, Ct);
        Assert.True(await call.ResponseStream.MoveNext(Ct));
        return call;
    }

    private static async Task UntilGoneAsync(ModelService.ModelServiceClient models)
    {
        for (var clock = Stopwatch.StartNew(); (await models.ListModelsAsync(new(), cancellationToken: Ct)).Models.Count > 0; await Task.Delay(20, Ct))
        {
            Assert.True(clock.Elapsed < TimeSpan.FromSeconds(20), "the model is still listed");
        }
    }

    /// <summary>Makes a checkpoint of so many tokens, whose embedding and head are zeros that take no room on disk.</summary>
    private void WriteWide(string name, int width, int vocabulary)
    {
        var folder = Path.Combine(Mesh.ModelRoot, name);
        TinyCheckpoint.Write(folder, Path.Combine(Mesh.Folder, "tokenizer"), width, layers: 1, seed: 5);
        var config = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "config.json")))!;
        config["vocab_size"] = vocabulary;
        File.WriteAllText(Path.Combine(folder, "config.json"), config.ToJsonString());

        var path = Path.Combine(folder, "model.safetensors");
        var bytes = File.ReadAllBytes(path);
        var header = JsonNode.Parse(bytes.AsSpan(sizeof(long), (int)BinaryPrimitives.ReadInt64LittleEndian(bytes)))!.AsObject();
        var end = 0L;
        foreach (var (tensor, about) in header.Where(entry => entry.Key != "__metadata__").ToArray())
        {
            if (tensor is "model.embed_tokens.weight" or "lm_head.weight")
            {
                about!["shape"] = new JsonArray(vocabulary, width);
            }

            var length = 2 * about!["shape"]!.AsArray().Aggregate(1L, (product, size) => product * size!.GetValue<int>());
            about["data_offsets"] = new JsonArray(end, end + length);
            end += length;
        }

        var json = System.Text.Encoding.UTF8.GetBytes(header.ToJsonString());
        var start = new byte[sizeof(long)];
        BinaryPrimitives.WriteInt64LittleEndian(start, json.Length);
        using var file = File.Create(path);
        file.Write(start);
        file.Write(json);
        file.SetLength(sizeof(long) + json.Length + end);
    }
}
