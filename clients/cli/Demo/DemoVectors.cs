using Grpc.Core;
using LrtMesh.Cli.Commands;
using LrtMesh.Cli.Evaluation;
using LrtMesh.Client;
using LrtMesh.V1;

namespace LrtMesh.Cli.Demo;

/// <summary>
/// The vectors and maps that a demo makes, all under one prefix of its own, so that they cannot touch what others keep
/// in the same mesh, and can be deleted together.
/// </summary>
internal sealed class DemoVectors(Mesh mesh, LocatedModel source, LocatedModel target)
{
    private const int Concurrency = 4;
    private const int PageSize = 1000;

    /// <summary>What all names start with.</summary>
    public string Prefix { get; } = $"demo/{Guid.NewGuid().ToString("N")[..8]}/";

    /// <summary>The map to a layer of the large model.</summary>
    public string MapName(uint targetLayer) => $"{Prefix}map-{targetLayer}";

    /// <summary>Learns each behaviour's vector in the large model, at several layers at once: [behaviour][layer].</summary>
    public Task<LearntVector[][]> LearnNativeAsync(IReadOnlyList<Behaviour> behaviours, IReadOnlyList<uint> layers, Action<long, long> report, CancellationToken cancellation) =>
        EachAsync(behaviours, behaviour => LearnAsync(target, $"{behaviour.Name}.native", behaviour, layers, cancellation), report, cancellation);

    /// <summary>Learns each behaviour's vector in the small model, each at one layer: [behaviour].</summary>
    public Task<LearntVector[]> LearnSourceAsync(IReadOnlyList<Behaviour> behaviours, IReadOnlyList<uint> layers, Action<long, long> report, CancellationToken cancellation) =>
        EachAsync(
            [.. behaviours.Zip(layers)],
            async chosen => (await LearnAsync(source, $"{chosen.First.Name}.source", chosen.First, [chosen.Second], cancellation))[0],
            report,
            cancellation);

    /// <summary>Carries the small model's vectors over by the maps to their target layers.</summary>
    /// <param name="targetLayers">One a vector.</param>
    /// <param name="kind">Of the maps: empty for those that were fitted, ".shuffled" for their controls, ".basis" for those through a basis.</param>
    public Task<Vector[]> TransferAsync(IReadOnlyList<Vector> vectors, IReadOnlyList<uint> targetLayers, string kind, CancellationToken cancellation)
    {
        return EachAsync(
            [.. vectors.Zip(targetLayers)],
            async carried => (await mesh.Mapping.TransferVectorAsync(
                new TransferVectorRequest
                {
                    Vector = carried.First.Name,
                    Map = MapName(carried.Second) + kind,
                    Name = carried.First.Name.Replace(".source", kind.Length > 0 ? kind : ".mapped", StringComparison.Ordinal),
                },
                Mesh.Soon(cancellation))).Vector,
            (_, _) => { },
            cancellation);
    }

    /// <summary>Fits a basis that models share, and stores the map through it from the small model to a layer of the large one.</summary>
    /// <param name="layers">Of each model, the large one's among them.</param>
    /// <param name="targetLayer">The large model's.</param>
    /// <param name="rank">Coordinates of the basis.</param>
    /// <param name="texts">Documents, and how they are read.</param>
    public async Task<AffineMap> MapThroughBasisAsync(Terminal terminal, IReadOnlyList<LayerRef> layers, uint targetLayer, uint rank, CreateMapJobRequest texts, CancellationToken cancellation)
    {
        string basis = $"{Prefix}basis-{targetLayer}";
        await MapJobs.RunAsync(
            terminal,
            mesh.Mapping,
            new CreateMapJobRequest { Basis = new BasisRequest { Name = basis, Rank = rank, Models = { layers } }, Documents = { texts.Documents }, Fit = new FitOptions { Window = texts.Fit.Window } },
            cancellation);
        var made = await mesh.Mapping.CreateBasisMapAsync(
            new CreateBasisMapRequest { Basis = basis, SourceModel = source.Name, TargetModel = target.Name, Map = MapName(targetLayer) + ".basis" }, Mesh.Soon(cancellation));
        await mesh.Mapping.DeleteBasisAsync(new DeleteBasisRequest { Name = basis }, Mesh.Soon(cancellation));
        return made.Map;
    }

    /// <summary>Stores random directions of the large model; each can be added at any layer.</summary>
    public Task<Vector[]> PutRandomAsync(int count, ulong seed, CancellationToken cancellation) =>
        EachAsync(
            [.. Enumerable.Range(0, count)],
            async i =>
            {
                var vector = new Vector
                {
                    Name = $"{Prefix}random-{i:00}",
                    Model = target.Name,
                    ModelDigest = target.Model.Digest,
                    Layer = target.Model.Layers - 1,
                    Provenance = new VectorProvenance { Method = VectorMethod.Given },
                };
                var elements = TensorBytes.Encode(Draws.Direction((int)target.Model.Width, Draws.Seed(seed, i)), target.Model.Width);
                return (await mesh.Vectors.PutVectorAsync(new PutVectorRequest { Vector = vector, Elements = elements }, Mesh.Soon(cancellation))).Vector;
            },
            (_, _) => { },
            cancellation);

    /// <summary>Deletes all vectors and maps of this demo.</summary>
    public async Task DeleteAllAsync(CancellationToken cancellation)
    {
        // A page at a time from the start: what was listed is gone before the next listing.
        while (await mesh.Vectors.ListVectorsAsync(new ListVectorsRequest { Prefix = Prefix, PageSize = PageSize }, Mesh.Soon(cancellation)) is { Vectors.Count: > 0 } page)
        {
            foreach (var vector in page.Vectors)
            {
                await IgnoreMissingAsync(mesh.Vectors.DeleteVectorAsync(new DeleteVectorRequest { Name = vector.Name }, Mesh.Soon(cancellation)));
            }
        }

        while (await mesh.Mapping.ListMapsAsync(new ListMapsRequest { Prefix = Prefix, PageSize = PageSize }, Mesh.Soon(cancellation)) is { Maps.Count: > 0 } page)
        {
            foreach (var map in page.Maps)
            {
                await IgnoreMissingAsync(mesh.Mapping.DeleteMapAsync(new DeleteMapRequest { Name = map.Name }, Mesh.Soon(cancellation)));
            }
        }
    }

    private async Task<LearntVector[]> LearnAsync(LocatedModel model, string name, Behaviour behaviour, IReadOnlyList<uint> layers, CancellationToken cancellation)
    {
        var request = new LearnVectorRequest
        {
            Name = Prefix + name,
            Model = model.Name,
            Layers = { layers },
            Pairs = { LearnCommand.PairsOf(behaviour) },
            Position = LearnPosition.Mean,
        };
        var response = await model.Role.Extraction.LearnVectorAsync(request, Mesh.Long(cancellation));
        return [.. response.Vectors];
    }

    private static async Task<TResult[]> EachAsync<T, TResult>(IReadOnlyList<T> items, Func<T, Task<TResult>> work, Action<long, long> report, CancellationToken cancellation)
    {
        var results = new TResult[items.Count];
        long done = 0;
        var options = new ParallelOptions { MaxDegreeOfParallelism = Concurrency, CancellationToken = cancellation };
        await Parallel.ForAsync(0, items.Count, options, async (i, _) =>
        {
            results[i] = await work(items[i]);
            report(Interlocked.Increment(ref done), items.Count);
        });
        return results;
    }

    private static async Task IgnoreMissingAsync<T>(AsyncUnaryCall<T> call)
    {
        try
        {
            await call;
        }
        catch (RpcException e) when (e.StatusCode == StatusCode.NotFound)
        {
        }
    }
}
