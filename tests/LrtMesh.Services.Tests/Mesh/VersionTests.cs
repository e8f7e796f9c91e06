using Grpc.Core;
using LrtMesh.Core.Tensors;
using LrtMesh.TestKit;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Services.Tests.Mesh;

/// <summary>Vectors and maps that were replaced, used by their version through every call that names one.</summary>
public sealed class VersionTests(MeshFixture mesh) : MeshTests(mesh)
{
    [Fact]
    public async Task A_vector_that_was_replaced_steers_as_before_and_the_proof_says_which_did()
    {
        var first = await PutAsync("versions/v", "target", 2, 24, seed: 1);
        var before = await Mesh.Generation.AnswerAsync(Greedy("The cat", new Steering { Vector = first.Name, Coefficient = 200 }), Ct);
        var second = await PutAsync("versions/v", "target", 2, 24, seed: 2);
        var after = await Mesh.Generation.AnswerAsync(Greedy("The cat", new Steering { Vector = first.Name, Coefficient = 200 }), Ct);
        var pinned = await Mesh.Generation.AnswerAsync(Greedy("The cat", new Steering { Vector = first.Name, VectorVersion = 1, Coefficient = 200 }), Ct);

        Assert.Equal((1ul, 2ul), (first.Version, second.Version));
        Assert.NotEqual(before.Ids, after.Ids);
        Assert.Equal(before.Ids, pinned.Ids);
        Assert.Equal(before.Finished.Steering, pinned.Finished.Steering);
        Assert.Equal((1ul, first.Digest), (pinned.Finished.Steering[0].VectorVersion, pinned.Finished.Steering[0].VectorDigest));
        Assert.Equal((2ul, second.Digest), (after.Finished.Steering[0].VectorVersion, after.Finished.Steering[0].VectorDigest));

        async Task<double> ScoreAsync(Steering steering) => (await Mesh.Generation.ScoreAsync(
            new() { Model = "target", Prompt = "The cat", Continuations = { new Continuation { Text = " sat" } }, Steering = { steering } }, cancellationToken: Ct)).Scores[0].Logprob;
        Assert.NotEqual(
            await ScoreAsync(new Steering { Vector = first.Name, VectorVersion = 1, Coefficient = 20 }), await ScoreAsync(new Steering { Vector = first.Name, Coefficient = 20 }));

        // A probe is read by its version as well.
        var probing = new Steering { Vector = first.Name, Coefficient = 200, Condition = new() { Probe = first.Name, Layer = 1, ProbeVersion = 1, Threshold = 1e6 } };
        Assert.Equal(0u, (await Mesh.Generation.AnswerAsync(Greedy("The cat", probing), Ct)).Finished.Steering[0].Positions);
        probing.Condition.ProbeVersion = 3;
        await MissingAsync("steering[0].condition.probe_version", "there is 2, the newest, 1", () => Mesh.Generation.AnswerAsync(Greedy("The cat", probing), Ct));
        await MissingAsync("steering[0].vector_version", "no version 3 of vector \"versions/v\"", () => Mesh.Generation.AnswerAsync(Greedy("The cat", new Steering { Vector = first.Name, VectorVersion = 3, Coefficient = 1 }), Ct));
    }

    [Fact]
    public async Task Vectors_are_read_and_listed_by_version_and_all_are_deleted()
    {
        var first = await PutAsync("versions/read", "target", 2, 24, seed: 1);
        var second = await PutAsync("versions/read", "target", 2, 24, seed: 2);
        var read = await Mesh.Vectors.GetVectorAsync(new() { Name = first.Name, Version = 1 }, cancellationToken: Ct);
        Assert.Equal(first, read.Vector);
        Assert.Equal(Elements(24, 1), read.Elements);
        Assert.Equal([second, first], (await Mesh.Vectors.ListVectorsAsync(new() { VersionsOf = first.Name }, cancellationToken: Ct)).Vectors);

        await MissingAsync("version", "there is 2, the newest, 1", () => Mesh.Vectors.GetVectorAsync(new() { Name = first.Name, Version = 9 }, cancellationToken: Ct).ResponseAsync);
        await Mesh.Vectors.DeleteVectorAsync(new() { Name = first.Name }, cancellationToken: Ct);
        await MissingAsync("name", "no vector", () => Mesh.Vectors.GetVectorAsync(new() { Name = first.Name, Version = 1 }, cancellationToken: Ct).ResponseAsync);
        await MissingAsync("versions_of", "no vector", () => Mesh.Vectors.ListVectorsAsync(new() { VersionsOf = first.Name }, cancellationToken: Ct).ResponseAsync);
    }

    [Fact]
    public async Task A_map_that_was_refitted_applies_transfers_steers_and_is_exported_as_before()
    {
        var first = await ImportAsync(seed: 1);
        var rows = TensorCodec.Encode([.. Enumerable.Range(0, 32).Select(i => (float)Math.Sin(i))], 2, 16);
        var vector = await PutAsync("versions/source", "source", 1, 16, seed: 3);
        var before = await Mesh.Mapping.ApplyMapAsync(new() { Map = first.Name, Rows = rows }, cancellationToken: Ct);
        var steeredBefore = await SteerAsync(0, 0);
        using var stream = Mesh.Mapping.StreamMap(cancellationToken: Ct);
        await stream.RequestStream.WriteAsync(new() { Spec = new StreamMapSpec { Map = first.Name } }, Ct);
        await NextAsync();

        var second = await ImportAsync(seed: 2);
        Assert.Equal((1ul, 2ul), (first.Version, second.Version));
        var after = await Mesh.Mapping.ApplyMapAsync(new() { Map = first.Name, Rows = rows }, cancellationToken: Ct);
        var pinned = await Mesh.Mapping.ApplyMapAsync(new() { Map = first.Name, MapVersion = 1, MapDigest = first.Digest, Rows = rows }, cancellationToken: Ct);
        Assert.Equal(before, pinned);
        Assert.Equal((1ul, 2ul), (pinned.MapVersion, after.MapVersion));
        Assert.NotEqual(before.Rows, after.Rows);
        // A stream goes on with what it began with.
        Assert.Equal((before.Rows, 1ul), await NextAsync());
        await stream.RequestStream.CompleteAsync();

        Assert.Equal([second, first], (await Mesh.Mapping.ListMapsAsync(new() { VersionsOf = first.Name }, cancellationToken: Ct)).Maps);
        Assert.Equal(first, (await Mesh.Mapping.GetMapAsync(new() { Name = first.Name, Version = 1 }, cancellationToken: Ct)).Map);
        using var export = Mesh.Mapping.ExportMap(new() { Map = first.Name, MapVersion = 1 }, cancellationToken: Ct);
        Assert.True(await export.ResponseStream.MoveNext(Ct));
        Assert.Equal(first, export.ResponseStream.Current.Content.Map);

        await PutAsync("versions/source", "source", 1, 16, seed: 4);
        var transferred = (await Mesh.Mapping.TransferVectorAsync(new() { Vector = vector.Name, VectorVersion = 1, Map = first.Name, MapVersion = 1, Name = "versions/mapped" }, cancellationToken: Ct)).Vector;
        Assert.Equal(
            (vector.Digest, 1ul, first.Digest, 1ul),
            (transferred.Provenance.SourceVectorDigest, transferred.Provenance.SourceVectorVersion, transferred.Provenance.MapDigest, transferred.Provenance.MapVersion));
        var steered = await SteerAsync(1, 1);
        Assert.Equal(steeredBefore.Ids, steered.Ids);
        Assert.Equal(steeredBefore.Finished.Steering, steered.Finished.Steering);
        Assert.Equal((1ul, transferred.Digest, 1ul, first.Digest), Proof(steered));
        Assert.Equal((2ul, 1ul), (Proof(await SteerAsync(2, 1)).VectorVersion, Proof(await SteerAsync(2, 1)).MapVersion));
        Assert.NotEqual(steered.Ids, (await SteerAsync(0, 0)).Ids);

        await MissingAsync("map_version", "there is 2, the newest, 1", () => Mesh.Mapping.ApplyMapAsync(new() { Map = first.Name, MapVersion = 7, Rows = rows }, cancellationToken: Ct).ResponseAsync);
        await MissingAsync("vector_version", "", () => Mesh.Mapping.TransferVectorAsync(new() { Vector = vector.Name, VectorVersion = 7, Map = first.Name, Name = "versions/none" }, cancellationToken: Ct).ResponseAsync);
        await MissingAsync("steering[0].map_version", "", () => SteerAsync(1, 7));

        Task<Answer> SteerAsync(ulong vectorVersion, ulong mapVersion) => Mesh.Generation.AnswerAsync(
            Greedy("The cat", new Steering { Vector = vector.Name, VectorVersion = vectorVersion, Map = first.Name, MapVersion = mapVersion, Coefficient = 200 }), Ct);

        async Task<(Tensor, ulong)> NextAsync()
        {
            await stream.RequestStream.WriteAsync(new() { Rows = rows }, Ct);
            Assert.True(await stream.ResponseStream.MoveNext(Ct));
            return (stream.ResponseStream.Current.Rows, stream.ResponseStream.Current.MapVersion);
        }

        static (ulong VectorVersion, string VectorDigest, ulong MapVersion, string MapDigest) Proof(Answer answer) =>
            (answer.Finished.Steering[0].VectorVersion, answer.Finished.Steering[0].VectorDigest, answer.Finished.Steering[0].MapVersion, answer.Finished.Steering[0].MapDigest);
    }

    /// <summary>Vectors that agree in every element but have names and versions of their own are told apart, also where the map has made them before.</summary>
    [Fact]
    public async Task Of_equal_vectors_the_proof_names_the_one_that_was_asked_for()
    {
        var map = await ImportAsync(seed: 5);
        foreach (var name in new[] { "versions/one", "versions/other" })
        {
            await PutAsync(name, "source", 1, 16, seed: 3);
            var answer = await Mesh.Generation.AnswerAsync(Greedy("The cat", new Steering { Vector = name, Map = map.Name, MapVersion = map.Version, Coefficient = 1 }), Ct);
            Assert.Equal((name, 1ul), (answer.Finished.Steering[0].Vector, answer.Finished.Steering[0].VectorVersion));
        }

        await PutAsync("versions/one", "source", 1, 16, seed: 3);
        var again = await Mesh.Generation.AnswerAsync(Greedy("The cat", new Steering { Vector = "versions/one", Map = map.Name, Coefficient = 1 }), Ct);
        Assert.Equal(2ul, again.Finished.Steering[0].VectorVersion);
    }

    private static Tensor Elements(int width, int seed) => MeshCalls.Elements([.. Enumerable.Range(0, width).Select(i => (float)Math.Sin(seed * (i + 1)))]);

    private async Task<Vector> PutAsync(string name, string model, uint layer, int width, int seed) => (await Mesh.Vectors.PutVectorAsync(
        new() { Vector = new Vector { Name = name, Model = model, Layer = layer, Provenance = new() { Method = VectorMethod.Given } }, Elements = Elements(width, seed) }, cancellationToken: Ct)).Vector;

    /// <summary>Stores a map from layer 1 of the source to layer 2 of the target, of elements from a seed.</summary>
    private async Task<AffineMap> ImportAsync(int seed)
    {
        var target = (await new ModelService.ModelServiceClient(Mesh.GenerationChannel).GetModelAsync(new() { Name = "target" }, cancellationToken: Ct)).Model;
        var a = TensorCodec.Encode([.. Enumerable.Range(0, 16 * 24).Select(i => (float)Math.Cos(seed * (i + 1)))], 24, 16);
        var b = TensorCodec.Encode([.. Enumerable.Range(0, 24).Select(i => (float)seed * i)], 24);
        var content = new MapContent
        {
            Map = new AffineMap
            {
                Name = $"versions/map-{(seed > 2 ? seed : 0)}",
                Source = new() { Model = "source", Layer = 1 },
                Target = new() { Model = "target", Layer = 2 },
                TargetDigest = target.Digest,
                SourceWidth = 16,
                TargetWidth = 24,
                Metrics = new() { R2 = seed / 10.0 },
            },
            Tensors = { a.Header, b.Header },
        };
        using var call = Mesh.Mapping.ImportMap(cancellationToken: Ct);
        await call.RequestStream.WriteAsync(new() { Content = content }, Ct);
        foreach (var (tensor, index) in new[] { (a, 0u), (b, 1u) })
        {
            await call.RequestStream.WriteAsync(new() { Chunk = new TensorChunk { Tensor = index, Data = tensor.Data, Crc32C = tensor.Crc32C } }, Ct);
        }

        await call.RequestStream.CompleteAsync();
        return (await call).Map;
    }

    private static async Task MissingAsync(string field, string words, Func<Task> call)
    {
        var error = await Assert.ThrowsAsync<RpcException>(call);
        Assert.Equal(StatusCode.NotFound, error.StatusCode);
        Assert.StartsWith($"{field}: ", error.Status.Detail, StringComparison.Ordinal);
        Assert.Contains(words, error.Status.Detail, StringComparison.Ordinal);
    }
}
