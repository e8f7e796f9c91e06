using System.Diagnostics;
using System.Text.Json.Nodes;
using Google.Protobuf;
using Google.Rpc;
using Grpc.Core;
using Grpc.Net.Client;
using LrtMesh.Client;
using LrtMesh.Core;
using LrtMesh.Core.Maps;
using LrtMesh.Core.Tensors;
using LrtMesh.Extraction;
using LrtMesh.Generation;
using LrtMesh.Mapping;
using LrtMesh.ServiceDefaults;
using LrtMesh.ServiceDefaults.Access;
using LrtMesh.ServiceDefaults.Limits;
using LrtMesh.Services.Tests.Access;
using LrtMesh.TestKit;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Services.Tests.Limits;

/// <summary>What a role lets its clients have of it.</summary>
public sealed class LimitTests(MeshFixture mesh) : AccessTests(mesh)
{
    [Fact]
    public async Task A_message_that_is_too_large_is_refused()
    {
        await using var role = await StartAsync(Options(new()) with { Limits = new() { MessageBytes = 64 << 10 } });
        using var channel = Open(role);
        var vectors = new VectorService.VectorServiceClient(channel);
        await vectors.PutVectorAsync(Put("large/enough", 8 << 10), cancellationToken: Ct);
        var error = await Assert.ThrowsAsync<RpcException>(async () => await vectors.PutVectorAsync(Put("too/large", 20 << 10), cancellationToken: Ct));
        Assert.Equal(StatusCode.ResourceExhausted, error.StatusCode);
    }

    [Fact]
    public async Task A_prompt_and_a_batch_that_are_too_long_are_refused_by_name()
    {
        await using var role = GenerationRole.Build(new()
        {
            Redis = Mesh.Mesh.Store.Split(' ')[1],
            Models = [new("target", Path.Combine(Mesh.Folder, "target"))],
            Serving = new() { PromptTokens = 8 },
            MaxBatch = 2,
        });
        await role.StartAsync(Ct);
        CountTensors();
        using var channel = Open(role);
        var generation = new GenerationService.GenerationServiceClient(channel);
        await generation.AnswerAsync(new() { Model = "target", Prompt = "The cat", Stopping = new() { MaxTokens = 1 } }, Ct);
        var prompt = TinyCheckpoint.Texts(1)[0];
        foreach (var call in new Func<Task>[]
        {
            () => generation.AnswerAsync(new() { Model = "target", Prompt = prompt }, Ct),
            async () => await generation.ScoreAsync(new() { Model = "target", Prompt = prompt, Continuations = { new Continuation { Text = "a" } } }, cancellationToken: Ct),
        })
        {
            var error = await Assert.ThrowsAsync<RpcException>(call);
            Assert.Equal(StatusCode.OutOfRange, error.StatusCode);
            Assert.Contains("at most 8 (--max-prompt-tokens)", error.Status.Detail, StringComparison.Ordinal);
        }

        var extraction = new ExtractionService.ExtractionServiceClient(channel);
        var spec = new ExtractionSpec { Model = "target", Layers = { 0 } };
        await extraction.ReadAsync(spec, [["a", "b"]], Ct);
        var batch = await Assert.ThrowsAsync<RpcException>(() => extraction.ReadAsync(spec, [["a", "b", "c"]], Ct));
        Assert.Contains("must hold 1 to 2 texts, not 3", batch.Status.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_call_that_goes_on_for_too_long_and_one_whose_client_says_nothing_end()
    {
        await using var role = await StartAsync(Options(new()) with { Limits = new() { CallLife = TimeSpan.FromSeconds(1.5), Idle = TimeSpan.FromSeconds(1) } });
        using var channel = Open(role);
        var maps = new MappingService.MappingServiceClient(channel);

        using var silent = maps.StreamMap(cancellationToken: Ct);
        var idle = await Assert.ThrowsAsync<RpcException>(() => silent.ResponseStream.MoveNext(Ct));
        Assert.Equal(StatusCode.DeadlineExceeded, idle.StatusCode);
        Assert.Contains("kept this call waiting for 1 s", idle.Status.Detail, StringComparison.Ordinal);

        using var busy = PushTo(maps);
        await BeginAsync(busy);
        var late = await Assert.ThrowsAsync<RpcException>(async () =>
        {
            while (true)
            {
                await busy.RequestStream.WriteAsync(Row(), Ct);
                await Task.Delay(100, Ct);
            }
        });
        Assert.Equal(StatusCode.DeadlineExceeded, late.StatusCode);
        Assert.Contains("has gone on for 1.5 s", late.Status.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_call_too_many_of_a_connection_waits_for_another_to_end()
    {
        await using var role = await StartAsync(Options(new()) with { Limits = new() { Streams = 2 } });
        using var channel = GrpcChannel.ForAddress(role.Address, new() { HttpHandler = new SocketsHttpHandler { EnableMultipleHttp2Connections = false }, DisposeHttpClient = true });
        var maps = new MappingService.MappingServiceClient(channel);
        using var first = PushTo(maps);
        using var second = PushTo(maps);
        await Task.WhenAll(BeginAsync(first), BeginAsync(second));
        var waited = await Assert.ThrowsAsync<RpcException>(async () => await maps.ListMapsAsync(new(), deadline: DateTime.UtcNow.AddSeconds(1), cancellationToken: Ct));
        Assert.Equal(StatusCode.DeadlineExceeded, waited.StatusCode);
        first.Dispose();
        await maps.ListMapsAsync(new(), deadline: DateTime.UtcNow.AddSeconds(20), cancellationToken: Ct);
    }

    [Fact]
    public async Task A_reader_that_takes_nothing_is_cut_and_one_that_is_slow_is_not()
    {
        await using var role = await StartAsync(Options(new()) with { Limits = new() { Idle = TimeSpan.FromSeconds(1) } });
        using var channel = Open(role);
        var maps = new MappingService.MappingServiceClient(channel);
        await ImportAsync(maps, "wide", 1024); // 4 MiB
        using var slow = maps.ExportMap(new() { Map = "wide" }, cancellationToken: Ct);
        await slow.ResponseHeadersAsync;
        await Task.Delay(TimeSpan.FromSeconds(2), Ct);
        await maps.ListMapsAsync(new(), cancellationToken: Ct); // the connection's other calls go on
        var received = 0;
        await Assert.ThrowsAsync<RpcException>(async () =>
        {
            while (await slow.ResponseStream.MoveNext(Ct))
            {
                received += slow.ResponseStream.Current.CalculateSize();
            }
        });
        Assert.InRange(received, 0, 2 << 20); // what lay in the buffers of both ends, of 4 MiB

        // One that goes on in time gets all.
        using var patient = maps.ExportMap(new() { Map = "wide" }, cancellationToken: Ct);
        var bytes = 0L;
        for (var chunk = 0; await patient.ResponseStream.MoveNext(Ct); chunk++)
        {
            bytes += patient.ResponseStream.Current.Chunk?.Data.Length ?? 0;
            await Task.Delay(chunk < 3 ? 500 : 0, Ct);
        }

        Assert.Equal((1024 * 1024 + 1024) * sizeof(float), bytes);
        await maps.DeleteMapAsync(new() { Name = "wide" }, cancellationToken: Ct);
    }

    [Fact]
    public async Task An_old_connection_is_left_without_failing_a_call_and_there_are_so_many_at_most()
    {
        var age = TimeSpan.FromSeconds(0.5);
        await using var role = await StartAsync(Options(new()) with { Limits = new() { Connections = 2, ConnectionAge = age } });
        var connections = 0;
        using var handler = new SocketsHttpHandler
        {
            ConnectCallback = async (context, ct) =>
            {
                Interlocked.Increment(ref connections);
                var socket = new System.Net.Sockets.Socket(System.Net.Sockets.SocketType.Stream, System.Net.Sockets.ProtocolType.Tcp);
                await socket.ConnectAsync(context.DnsEndPoint, ct);
                return new System.Net.Sockets.NetworkStream(socket, ownsSocket: true);
            },
        };
        using var channel = GrpcChannel.ForAddress(role.Address, new() { HttpHandler = handler });
        var vectors = new VectorService.VectorServiceClient(channel);
        var clock = Stopwatch.StartNew();
        for (; clock.Elapsed < 4 * age || (connections < 3 && clock.Elapsed < TimeSpan.FromSeconds(30)); await Task.Delay(20, Ct))
        {
            await vectors.ListVectorsAsync(new() { PageSize = 1 }, cancellationToken: Ct);
        }

        Assert.InRange(connections, 3, 1 + (clock.Elapsed / age / 0.8)); // each lives a fifth longer or shorter

        // With the channel's, one more than there may be; of a role that leaves none meanwhile.
        await using var steady = await StartAsync(Options(new()) with { Limits = new() { Connections = 2 } });
        using var only = Open(steady);
        await new VectorService.VectorServiceClient(only).ListVectorsAsync(new() { PageSize = 1 }, cancellationToken: Ct);
        using var first = new System.Net.Sockets.TcpClient(steady.Address.Host, steady.Address.Port);
        await new VectorService.VectorServiceClient(only).ListVectorsAsync(new() { PageSize = 1 }, cancellationToken: Ct);
        using var second = new System.Net.Sockets.TcpClient(steady.Address.Host, steady.Address.Port);
        Assert.Equal(0, await second.GetStream().ReadAsync(new byte[1], Ct).AsTask().WaitAsync(TimeSpan.FromSeconds(3), Ct));
    }

    [Fact]
    public async Task Busy_clients_lose_no_read_to_connections_that_are_left_and_are_told_of_a_write()
    {
        await using var role = await StartAsync(Options(new()) with { Limits = new() { ConnectionAge = TimeSpan.FromMilliseconds(200) } });
        using var channel = Open(role);
        var (vectors, maps) = (new VectorService.VectorServiceClient(channel), new MappingService.MappingServiceClient(channel));
        var reads = 0;
        await Task.WhenAll(Enumerable.Range(0, 8).Select(worker => Task.Run(async () =>
        {
            for (var clock = Stopwatch.StartNew(); clock.Elapsed < TimeSpan.FromSeconds(4);)
            {
                if (worker < 4)
                {
                    await vectors.ListVectorsAsync(new() { PageSize = 1 }, cancellationToken: Ct);
                    Interlocked.Increment(ref reads);
                    continue;
                }

                var write = await Assert.ThrowsAsync<RpcException>(async () =>
                    await maps.CreateBasisMapAsync(new() { Basis = "none", Map = "none", SourceModel = "a", TargetModel = "b" }, cancellationToken: Ct));
                Assert.True(write.StatusCode is StatusCode.NotFound or StatusCode.Unavailable, $"{write.Status}");
            }
        })));
        Assert.True(reads > 100, $"{reads} reads do not keep a connection busy");
    }

    [Fact]
    public async Task What_a_tenant_has_used_up_comes_again_and_is_not_another_s()
    {
        await using var role = await StartAsync(Options(new() { Tokens = Issuer.Options }) with { Limits = new() { TenantRequestsPerSecond = 2, TenantBytesPerMinute = 60_000 } });
        using var a = Open(role, Issuer.Token(Scope.MapRead, "a"));
        using var b = Open(role, Issuer.Token(Scope.MapRead, "b"));
        using var admin = Open(role, Issuer.Token(Scope.Admin, "a"));
        var refused = await UntilRefusedAsync(a, new ListVectorsRequest());
        Assert.Equal(StatusCode.ResourceExhausted, refused.StatusCode);
        Assert.Contains("tenant \"a\" has used up its calls a second", refused.Status.Detail, StringComparison.Ordinal);
        var wait = refused.GetRpcStatus()!.GetDetail<RetryInfo>()!.RetryDelay.ToTimeSpan();
        Assert.InRange(wait, TimeSpan.FromMilliseconds(1), TimeSpan.FromSeconds(0.6));
        await new VectorService.VectorServiceClient(b).ListVectorsAsync(new(), cancellationToken: Ct);
        for (var i = 0; i < 5; i++)
        {
            await new VectorService.VectorServiceClient(admin).ListVectorsAsync(new(), cancellationToken: Ct);
        }

        await Task.Delay(wait, Ct);
        await new VectorService.VectorServiceClient(a).ListVectorsAsync(new(), cancellationToken: Ct);

        // Bytes of one large message: half a minute to pay them back.
        await Task.Delay(600, Ct);
        await Assert.ThrowsAsync<RpcException>(async () => await new MappingService.MappingServiceClient(a).ApplyMapAsync(new() { Map = "none", Rows = new() { Data = ByteString.CopyFrom(new byte[90_000]) } }, cancellationToken: Ct));
        await Task.Delay(600, Ct);
        var bytes = await UntilRefusedAsync(a, new ListVectorsRequest());
        Assert.Contains("bytes a minute", bytes.Status.Detail, StringComparison.Ordinal);
        Assert.InRange(bytes.GetRpcStatus()!.GetDetail<RetryInfo>()!.RetryDelay.ToTimeSpan(), TimeSpan.FromSeconds(20), TimeSpan.FromSeconds(31));

        static async Task<RpcException> UntilRefusedAsync(GrpcChannel channel, ListVectorsRequest request)
        {
            for (var i = 0; ; i++)
            {
                try
                {
                    await new VectorService.VectorServiceClient(channel).ListVectorsAsync(request, cancellationToken: Ct);
                }
                catch (RpcException e)
                {
                    return e;
                }

                Assert.InRange(i, 0, 20);
            }
        }
    }

    [Fact]
    public async Task Tokens_read_and_generated_are_counted()
    {
        await using var role = GenerationRole.Build(new()
        {
            Redis = Mesh.Mesh.Store.Split(' ')[1],
            Models = [new("target", Path.Combine(Mesh.Folder, "target"))],
            Limits = new() { TenantTokensPerMinute = 600 }, // 10 a second
        });
        await role.StartAsync(Ct);
        CountTensors();
        using var channel = Open(role);
        var generation = new GenerationService.GenerationServiceClient(channel);
        var request = new GenerateRequest { Model = "target", PromptIds = new() { Ids = { Enumerable.Repeat(5u, 40) } }, Stopping = new() { MaxTokens = 40, IgnoreEos = true } };
        var used = 0;
        RpcException? refused = null;
        while (refused is null)
        {
            try
            {
                var answer = await generation.AnswerAsync(request, Ct);
                used += (int)(answer.Finished.PromptTokens + answer.Finished.GeneratedTokens);
                Assert.InRange(used, 0, 1200);
            }
            catch (RpcException e)
            {
                refused = e;
            }
        }

        Assert.InRange(used, 600, 760); // what came again meanwhile
        Assert.Contains("the default tenant has used up its tokens a minute", refused.Status.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_stream_that_takes_more_tokens_than_there_are_waits_for_them()
    {
        await using var role = ExtractionRole.Build(new()
        {
            Redis = Mesh.Mesh.Store.Split(' ')[1],
            Models = [new("source", Path.Combine(Mesh.Folder, "source"))],
            Limits = new() { TenantTokensPerMinute = 600 }, // 10 a second
        });
        await role.StartAsync(Ct);
        CountTensors();
        using var channel = Open(role);
        var spec = new ExtractionSpec { Model = "source", Layers = { 0 } };
        var all = TinyCheckpoint.Texts(60);
        var tokens = (await Mesh.Extraction.ReadAsync(spec, [all], Ct)).Select(text => text.TokenIds.Count).ToArray();
        var texts = 0;
        var sum = 0;
        while (sum <= 604)
        {
            sum += tokens[texts++];
        }

        var clock = Stopwatch.StartNew();
        await new ExtractionService.ExtractionServiceClient(channel).ReadAsync(spec, [[.. all.Take(texts)], ["The"]], Ct);
        Assert.InRange(clock.Elapsed, TimeSpan.FromSeconds((sum - 604) / 10.0), TimeSpan.FromSeconds(10));
    }

    [Fact]
    public async Task Continuations_whose_scores_would_not_fit_an_answer_are_refused_before_they_are_computed()
    {
        var longer = Path.Combine(Folder, "longer");
        TinyCheckpoint.Write(longer, Path.Combine(Mesh.Folder, "tokenizer"), width: 16, layers: 1, seed: 5, context: 600);
        await using var role = GenerationRole.Build(new() { Redis = Mesh.Mesh.Store.Split(' ')[1], Models = [new("longer", longer)] });
        await role.StartAsync(Ct);
        CountTensors();
        using var channel = Open(role);
        var request = new ScoreRequest { Model = "longer", Prompt = "The cat" };
        request.Continuations.AddRange(Enumerable.Range(0, 256).Select(_ => new Continuation { Ids = new() { Ids = { Enumerable.Repeat(5u, 513) } } }));
        var error = await Assert.ThrowsAsync<RpcException>(async () => await new GenerationService.GenerationServiceClient(channel).ScoreAsync(request, cancellationToken: Ct));
        Assert.Equal(StatusCode.InvalidArgument, error.StatusCode);
        Assert.Contains("at most 131072 tokens together, not 131328", CallError.From(error).Fields["continuations"], StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_text_of_which_the_tokenizer_leaves_nothing_is_refused_by_name()
    {
        var strips = Directory.CreateDirectory(Path.Combine(Folder, "strips")).FullName;
        foreach (var file in new DirectoryInfo(Path.Combine(Mesh.Folder, "target")).GetFiles())
        {
            file.CopyTo(Path.Combine(strips, file.Name));
        }

        await ChangeAsync("tokenizer.json", tokenizer =>
        {
            tokenizer["normalizer"] = new JsonObject { ["type"] = "Strip", ["strip_left"] = true, ["strip_right"] = true };
            tokenizer["post_processor"] = null; // which would put a token before the text
        });
        await ChangeAsync("tokenizer_config.json", config => config["add_bos_token"] = false);
        await using var role = GenerationRole.Build(new() { Redis = Mesh.Mesh.Store.Split(' ')[1], Models = [new("strips", strips)] });
        await role.StartAsync(Ct);
        CountTensors();
        using var channel = Open(role);
        var learn = new LearnVectorRequest
        {
            Name = "none", Model = "strips", Layers = { 1 }, Pairs = { new ContrastPair { Positive = "The cat", Negative = " " }, new ContrastPair { Positive = "A dog", Negative = "The rain" } },
        };
        foreach (var (field, call) in new (string, Func<Task>)[]
        {
            ("prompt", () => new GenerationService.GenerationServiceClient(channel).AnswerAsync(new() { Model = "strips", Prompt = "  " }, Ct)),
            ("pairs[0].negative", async () => await new ExtractionService.ExtractionServiceClient(channel).LearnVectorAsync(learn, cancellationToken: Ct)),
        })
        {
            var error = await Assert.ThrowsAsync<RpcException>(call);
            Assert.Equal(StatusCode.InvalidArgument, error.StatusCode);
            Assert.Contains("at least one token", CallError.From(error).Fields[field], StringComparison.Ordinal);
        }

        async Task ChangeAsync(string name, Action<JsonNode> change)
        {
            var file = Path.Combine(strips, name);
            var json = JsonNode.Parse(await File.ReadAllTextAsync(file, Ct))!;
            change(json);
            await File.WriteAllTextAsync(file, json.ToJsonString(), Ct);
        }
    }

    [Fact]
    public async Task Fits_of_pushed_rows_share_the_memory_that_they_may_take()
    {
        await using var role = await StartAsync(Options(new()) with { MomentMemory = MomentAccumulator.BytesNeeded(1, 1, folds: 5, shuffled: false) * 3 / 2 });
        using var channel = Open(role);
        var maps = new MappingService.MappingServiceClient(channel);
        AsyncClientStreamingCall<PushRowsRequest, PushRowsResponse>[] calls = [PushTo(maps), PushTo(maps)];
        await Task.WhenAll(calls.Select(call => BeginAsync(call).ContinueWith(_ => { }, Ct, TaskContinuationOptions.None, TaskScheduler.Default))); // one is refused, maybe amid its writes

        var ended = await Task.WhenAny(calls.Select(call => call.ResponseAsync)).WaitAsync(TimeSpan.FromSeconds(60), Ct);
        var refused = await Assert.ThrowsAsync<RpcException>(() => ended);
        Assert.Equal(StatusCode.ResourceExhausted, refused.StatusCode);
        Assert.Contains("other calls have", refused.Status.Detail, StringComparison.Ordinal);
        Assert.NotNull(CallError.From(refused).RetryAfter);

        await EndsForWantOfRowsAsync(calls.Single(call => call.ResponseAsync != ended));
        using var next = PushTo(maps); // there is room again
        await BeginAsync(next);
        await EndsForWantOfRowsAsync(next);
        Array.ForEach(calls, call => call.Dispose());

        static async Task EndsForWantOfRowsAsync(AsyncClientStreamingCall<PushRowsRequest, PushRowsResponse> call)
        {
            await call.RequestStream.CompleteAsync();
            Assert.Equal(StatusCode.FailedPrecondition, (await Assert.ThrowsAsync<RpcException>(() => call.ResponseAsync)).StatusCode);
        }
    }

    [Fact]
    public async Task Imports_share_that_memory_while_they_last()
    {
        const int Width = 64;
        await using var role = await StartAsync(Options(new()) with { MomentMemory = (Width * Width + Width) * sizeof(float) * 3 / 2 });
        using var channel = Open(role);
        var maps = new MappingService.MappingServiceClient(channel);
        await ImportAsync(maps, "import/alone", Width);
        var wide = await Assert.ThrowsAsync<RpcException>(() => ImportAsync(maps, "import/wide", 2 * Width));
        Assert.Equal((StatusCode.ResourceExhausted, (TimeSpan?)null), (wide.StatusCode, CallError.From(wide).RetryAfter));
        Assert.Contains("content.tensors", wide.Status.Detail, StringComparison.Ordinal);

        AsyncClientStreamingCall<ImportMapRequest, ImportMapResponse>[] calls = [maps.ImportMap(cancellationToken: Ct), maps.ImportMap(cancellationToken: Ct)];
        foreach (var call in calls)
        {
            await call.RequestStream.WriteAsync(new() { Content = Square("import/held", Width) }, Ct);
        }

        var ended = await Task.WhenAny(calls.Select(call => call.ResponseAsync)).WaitAsync(TimeSpan.FromSeconds(60), Ct);
        var refused = await Assert.ThrowsAsync<RpcException>(() => ended);
        Assert.Equal(StatusCode.ResourceExhausted, refused.StatusCode);
        Assert.NotNull(CallError.From(refused).RetryAfter);
        var held = calls.Single(call => call.ResponseAsync != ended);
        await held.RequestStream.CompleteAsync();
        Assert.Equal(StatusCode.InvalidArgument, (await Assert.ThrowsAsync<RpcException>(() => held.ResponseAsync)).StatusCode);
        Array.ForEach(calls, call => call.Dispose());
        await ImportAsync(maps, "import/again", Width);
        foreach (var map in (await maps.ListMapsAsync(new() { Prefix = "import/" }, cancellationToken: Ct)).Maps)
        {
            await maps.DeleteMapAsync(new() { Name = map.Name }, cancellationToken: Ct);
        }
    }

    [Fact]
    public void Settings_are_read_and_what_is_wrong_with_them_is_named()
    {
        string[] settings = ["--redis", "redis:6379", "--max-message-bytes", "70000", "--max-idle-seconds", "2.5", "--max-streams", "0", "--drain-seconds", "soon", "--tenant-requests-per-second", "-1", "--max-call-seconds", "4000000", "--keepalive-seconds", "0.5"];
        var wrong = Assert.Throws<LrtMeshException>(() => MappingOptions.From(new(settings, new Dictionary<string, string>())));
        Assert.Equal(["--max-call-seconds", "--max-streams", "--tenant-requests-per-second", "--keepalive-seconds", "--drain-seconds"], wrong.Violations.Select(violation => violation.Field));

        var options = MappingOptions.From(new(settings[..6], new Dictionary<string, string>()));
        Assert.Equal((70000, TimeSpan.FromSeconds(2.5)), (options.Limits.MessageBytes, options.Limits.Idle));
    }

    /// <summary>A call that fits a map to rows, of which one does not suffice.</summary>
    internal static AsyncClientStreamingCall<PushRowsRequest, PushRowsResponse> PushTo(MappingService.MappingServiceClient maps) => maps.PushRows(cancellationToken: Ct);

    /// <summary>Begins it.</summary>
    internal static async Task BeginAsync(AsyncClientStreamingCall<PushRowsRequest, PushRowsResponse> call)
    {
        await call.RequestStream.WriteAsync(new() { Spec = new() { Map = "endless", Source = new() { Model = "a" }, Target = new() { Model = "b" }, SourceWidth = 1, TargetWidth = 1 } }, Ct);
        await call.RequestStream.WriteAsync(Row(), Ct);
    }

    private static PushRowsRequest Row() => new() { Rows = new() { Source = TensorCodec.Encode([1f], 1, 1), Target = TensorCodec.Encode([1f], 1, 1) } };

    private static GrpcChannel Open(RoleHost role, string? token = null) => MeshChannel.Open(role.Address.GetLeftPart(UriPartial.Authority), token is null ? null : new() { Token = token });

    private static PutVectorRequest Put(string name, int width) => new()
    {
        Vector = new() { Name = name, Model = "source", Layer = 1, Provenance = new() { Method = VectorMethod.Given } },
        Elements = MeshCalls.Elements([.. Enumerable.Range(1, width).Select(i => (float)i)]),
    };

    /// <summary>Imports a square map.</summary>
    internal static async Task ImportAsync(MappingService.MappingServiceClient maps, string name, int width)
    {
        using var call = maps.ImportMap(cancellationToken: Ct);
        float[][] tensors = [new float[width * width], new float[width]];
        tensors[0].AsSpan().Fill(0.5f);
        try
        {
            await call.RequestStream.WriteAsync(new() { Content = Square(name, width) }, Ct);
            for (var i = 0; i < tensors.Length; i++)
            {
                foreach (var chunk in TensorChunks.Split(i, TensorCodec.Encode(tensors[i], Dtype.Float32)))
                {
                    await call.RequestStream.WriteAsync(new() { Chunk = chunk }, Ct);
                }
            }

            await call.RequestStream.CompleteAsync();
        }
        catch (Exception e) when (e is RpcException or InvalidOperationException)
        {
            // The server has ended the call; the answer says why.
        }

        await call.ResponseAsync;
    }

    private static MapContent Square(string name, int width) => new()
    {
        Map = new() { Name = name, Source = new() { Model = "a" }, Target = new() { Model = "b" }, SourceWidth = (uint)width, TargetWidth = (uint)width },
        Tensors = { TensorCodec.Header(Dtype.Float32, width, width), TensorCodec.Header(Dtype.Float32, width) },
    };
}
