using Google.Protobuf;
using Google.Protobuf.Reflection;
using Grpc.Core;
using Grpc.Net.Client;
using LrtMesh.Client;
using LrtMesh.Core.Tensors;
using LrtMesh.Generation;
using LrtMesh.ServiceDefaults;
using LrtMesh.ServiceDefaults.Access;
using LrtMesh.TestKit;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Services.Tests.Access;

/// <summary>What the log says of calls, and what it never does.</summary>
public sealed class AuditTests(MeshFixture mesh) : AccessTests(mesh)
{
    [Fact]
    public async Task Each_change_is_one_line_that_says_who_and_what_and_whether()
    {
        await using var role = await StartAsync(Options(new() { Tokens = Issuer.Options }));
        var logs = new RecordedLogs().Of(role);
        using var writer = Open(role, Issuer.Token("map:read map:write", "a", subject: "ada"));
        using var reader = Open(role, Issuer.Token(Scope.MapRead, "a", subject: "bob"));
        var vectors = new VectorService.VectorServiceClient(writer);
        await vectors.PutVectorAsync(Put("audited/v"), cancellationToken: Ct);
        await vectors.GetVectorAsync(new() { Name = "audited/v" }, cancellationToken: Ct);
        await vectors.DeleteVectorAsync(new() { Name = "audited/v" }, cancellationToken: Ct);
        await RefuseAsync(async () => await vectors.DeleteVectorAsync(new() { Name = "audited/v" }, cancellationToken: Ct));
        await RefuseAsync(async () => await vectors.DeleteVectorAsync(new() { Name = "no\nname" }, cancellationToken: Ct));
        await RefuseAsync(async () => await new VectorService.VectorServiceClient(reader).PutVectorAsync(Put("audited/w"), cancellationToken: Ct));
        using (var import = new MappingService.MappingServiceClient(writer).ImportMap(cancellationToken: Ct))
        {
            await import.RequestStream.WriteAsync(new() { Content = new() { Map = new() { Name = "audited/m" } } }, Ct);
            await RefuseAsync(async () => await import.ResponseAsync);
        }

        string[] lines = [.. logs.Lines.Where(line => line.StartsWith("LrtMesh.Audit ", StringComparison.Ordinal)).Select(line => line.Split(" from ipv4:127.0.0.1:")[0]["LrtMesh.Audit Information: /lrtmesh.v1.".Length..] + line[line.LastIndexOf(':')..].TrimEnd())];
        Assert.Equal(
            [
                "VectorService/PutVector of \"audited/v\" by \"ada\" of tenant \"a\": OK",
                "VectorService/DeleteVector of \"audited/v\" by \"ada\" of tenant \"a\": OK",
                "VectorService/DeleteVector of \"audited/v\" by \"ada\" of tenant \"a\": NotFound",
                "VectorService/DeleteVector of \"(no name)\" by \"ada\" of tenant \"a\": InvalidArgument",
                "VectorService/PutVector of \"audited/w\" by \"bob\" of tenant \"a\": PermissionDenied",
                "MappingService/ImportMap of \"audited/m\" by \"ada\" of tenant \"a\": InvalidArgument",
            ],
            lines);
    }

    [Fact]
    public async Task No_text_vector_or_token_is_in_any_log()
    {
        const string Secret = "xyzzy plugh"; // no name: those are told
        const float Number = 1234.5f;
        Environment.SetEnvironmentVariable("Logging__LogLevel__Default", "Trace"); // all that the roles' own code can say
        await using var mapping = await StartAsync(Options(new() { Tokens = Issuer.Options }) with { Endpoints = () => [Mesh.Mesh.Extraction!.Address, Mesh.Mesh.Generation!.Address], TextRoot = Mesh.TextRoot });
        await using var generation = GenerationRole.Build(new()
        {
            Redis = Mesh.Mesh.Store.Split(' ')[1], Models = [new("target", Path.Combine(Mesh.Folder, "target"))], Access = new() { Tokens = Issuer.Options },
        });
        Environment.SetEnvironmentVariable("Logging__LogLevel__Default", null);
        var logs = new RecordedLogs().Of(mapping).Of(generation);
        await generation.StartAsync(Ct);
        CountTensors();
        await File.WriteAllTextAsync(Path.Combine(Mesh.TextRoot, "secret.jsonl"), $"{{\"text\": \"{Secret}\"}}\n{{\"{Secret}\": 1}}\n", Ct);
        var token = Issuer.Token("extract map:read map:write generate", "a");
        using var maps = Open(mapping, token);
        using var models = Open(generation, token);

        // Every RPC, with what must not be told wherever there is room for it: first in messages that are right in as much as that makes them, and then as a name.
        var called = new HashSet<string>();
        foreach (var (channel, services) in new[] { (maps, new[] { MappingService.Descriptor, VectorService.Descriptor }), (models, [GenerationService.Descriptor, ExtractionService.Descriptor, ModelService.Descriptor]) })
        {
            foreach (var method in services.SelectMany(service => service.Methods))
            {
                foreach (var asName in new[] { false, true })
                {
                    called.Add(method.FullName);
                    await CallAsync(channel.CreateCallInvoker(), method, [.. Requests(method.InputType, Secret, Number, asName)]);
                }
            }
        }

        // Those that get as far as a model, a job and its failure.
        var client = new GenerationService.GenerationServiceClient(models);
        await client.AnswerAsync(new() { Model = "target", Prompt = Secret, RequestId = "1", Stopping = new() { MaxTokens = 2 } }, Ct);
        await RefuseAsync(() => client.AnswerAsync(new() { Model = "target", Chat = new() { Messages = { new ChatMessage { Role = Secret, Content = Secret } } } }, Ct));
        var jobs = new MappingService.MappingServiceClient(maps);
        var job = new CreateMapJobRequest { Map = "m", Source = new() { Model = "source", Layer = 0 }, Target = new() { Model = "target", Layer = 1 } };
        job.Texts = new() { Path = "secret.jsonl" };
        Assert.Contains("must be an object", (await jobs.RunJobAsync(job, Ct)).Error, StringComparison.Ordinal);
        job.Texts = null;
        job.Documents.Add(Enumerable.Repeat(new Document { Chat = new() { Messages = { new ChatMessage { Role = Secret, Content = Secret } } } }, 5));
        Assert.Contains(Secret, (await jobs.RunJobAsync(job, Ct)).Error, StringComparison.Ordinal); // the client is told, and the log is not

        Assert.True(called.Count >= 30 && logs.Lines.Count(line => line.Contains(" refused, ", StringComparison.Ordinal)) > called.Count, "little was logged");
        Assert.DoesNotContain(logs.Lines, line => line.Contains(Secret, StringComparison.OrdinalIgnoreCase) || line.Contains("1234.5", StringComparison.Ordinal) || line.Contains(token, StringComparison.Ordinal) || line.Contains(token.Split('.')[2], StringComparison.Ordinal));
    }

    private static GrpcChannel Open(RoleHost role, string token) => MeshChannel.Open(role.Address.GetLeftPart(UriPartial.Authority), new() { Token = token });

    private static Task<RpcException> RefuseAsync(Func<Task> call) => Assert.ThrowsAsync<RpcException>(call);

    private static PutVectorRequest Put(string name) => new()
    {
        Vector = new() { Name = name, Model = "source", Layer = 1, Provenance = new() { Method = VectorMethod.Given } },
        Elements = MeshCalls.Elements([.. Enumerable.Range(1, 16).Select(i => (float)i)]),
    };

    /// <summary>A request for each part that a message of a stream may be, filled everywhere.</summary>
    private static IEnumerable<IMessage> Requests(MessageDescriptor type, string secret, float number, bool asName)
    {
        var parts = type.Oneofs.Where(oneof => !oneof.IsSynthetic).SelectMany(oneof => oneof.Fields).DefaultIfEmpty();
        foreach (var part in parts)
        {
            var message = type.Parser.ParseFrom(ByteString.Empty);
            Fill(message, part, secret, number, asName, depth: 0);
            yield return message;
        }
    }

    private static void Fill(IMessage message, FieldDescriptor? part, string secret, float number, bool asName, int depth)
    {
        foreach (var field in message.Descriptor.Fields.InDeclarationOrder().Where(field => !field.IsMap && (field.RealContainingOneof is null || field == part || (depth > 0 && field == field.RealContainingOneof.Fields[0]))))
        {
            if (ValueOf(field, secret, number, asName, depth) is not { } value)
            {
                continue;
            }

            if (field.IsRepeated)
            {
                ((System.Collections.IList)field.Accessor.GetValue(message)).Add(value);
            }
            else
            {
                field.Accessor.SetValue(message, value);
            }
        }
    }

    private static object? ValueOf(FieldDescriptor field, string secret, float number, bool asName, int depth)
    {
        switch (field.FieldType)
        {
            case FieldType.String:
                return !asName && field.Name is "model" ? (field.ContainingType.File.Name.Contains("map", StringComparison.Ordinal) ? "source" : "target")
                    : !asName && field.Name is "name" or "map" or "vector" or "basis" or "id" ? "there-is-none" : secret;
            case FieldType.Bytes:
                return ByteString.CopyFromUtf8(secret);
            case FieldType.Float:
                return number;
            case FieldType.Double:
                return (double)number;
            case FieldType.Message when depth < 4:
                if (field.MessageType == Tensor.Descriptor)
                {
                    return TensorCodec.Encode([.. Enumerable.Repeat(number, 24)], 24);
                }

                var message = field.MessageType.Parser.ParseFrom(ByteString.Empty);
                Fill(message, part: null, secret, number, asName, depth + 1);
                return message;
            default:
                return null;
        }
    }

    /// <summary>Sends some messages to a method, whatever comes of it.</summary>
    private static async Task CallAsync(CallInvoker invoker, MethodDescriptor method, IMessage[] requests)
    {
        var marshaller = Marshallers.Create(message => message.ToByteArray(), bytes => method.InputType.Parser.ParseFrom(bytes) as IMessage);
        var answer = Marshallers.Create(message => message.ToByteArray(), bytes => method.OutputType.Parser.ParseFrom(bytes) as IMessage);
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Ct);
        patience.CancelAfter(TimeSpan.FromSeconds(5));
        foreach (var request in method.IsClientStreaming ? [requests[0]] : requests)
        {
            try
            {
                var call = invoker.AsyncDuplexStreamingCall(new Method<IMessage, IMessage>(MethodType.DuplexStreaming, method.Service.FullName, method.Name, marshaller, answer), null, new(cancellationToken: patience.Token));
                foreach (var message in method.IsClientStreaming ? requests : [request])
                {
                    await call.RequestStream.WriteAsync(message, patience.Token);
                }

                await call.RequestStream.CompleteAsync();
                while (await call.ResponseStream.MoveNext(patience.Token))
                {
                    // All of it.
                }
            }
            catch (Exception e) when (e is RpcException or InvalidOperationException)
            {
                // Most of them are wrong.
            }
        }
    }
}
