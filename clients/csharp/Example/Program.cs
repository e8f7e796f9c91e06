// The main job: learn a vector in a small model, fit a map, carry the vector over, and steer the large model by it.
// Run it at the root of the repository, with `./lrtmesh up` in another terminal.
using System.Text.Json;
using Grpc.Core;
using LrtMesh.Client;
using LrtMesh.V1;

var small = new LayerRef { Model = "tiny-medium", Layer = 3 };
var large = new LayerRef { Model = "tiny-large", Layer = 5 };
var soon = TimeSpan.FromMinutes(10);

using var mesh = MeshClient.Open(args.Length > 0 ? args[0] : ".lrtmesh/mesh.json");

using var behaviour = JsonDocument.Parse(await File.ReadAllBytesAsync("models/tiny/behaviours/polite.json"));
var learn = new LearnVectorRequest { Name = "polite", Model = small.Model, Layers = { small.Layer }, Position = LearnPosition.Mean };
learn.Pairs.AddRange(behaviour.RootElement.GetProperty("contrast").EnumerateArray().Select(
    pair => new ContrastPair { Positive = pair.GetProperty("positive").GetString(), Negative = pair.GetProperty("negative").GetString() }));
var learnt = (await mesh.ExtractionRole.Extraction.LearnVectorAsync(learn, deadline: DateTime.UtcNow + soon)).Vectors[0];
Console.WriteLine($"learnt polite in {small.Model}: it tells held-out pairs apart with AUC {learnt.Auc:0.00}");

var fit = new CreateMapJobRequest { Map = "small-to-large", Source = small, Target = large };
fit.Documents.AddRange(File.ReadLines("models/tiny/text/map.jsonl").Take(400).Select(line =>
{
    using var document = JsonDocument.Parse(line);
    return new Document { Text = document.RootElement.GetProperty("text").GetString() };
}));
var job = (await mesh.Mapping.CreateMapJobAsync(fit)).Job;
await foreach (var state in mesh.WatchAsync(job.Id, soon))
{
    job = state;
}

if (job.State != JobState.Succeeded)
{
    Console.Error.WriteLine($"the map job ended {job.State}: {job.Error}");
    return 1;
}

Console.WriteLine($"fitted {job.Map} on {job.Result.Metrics.Rows} rows: R² {job.Result.Metrics.R2:0.00} on held-out documents");

var mapped = (await mesh.Mapping.TransferVectorAsync(new TransferVectorRequest { Vector = "polite", Map = "small-to-large", Name = "polite-large" })).Vector;
Console.WriteLine($"carried it over to {mapped.Model}: norm {mapped.Norm:0.00}");

var (plain, _) = await AnswerAsync();
var (steered, finished) = await AnswerAsync(new Steering { Vector = "polite-large", Coefficient = 8 });
Console.WriteLine($"\nunsteered:{plain}\n\nsteered:{steered}\n");
var proof = finished!.Steering[0];
Console.WriteLine($"proof: {proof.Positions} positions of layer {proof.Layer} changed by {proof.MeanRelativeChange:P1}, vector {proof.VectorDigest[..19]}");

// A wrong request says which field is wrong.
try
{
    await AnswerAsync(new Steering { Vector = "no-such-vector", Coefficient = 8 });
}
catch (RpcException e)
{
    var error = CallError.From(e);
    Console.WriteLine($"{error.Code}: {string.Join("; ", error.Fields.Select(field => $"{field.Key}: {field.Value}"))}");
}

return 0;

async Task<(string Text, GenerationFinished? Finished)> AnswerAsync(params Steering[] steering)
{
    var request = new GenerateRequest
    {
        Model = large.Model,
        Prompt = "Mia And The Red Lantern",
        Sampling = new Sampling { Temperature = 0 },
        Stopping = new Stopping { MaxTokens = 40 },
        Steering = { steering },
    };
    var text = "";
    GenerationFinished? end = null;
    await foreach (var part in mesh.GenerateAsync(request, soon))
    {
        text += part.Text?.Text;
        end = part.Finished ?? end;
    }

    return (text, end);
}
