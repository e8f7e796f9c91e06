using Grpc.Core;
using LrtMesh.Core.Tensors;
using LrtMesh.TestKit;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Services.Tests.Mesh;

/// <summary>What stored maps are used for.</summary>
public sealed class MapServingTests(MeshFixture mesh) : MeshTests(mesh)
{
    [Fact]
    public async Task A_stream_maps_as_single_calls_do()
    {
        await FitAsync("stream");
        var messages = Enumerable.Range(1, 5).Select(rows => TensorCodec.Encode([.. Enumerable.Range(0, rows * 16).Select(i => (float)Math.Cos(i * rows))], rows, 16)).ToArray();
        using var call = Mesh.Mapping.StreamMap(cancellationToken: Ct);
        await call.RequestStream.WriteAsync(new() { Spec = new StreamMapSpec { Map = "stream" } }, Ct);
        foreach (var rows in messages)
        {
            await call.RequestStream.WriteAsync(new() { Rows = rows }, Ct);
            Assert.True(await call.ResponseStream.MoveNext(Ct));
            var single = await Mesh.Mapping.ApplyMapAsync(new() { Map = "stream", Rows = rows }, cancellationToken: Ct);
            Assert.Equal(single.Rows, call.ResponseStream.Current.Rows);
            Assert.Equal((single.MapDigest, single.Distance), (call.ResponseStream.Current.MapDigest, call.ResponseStream.Current.Distance));
        }

        await call.RequestStream.CompleteAsync();
        Assert.False(await call.ResponseStream.MoveNext(Ct));
    }

    [Fact]
    public async Task Rows_far_from_the_fit_are_told_from_those_near_it()
    {
        await FitAsync("far");
        var states = Assert.Single(await Mesh.Extraction.ReadAsync(new ExtractionSpec { Model = "source", Layers = { 1 } }, [["The cat sat on the mat and looked at the rain."]], Ct));
        var near = await Mesh.Mapping.ApplyMapAsync(new() { Map = "far", Rows = TensorCodec.Encode(states.Layers[0], states.TokenIds.Count, 16) }, cancellationToken: Ct);
        var far = await Mesh.Mapping.ApplyMapAsync(
            new() { Map = "far", Rows = TensorCodec.Encode([.. states.Layers[0].Select(value => value * 20)], states.TokenIds.Count, 16) }, cancellationToken: Ct);

        Assert.Equal(states.TokenIds.Count, near.Distance.Distances.Count);
        Assert.InRange(near.Distance.Distances.Average(), 1, 8); // about √16
        Assert.True(near.Distance.UnusualRows <= 1);
        Assert.Equal((uint)states.TokenIds.Count, far.Distance.UnusualRows);
        Assert.Contains("extrapolation", far.Distance.Warning, StringComparison.Ordinal);

        await Mesh.Vectors.PutVectorAsync(
            new() { Vector = new Vector { Name = "far/v", Model = "source", Layer = 1, Provenance = new() { Method = VectorMethod.Given } }, Elements = MeshCalls.Elements([.. Enumerable.Repeat(100f, 16)]) },
            cancellationToken: Ct);
        var transferred = await Mesh.Mapping.TransferVectorAsync(new() { Vector = "far/v", Map = "far", Name = "far/w" }, cancellationToken: Ct);
        Assert.Equal(1u, transferred.Distance.UnusualRows);
    }

    [Fact]
    public async Task An_exported_map_is_imported_as_it_was()
    {
        var map = await FitAsync("export");
        var parts = await ExportAsync("export");
        parts[0].Content.Map.Name = "export/copy";
        var copy = await ImportAsync(parts);
        Assert.Equal((map.Digest, map.Metrics), (copy.Digest, copy.Metrics));
        var rows = TensorCodec.Encode([.. Enumerable.Range(0, 16).Select(i => (float)i)], 1, 16);
        var (one, other) = (
            await Mesh.Mapping.ApplyMapAsync(new() { Map = "export", Rows = rows }, cancellationToken: Ct),
            await Mesh.Mapping.ApplyMapAsync(new() { Map = "export/copy", Rows = rows }, cancellationToken: Ct));
        Assert.Equal((one.Rows, one.Distance.Distances), (other.Rows, other.Distance.Distances));

        parts[0].Content.Map.Source.Layer++;
        var error = await Assert.ThrowsAsync<RpcException>(() => ImportAsync(parts));
        Assert.Equal(StatusCode.DataLoss, error.StatusCode);
        Assert.Contains("content.map.digest", error.Status.Detail, StringComparison.Ordinal);
        parts[0].Content.Tensors.RemoveAt(6);
        error = await Assert.ThrowsAsync<RpcException>(() => ImportAsync(parts));
        Assert.Equal(StatusCode.InvalidArgument, error.StatusCode);
    }

    [Fact]
    public async Task A_map_that_was_replaced_is_refused_by_its_digest()
    {
        var first = await FitAsync("pinned");
        var second = await FitAsync("pinned", documents: 80);
        Assert.Equal((1ul, 2ul), (first.Version, second.Version));
        var rows = TensorCodec.Encode(new float[16], 1, 16);
        await Mesh.Mapping.ApplyMapAsync(new() { Map = "pinned", Rows = rows, MapDigest = second.Digest }, cancellationToken: Ct);
        var error = await Assert.ThrowsAsync<RpcException>(async () => await Mesh.Mapping.ApplyMapAsync(new() { Map = "pinned", Rows = rows, MapDigest = first.Digest }, cancellationToken: Ct));
        Assert.Equal(StatusCode.FailedPrecondition, error.StatusCode);
        Assert.Contains("version 2", error.Status.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Pushed_rows_of_the_same_states_give_the_job_s_map()
    {
        var map = await FitAsync("pushed/job");
        var texts = TinyCheckpoint.Texts(60);
        var spec = new ExtractionSpec { Model = "source", Layers = { 1 }, AddSpecialTokens = true };
        var sources = await Mesh.Extraction.ReadAsync(spec, [[.. texts]], Ct);
        var targets = await Mesh.TargetExtraction.ReadAsync(new ExtractionSpec { Model = "target", Layers = { 2 }, AddSpecialTokens = true }, [[.. texts]], Ct);
        using var call = Mesh.Mapping.PushRows(cancellationToken: Ct);
        await call.RequestStream.WriteAsync(
            new() { Spec = new PushRowsSpec { Map = "pushed", Source = map.Source, Target = map.Target, SourceDigest = map.SourceDigest, TargetDigest = map.TargetDigest, SourceWidth = 16, TargetWidth = 24 } }, Ct);
        for (var i = 0; i < texts.Count; i++)
        {
            var kept = Enumerable.Range(0, sources[i].TokenIds.Count).Where(row => sources[i].Spans[row].End > sources[i].Spans[row].Start).ToArray();
            await call.RequestStream.WriteAsync(
                new() { Rows = new PairedRows { Document = (ulong)i, Source = Rows(sources[i].Layers[0], kept, 16), Target = Rows(targets[i].Layers[0], kept, 24) } }, Ct);
        }

        await call.RequestStream.CompleteAsync();
        var pushed = Assert.Single((await call.ResponseAsync).Maps);
        Assert.Equal((map.Metrics.Rows, map.Metrics.HeldOutRows, map.Metrics.Lambda), (pushed.Metrics.Rows, pushed.Metrics.HeldOutRows, pushed.Metrics.Lambda));
        Assert.Equal(map.Metrics.R2, pushed.Metrics.R2, 4);
        Assert.Equal("pushed", (await Mesh.Mapping.GetMapAsync(new() { Name = "pushed" }, cancellationToken: Ct)).Map.Name);
    }

    private static Tensor Rows(float[] states, int[] kept, int width) =>
        TensorCodec.Encode([.. kept.SelectMany(row => states[(row * width)..((row + 1) * width)])], kept.Length, width);

    private async Task<AffineMap> FitAsync(string name, int documents = 60)
    {
        var job = await Mesh.Mapping.RunJobAsync(
            new()
            {
                Map = name,
                Source = new LayerRef { Model = "source", Layer = 1 },
                Target = new LayerRef { Model = "target", Layer = 2 },
                Documents = { TinyCheckpoint.Texts(documents).Select(text => new Document { Text = text }) },
            },
            Ct);
        Assert.Equal((JobState.Succeeded, ""), (job.State, job.Error));
        return job.Result;
    }

    private async Task<List<ImportMapRequest>> ExportAsync(string name)
    {
        using var call = Mesh.Mapping.ExportMap(new() { Map = name }, cancellationToken: Ct);
        var parts = new List<ImportMapRequest>();
        await foreach (var part in call.ResponseStream.ReadAllAsync(Ct))
        {
            parts.Add(part.Content is { } content ? new() { Content = content } : new() { Chunk = part.Chunk });
        }

        return parts;
    }

    private async Task<AffineMap> ImportAsync(IEnumerable<ImportMapRequest> parts)
    {
        using var call = Mesh.Mapping.ImportMap(cancellationToken: Ct);
        try
        {
            foreach (var part in parts)
            {
                await call.RequestStream.WriteAsync(part, Ct);
            }

            await call.RequestStream.CompleteAsync();
        }
        catch (Exception e) when (e is RpcException or InvalidOperationException)
        {
            // The server has ended the call; the answer says why.
        }

        return (await call.ResponseAsync).Map;
    }
}
