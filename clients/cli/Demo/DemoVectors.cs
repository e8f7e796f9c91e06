using Grpc.Core;
using LrtMesh.Cli.Commands;
using LrtMesh.Cli.Evaluation;
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

    public string MapName => Prefix + "map";

    /// <summary>Learns each behaviour's vector in the large model, at several layers at once: [behaviour][layer].</summary>
    public Task<LearntVector[][]> LearnNativeAsync(IReadOnlyList<Behaviour> behaviours, IReadOnlyList<uint> layers, Action<long, long> report, CancellationToken cancellation) =>
        EachAsync(behaviours, behaviour => LearnAsync(target, $"{behaviour.Name}.native", behaviour, layers, cancellation), report, cancellation);

    /// <summary>Learns each behaviour's vector in the small model, at all of its layers: [behaviour][layer].</summary>
    public Task<LearntVector[][]> LearnSourceAsync(IReadOnlyList<Behaviour> behaviours, uint layers, Action<long, long> report, CancellationToken cancellation) =>
        EachAsync(behaviours, behaviour => LearnAsync(source, $"{behaviour.Name}.source", behaviour, [.. Enumerable.Range(0, (int)layers).Select(layer => (uint)layer)], cancellation), report, cancellation);

    /// <summary>Carries the small model's vectors over by the map, or by the shuffled control.</summary>
    public Task<Vector[]> TransferAsync(IReadOnlyList<Vector> vectors, bool shuffled, CancellationToken cancellation)
    {
        string map = shuffled ? $"{MapName}.shuffled" : MapName;
        string suffix = shuffled ? ".shuffled" : ".mapped";
        return EachAsync(
            vectors,
            async vector => (await mesh.Mapping.TransferVectorAsync(new TransferVectorRequest { Vector = vector.Name, Map = map, Name = vector.Name.Replace(".source", suffix, StringComparison.Ordinal) }, Mesh.Soon(cancellation))).Vector,
            (_, _) => { },
            cancellation);
    }

    /// <summary>Stores random directions at a layer of the large model.</summary>
    public Task<Vector[]> PutRandomAsync(int count, uint layer, ulong seed, CancellationToken cancellation) =>
        EachAsync(
            [.. Enumerable.Range(0, count)],
            async i =>
            {
                var vector = new Vector
                {
                    Name = $"{Prefix}random-{i:00}",
                    Model = target.Name,
                    ModelDigest = target.Model.Digest,
                    Layer = layer,
                    Provenance = new VectorProvenance { Method = VectorMethod.Given },
                };
                var elements = Tensors.Of(Draws.Direction((int)target.Model.Width, Draws.Seed(seed, i)));
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
