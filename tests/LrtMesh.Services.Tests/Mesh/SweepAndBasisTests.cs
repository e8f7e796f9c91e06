using Grpc.Core;
using LrtMesh.Core.Tensors;
using LrtMesh.TestKit;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Services.Tests.Mesh;

/// <summary>Jobs over many layers or models, and run-ons.</summary>
public sealed class SweepAndBasisTests(MeshFixture mesh) : MeshTests(mesh)
{
    [Fact]
    public async Task A_sweep_measures_every_pair_as_a_map_of_its_own()
    {
        var job = await Mesh.Mapping.RunJobAsync(
            new()
            {
                Sweep = new Sweep { SourceModel = "source", SourceLayers = { 0, 1, 2 }, TargetModel = "target", TargetLayers = { 0, 1, 2, 3 } },
                Documents = { Documents() },
            },
            Ct);

        Assert.Equal((JobState.Succeeded, ""), (job.State, job.Error));
        Assert.Equal(12, job.Sweep.Cells.Select(cell => (cell.SourceLayer, cell.TargetLayer)).Distinct().Count());
        Assert.Equal((3u, 4u), (job.Sweep.SourceDepth, job.Sweep.TargetDepth));
        var middle = job.Sweep.Cells.Where(cell => cell is { TargetLayer: 1 or 2, SourceLayer: 0 or 1 }).ToArray();
        var best = middle.MaxBy(cell => cell.R2WithoutLargest)!;
        Assert.Equal((best.SourceLayer, best.TargetLayer), (job.Sweep.RecommendedSourceLayer, job.Sweep.RecommendedTargetLayer));
        var alone = await Mesh.Mapping.RunJobAsync(
            new() { Map = "sweep/alone", Source = Layer("source", 1), Target = Layer("target", 2), Documents = { Documents() } }, Ct);
        var cell = job.Sweep.Cells.Single(cell => cell is { SourceLayer: 1, TargetLayer: 2 });
        Assert.Equal(alone.Result.Metrics.R2, cell.R2, 4);
        Assert.Equal(alone.Result.Metrics.Cka, cell.Cka, 4);
    }

    [Fact]
    public async Task Models_share_a_basis_and_one_more_is_added_while_their_maps_stay()
    {
        var job = await Mesh.Mapping.RunJobAsync(
            new()
            {
                Basis = new BasisRequest { Name = "basis", Models = { Layer("source", 1), Layer("target", 2) }, Rank = 12 },
                Documents = { Documents() },
            },
            Ct);
        Assert.Equal((JobState.Succeeded, ""), (job.State, job.Error));
        Assert.Equal(12, job.Basis.Agreement.Count);
        Assert.Equal(2, job.Basis.Pairs.Count);
        Assert.All(job.Basis.Pairs, pair => Assert.InRange(pair.R2Through, -0.5, pair.R2Direct + 0.05));
        var before = (await Mesh.Mapping.CreateBasisMapAsync(new() { Basis = "basis", SourceModel = "source", TargetModel = "target", Map = "basis/before" }, cancellationToken: Ct)).Map;

        var added = await Mesh.Mapping.RunJobAsync(
            new() { Basis = new BasisRequest { Name = "basis", Models = { Layer("stranger", 1) }, Add = true }, Documents = { Documents() } }, Ct);
        Assert.Equal((JobState.Succeeded, ""), (added.State, added.Error));
        Assert.Equal([true, true, false], added.Basis.Models.Select(model => model.Founder));
        Assert.Equal(6, added.Basis.Pairs.Count);
        Assert.NotEqual(job.Basis.Digest, added.Basis.Digest);
        Assert.Equal(added.Basis, (await Mesh.Mapping.GetBasisAsync(new() { Name = "basis" }, cancellationToken: Ct)).Basis);
        var after = (await Mesh.Mapping.CreateBasisMapAsync(new() { Basis = "basis", SourceModel = "source", TargetModel = "target", Map = "basis/after" }, cancellationToken: Ct)).Map;
        Assert.Equal(before.Digest, after.Digest);

        // The basis as it was before one more model came is still there, by its version.
        var versions = (await Mesh.Mapping.ListBasesAsync(new() { VersionsOf = "basis" }, cancellationToken: Ct)).Bases;
        Assert.Equal([Brief(added.Basis), Brief(job.Basis)], versions);
        Assert.Equal(job.Basis, (await Mesh.Mapping.GetBasisAsync(new() { Name = "basis", Version = 1 }, cancellationToken: Ct)).Basis);
        using var exportBefore = Mesh.Mapping.ExportBasis(new() { Basis = "basis", BasisVersion = 1 }, cancellationToken: Ct);
        Assert.True(await exportBefore.ResponseStream.MoveNext(Ct));
        Assert.Equal(job.Basis, exportBefore.ResponseStream.Current.Content.Basis);
        foreach (var (version, field) in new[] { (1ul, "source_model: 'stranger' is not in the basis"), (3ul, "basis_version: there is no version 3") })
        {
            var missing = await Assert.ThrowsAsync<RpcException>(async () => await Mesh.Mapping.CreateBasisMapAsync(
                new() { Basis = "basis", BasisVersion = version, SourceModel = "stranger", TargetModel = "target", Map = "basis/none" }, cancellationToken: Ct));
            Assert.Equal(StatusCode.NotFound, missing.StatusCode);
            Assert.StartsWith(field, missing.Status.Detail, StringComparison.Ordinal);
        }

        var map = (await Mesh.Mapping.CreateBasisMapAsync(new() { Basis = "basis", SourceModel = "stranger", TargetModel = "target", Map = "basis/new" }, cancellationToken: Ct)).Map;
        Assert.Equal((added.Basis.Digest, 16u, 24u), (map.BasisDigest, map.SourceWidth, map.TargetWidth));
        var rows = await Mesh.Mapping.ApplyMapAsync(new() { Map = "basis/new", Rows = TensorCodec.Encode(Enumerable.Repeat(0.5f, 16).ToArray(), 1, 16) }, cancellationToken: Ct);
        Assert.Equal([1ul, 24ul], rows.Rows.Header.Shape);

        // Carried elsewhere whole, it makes the same maps.
        using var export = Mesh.Mapping.ExportBasis(new() { Basis = "basis" }, cancellationToken: Ct);
        var parts = await export.ResponseStream.ReadAllAsync(Ct).ToArrayAsync(Ct);
        var there = await ImportAsync(parts);
        Assert.Equal((added.Basis.Digest, 1ul), (there.Digest, there.Version));
        Assert.Equal(added.Basis.Pairs, there.Pairs);
        Assert.Equal(map.Digest, (await Mesh.Mapping.CreateBasisMapAsync(new() { Basis = "basis/there", SourceModel = "stranger", TargetModel = "target", Map = "basis/again" }, cancellationToken: Ct)).Map.Digest);
        var damaged = TensorChunks.Of((int)parts[^1].Chunk.Tensor, new byte[parts[^1].Chunk.Data.Length], (int)parts[^1].Chunk.Offset);
        var error = await Assert.ThrowsAsync<RpcException>(() => ImportAsync([.. parts[..^1], new() { Chunk = damaged }]));
        Assert.Equal(StatusCode.DataLoss, error.StatusCode);

        await Mesh.Mapping.DeleteBasisAsync(new() { Name = "basis" }, cancellationToken: Ct);
        Assert.DoesNotContain("basis", (await Mesh.Mapping.ListBasesAsync(new(), cancellationToken: Ct)).Bases.Select(basis => basis.Name));

        // As lists have it, whatever its size.
        static SharedBasis Brief(SharedBasis basis)
        {
            var brief = basis.Clone();
            brief.Agreement.Clear();
            brief.Pairs.Clear();
            return brief;
        }
    }

    [Fact]
    public async Task A_model_run_on_from_its_own_states_predicts_as_it_does_by_itself()
    {
        var text = Assert.Single(await Mesh.TargetExtraction.ReadAsync(new ExtractionSpec { Model = "target", Layers = { 1 } }, [["The cat sat on the mat."]], Ct));
        var sequence = new RunOnSequence { TokenIds = { text.TokenIds } };
        var replaced = sequence.Clone();
        replaced.Positions.Add(Enumerable.Range(0, text.TokenIds.Count).Select(position => (uint)position));
        replaced.States = TensorCodec.Encode(text.Layers[0], text.TokenIds.Count, 24);
        var other = replaced.Clone();
        other.States = TensorCodec.Encode([.. text.Layers[0].Reverse()], text.TokenIds.Count, 24);
        var losses = await RunOnAsync(sequence, replaced, other);

        Assert.Equal(text.TokenIds.Count - 1, losses[0].Length);
        Assert.All(losses[0].Zip(losses[1]), pair => Assert.Equal(pair.First, pair.Second, 4));
        Assert.NotEqual(losses[0][^1], losses[2][^1], 2);
        // The model's own probabilities: a greedy token is the likeliest, so no token has less loss than it.
        Assert.All(losses[0], loss => Assert.InRange(loss, 0, 50));
    }

    [Fact]
    public async Task Stitched_loss_is_measured_beside_native_and_mean_and_for_the_control()
    {
        var job = await Mesh.Mapping.RunJobAsync(
            new()
            {
                Map = "stitched",
                Source = Layer("source", 1),
                Target = Layer("target", 2),
                Documents = { Documents() },
                Fit = new FitOptions { StitchedLoss = true, ShuffledControl = true },
            },
            Ct);

        Assert.Equal((JobState.Succeeded, ""), (job.State, job.Error));
        var losses = job.Maps.Select(map => map.Metrics.StitchedLoss).ToArray();
        Assert.Equal(2, losses.Length);
        Assert.Equal((losses[0].Tokens, losses[0].Native, losses[0].MeanAblated), (losses[1].Tokens, losses[1].Native, losses[1].MeanAblated));
        Assert.InRange(losses[0].Tokens, 100ul, 4096ul);
        Assert.NotEqual(losses[0].Stitched, losses[1].Stitched, 4);
        // Arms differ as far as their states do: from what the map gives, further than from the states themselves.
        Assert.NotEqual(losses[0].Native, losses[0].Stitched, 6);
        Assert.NotEqual(losses[0].Native, losses[0].MeanAblated, 3);
    }

    private async Task<SharedBasis> ImportAsync(IEnumerable<ExportBasisResponse> parts)
    {
        using var call = Mesh.Mapping.ImportBasis(cancellationToken: Ct);
        foreach (var part in parts)
        {
            var content = part.Content?.Clone();
            if (content is not null)
            {
                content.Basis.Name = "basis/there";
            }

            await call.RequestStream.WriteAsync(content is null ? new() { Chunk = part.Chunk } : new() { Content = content }, Ct);
        }

        await call.RequestStream.CompleteAsync();
        return (await call.ResponseAsync).Basis;
    }

    private async Task<IReadOnlyList<float[]>> RunOnAsync(params RunOnSequence[] sequences)
    {
        using var call = Mesh.TargetExtraction.RunOn(cancellationToken: Ct);
        await call.RequestStream.WriteAsync(new() { Spec = new RunOnSpec { Model = "target", Layer = 1 } }, Ct);
        var losses = new List<float[]>();
        Assert.True(await call.ResponseStream.MoveNext(Ct));
        foreach (var sequence in sequences)
        {
            await call.RequestStream.WriteAsync(new() { Sequence = sequence }, Ct);
            Assert.True(await call.ResponseStream.MoveNext(Ct));
            losses.Add([.. call.ResponseStream.Current.Losses.Losses]);
        }

        return losses;
    }

    private static IEnumerable<Document> Documents() => TinyCheckpoint.Texts(200).Select(text => new Document { Text = text });

    private static LayerRef Layer(string model, uint layer) => new() { Model = model, Layer = layer };
}
