// The C# client as the conformance runner drives it: a step a line on standard input, its outcome a line on standard output.
using System.Reflection;
using System.Text.Json;
using System.Text.Json.Nodes;
using Google.Protobuf;
using Grpc.Core;
using LrtMesh.Client;
using LrtMesh.V1;

using var mesh = MeshClient.Open(args[0]);
while (await Console.In.ReadLineAsync() is { } line)
{
    var step = JsonNode.Parse(line)!.AsObject();
    JsonObject outcome;
    try
    {
        outcome = new JsonObject { ["ok"] = await RunAsync(step) };
    }
    catch (RpcException e)
    {
        var error = CallError.From(e);
        outcome = Failed(NameOf(error.Code), error.Message, error.Reason, error.Fields);
    }
    catch (ArgumentException e)
    {
        outcome = Failed("CLIENT", e.Message, "", new Dictionary<string, string>());
    }

    Console.WriteLine(outcome.ToJsonString());
}

Task<JsonNode> RunAsync(JsonObject step) => (string)step["do"]! switch
{
    "call" => CallAsync(step),
    "generate" => GenerateAsync(step),
    "job" => JobAsync(step),
    "hiddenStates" => HiddenStatesAsync(step),
    "roundTrip" => RoundTripAsync(step),
    "applyMap" => ApplyMapAsync(step),
    var other => throw new InvalidOperationException($"unknown step {other}"),
};

async Task<JsonNode> CallAsync(JsonObject step)
{
    string[] name = ((string)step["method"]!).Split('/');
    var role = (string?)step["role"] == "generation" ? mesh.GenerationRole : mesh.ExtractionRole;
    ClientBase client = name[0] switch
    {
        "ModelService" => role.Models,
        "ExtractionService" => role.Extraction,
        "MappingService" => mesh.Mapping,
        _ => mesh.Vectors,
    };
    var method = client.GetType().GetMethods().Single(m => m.Name == $"{name[1]}Async" && m.GetParameters() is [_, { ParameterType.Name: nameof(CallOptions) }]);
    var request = Parse(step["request"]!, method.GetParameters()[0].ParameterType);
    var call = method.Invoke(client, BindingFlags.DoNotWrapExceptions, null, [request, new CallOptions(deadline: Timeout(step) is { } t ? DateTime.UtcNow + t : null)], null)!;
    var task = (Task)call.GetType().GetProperty("ResponseAsync")!.GetValue(call)!;
    await task;
    return Plain((IMessage)task.GetType().GetProperty("Result")!.GetValue(task)!);
}

async Task<JsonNode> GenerateAsync(JsonObject step)
{
    using var cancel = new CancellationTokenSource();
    var outcome = new JsonObject();
    var (text, tokens, parts) = ("", 0, 0);
    await foreach (var part in mesh.GenerateAsync((GenerateRequest)Parse(step["request"]!, typeof(GenerateRequest)), Timeout(step), cancel.Token))
    {
        switch (part.PartCase)
        {
            case GenerateResponse.PartOneofCase.Started:
                outcome["started"] = Plain(part.Started);
                break;
            case GenerateResponse.PartOneofCase.Finished:
                outcome["finished"] = Plain(part.Finished);
                break;
            default:
                text += part.Text.Text;
                tokens += part.Text.TokenIds.Count;
                if (++parts == (int?)step["cancelAfter"])
                {
                    await cancel.CancelAsync();
                }

                break;
        }
    }

    (outcome["text"], outcome["tokens"]) = (text, tokens);
    return outcome;
}

async Task<JsonNode> JobAsync(JsonObject step)
{
    var job = (await mesh.Mapping.CreateMapJobAsync((CreateMapJobRequest)Parse(step["request"]!, typeof(CreateMapJobRequest)))).Job;
    int states = 0;
    await foreach (var state in mesh.WatchAsync(job.Id, Timeout(step)))
    {
        (job, states) = (state, states + 1);
    }

    return new JsonObject { ["job"] = Plain(job), ["states"] = states };
}

async Task<JsonNode> HiddenStatesAsync(JsonObject step)
{
    var spec = (ExtractionSpec)Parse(step["spec"]!, typeof(ExtractionSpec));
    var batches = step["batches"]!.AsArray().Select(batch => batch is JsonArray texts
        ? new TextBatch { Texts = { texts.Deserialize<string[]>()! } }
        : (TextBatch)Parse(batch!, typeof(TextBatch)));
    var texts = new HashSet<uint>();
    var labels = new RowBlock();
    var squares = new double[spec.Layers.Count];
    HiddenStates? first = null;
    await foreach (var block in mesh.ReadHiddenStatesAsync(spec, batches, Timeout(step)))
    {
        first ??= block;
        texts.UnionWith(block.Labels.Sequence);
        labels.MergeFrom(block.Labels);
        for (int i = 0; i < squares.Length; i++)
        {
            squares[i] += SumOfSquares(block.Layers[i]);
        }
    }

    return new JsonObject
    {
        ["texts"] = texts.Count,
        ["tokenIds"] = First(labels.TokenId),
        ["positions"] = First(labels.Position),
        ["positionEnds"] = First(labels.PositionEnd),
        ["spans"] = First(labels.Span),
        ["charEnd"] = labels.CharEnd[0],
        ["rows"] = labels.Sequence.Count,
        ["width"] = first!.Width,
        ["sumOfSquares"] = JsonSerializer.SerializeToNode(squares),
        ["firstRow"] = JsonSerializer.SerializeToNode(first.Layers[0].Take(4)),
    };
}

static JsonNode First(IEnumerable<uint> labels) => JsonSerializer.SerializeToNode(labels.Take(8))!;

async Task<JsonNode> RoundTripAsync(JsonObject step)
{
    int width = (int)step["width"]!;
    float[] elements = Pattern(width, 1);
    var put = new PutVectorRequest { Vector = (Vector)Parse(step["vector"]!, typeof(Vector)), Elements = TensorBytes.Encode(elements, (ulong)width) };
    var stored = (await mesh.Vectors.PutVectorAsync(put)).Vector;
    var back = await mesh.Vectors.GetVectorAsync(new GetVectorRequest { Name = stored.Name });
    bool equal = TensorBytes.Decode(back.Elements).Select(BitConverter.SingleToUInt32Bits).SequenceEqual(elements.Select(BitConverter.SingleToUInt32Bits));
    return new JsonObject { ["equal"] = equal, ["vector"] = Plain(back.Vector) };
}

async Task<JsonNode> ApplyMapAsync(JsonObject step)
{
    var (rows, width) = ((int)step["rows"]!, (int)step["width"]!);
    var request = new ApplyMapRequest
    {
        Map = (string)step["map"]!,
        Rows = TensorBytes.Encode(Pattern(rows * width, (float)step["scale"]!), (ulong)rows, (ulong)width),
        WithoutBias = (bool?)step["withoutBias"] ?? false,
    };
    var answer = await mesh.Mapping.ApplyMapAsync(request, deadline: Timeout(step) is { } t ? DateTime.UtcNow + t : null);
    var shape = answer.Rows.Header.Shape;
    return new JsonObject { ["rows"] = shape[0], ["width"] = shape[1], ["sumOfSquares"] = SumOfSquares(TensorBytes.Decode(answer.Rows)), ["digest"] = answer.MapDigest };
}

// Numbers that a float32 holds exactly, the same in every client.
static float[] Pattern(int count, float scale) => [.. Enumerable.Range(0, count).Select(i => (float)(((long)i * 37 % 101) - 50) / 8 * scale)];

static double SumOfSquares(float[] elements) => elements.Sum(x => (double)x * x);

static TimeSpan? Timeout(JsonObject step) => step["deadline"] is { } seconds ? TimeSpan.FromSeconds((double)seconds) : null;

static IMessage Parse(JsonNode fields, Type type) => JsonParser.Default.Parse(fields.ToJsonString(), ((IMessage)Activator.CreateInstance(type)!).Descriptor);

static JsonNode Plain(IMessage message) => JsonNode.Parse(JsonFormatter.Default.Format(message))!;

static JsonObject Failed(string status, string message, string reason, IReadOnlyDictionary<string, string> fields) => new()
{
    ["error"] = new JsonObject { ["status"] = status, ["message"] = message, ["reason"] = reason, ["fields"] = JsonSerializer.SerializeToNode(fields) },
};

// As the gRPC specification writes them: INVALID_ARGUMENT.
static string NameOf(StatusCode code) => string.Concat(code.ToString().Select((c, i) => char.IsUpper(c) && i > 0 ? $"_{c}" : $"{char.ToUpperInvariant(c)}"));
