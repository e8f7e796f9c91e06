using Grpc.Core;
using LrtMesh.Cli.Commands;
using LrtMesh.Client;
using LrtMesh.V1;

namespace LrtMesh.Cli.Evaluation;

/// <summary>
/// The vectors and maps that a demo or an evaluation of two models makes, all under one prefix of its own, so that they cannot touch what
/// others keep in the same mesh, and can be deleted together.
/// </summary>
/// <param name="command">What the prefix starts with.</param>
internal sealed class PairVectors(Mesh mesh, LocatedModel source, LocatedModel target, string command)
{
    /// <summary>Tokens: long enough that what differs from token to token averages out, short enough for many windows a document. Chosen on dev prompts.</summary>
    public const int MapWindow = 64;

    /// <summary>
    /// Tokens, for text without the behaviours: what lasts through such a text is the same in all of it, and a mean over many tokens leaves a map
    /// little to learn from. Chosen by the mean cosine of mapped and native vectors over six behaviours: 0.45 for single tokens, 0.46, 0.45, 0.40 and
    /// 0.30 for windows of 2, 4, 16 and 64.
    /// </summary>
    public const int BehaviourFreeWindow = 4;

    /// <summary>Of the texts that ship: some 90,000 tokens, or 1,400 windows: many times the width of what is fitted.</summary>
    public const int MapDocuments = 400;

    private const int Concurrency = 4;
    private const int PageSize = 1000;

    /// <summary>What all names start with.</summary>
    public string Prefix { get; } = $"{command}/{Guid.NewGuid().ToString("N")[..8]}/";

    /// <summary>The map to a layer of the large model.</summary>
    public string MapName(uint targetLayer) => $"{Prefix}map-{targetLayer}";

    /// <summary>Asks for a map to each of some layers of the large model, the one that most behaviours use first, and its shuffled control.</summary>
    /// <param name="targetLayers">One a behaviour.</param>
    /// <param name="texts">What it is fitted on. Chats are given as texts where one of the models reads no chats.</param>
    public CreateMapJobRequest MapRequest(IEnumerable<uint> targetLayers, MapDocuments texts)
    {
        var pairs = targetLayers.GroupBy(layer => layer).OrderByDescending(group => group.Count()).Select(group => new MapPair
        {
            Map = MapName(group.Key),
            Source = new LayerRef { Model = source.Name, Layer = Depth.Same(group.Key, target.Model.Layers, source.Model.Layers) },
            Target = new LayerRef { Model = target.Name, Layer = group.Key },
        }).ToArray();
        return new CreateMapJobRequest
        {
            Map = pairs[0].Map,
            Source = pairs[0].Source,
            Target = pairs[0].Target,
            Documents = { texts.Documents.Select(document => document.Chat is { } chat && !(source.Model.ReadsChats && target.Model.ReadsChats) ? new Document { Text = Chats.Plain(chat) } : document) },
            Fit = new FitOptions { ShuffledControl = true, Window = (uint)texts.Window },
            More = { pairs.Skip(1) },
        };
    }

    /// <summary>Learns each behaviour's vector in the large model, at several layers at once: [behaviour][layer].</summary>
    public Task<LearntVector[][]> LearnNativeAsync(BehaviourSet set, IReadOnlyList<uint> layers, Action<long, long> report, CancellationToken cancellation) =>
        LearnLayersAsync(target, set, "native", layers, VectorMethod.DifferenceOfMeans, report, cancellation);

    /// <summary>Learns each behaviour's vector in one of the models at several layers by a method: [behaviour][layer].</summary>
    /// <param name="kind">What the names end with.</param>
    public Task<LearntVector[][]> LearnLayersAsync(LocatedModel model, BehaviourSet set, string kind, IReadOnlyList<uint> layers, VectorMethod method, Action<long, long> report, CancellationToken cancellation) =>
        EachAsync(set.All, behaviour => LearnAsync(model, $"{behaviour.Name}.{kind}", behaviour, set.Position, layers, method, cancellation), report, cancellation);

    /// <summary>Learns each behaviour's vector in the small model, each at one layer: [behaviour].</summary>
    public Task<LearntVector[]> LearnSourceAsync(BehaviourSet set, IReadOnlyList<uint> layers, Action<long, long> report, CancellationToken cancellation) =>
        EachAsync(
            [.. set.All.Zip(layers)],
            async chosen => (await LearnAsync(source, $"{chosen.First.Name}.source", chosen.First, set.Position, [chosen.Second], VectorMethod.DifferenceOfMeans, cancellation))[0],
            report,
            cancellation);

    /// <summary>Carries the small model's vectors over by the maps to their target layers.</summary>
    /// <param name="targetLayers">One a vector.</param>
    /// <param name="kind">Of the maps: empty for those that were fitted, ".shuffled" for their controls, ".basis" for those through a basis.</param>
    public Task<Vector[]> TransferAsync(IReadOnlyList<Vector> vectors, IReadOnlyList<uint> targetLayers, string kind, CancellationToken cancellation)
    {
        return EachAsync(
            [.. vectors.Zip(targetLayers)],
            carried => CarryAsync(
                carried.First,
                MapName(carried.Second) + kind,
                carried.First.Name[(carried.First.Name.LastIndexOf('/') + 1)..].Replace(".source", kind.Length > 0 ? kind : ".mapped", StringComparison.Ordinal),
                cancellation),
            (_, _) => { },
            cancellation);
    }

    /// <summary>Carries a vector over by a map: A·v.</summary>
    /// <param name="name">Of the vector that is made, below the prefix.</param>
    public async Task<Vector> CarryAsync(Vector vector, string map, string name, CancellationToken cancellation) =>
        (await mesh.Mapping.TransferVectorAsync(new TransferVectorRequest { Vector = vector.Name, Map = map, Name = Prefix + name }, Mesh.Soon(cancellation))).Vector;

    /// <summary>Carries the small model's vectors over as if they were states: A·v + b.</summary>
    /// <param name="targetLayers">One a vector.</param>
    public Task<Vector[]> PutWithBiasAsync(IReadOnlyList<Vector> vectors, IReadOnlyList<uint> targetLayers, CancellationToken cancellation) =>
        EachAsync(
            [.. vectors.Zip(targetLayers)],
            async carried =>
            {
                float[] elements = await ElementsAsync(carried.First, cancellation);
                var request = new ApplyMapRequest { Map = MapName(carried.Second), Rows = TensorBytes.Encode(elements, 1, (uint)elements.Length) };
                var mapped = await mesh.Mapping.ApplyMapAsync(request, Mesh.Soon(cancellation));
                return await PutAsync($"with-bias-{carried.Second}-{carried.First.Digest[^8..]}", carried.Second, Tensors.Float32(mapped.Rows), cancellation);
            },
            (_, _) => { },
            cancellation);

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

    /// <summary>Stores random directions of the large model, every one as likely as any other; each can be added at any layer.</summary>
    public Task<Vector[]> PutRandomAsync(int count, ulong seed, CancellationToken cancellation) =>
        EachAsync(
            [.. Enumerable.Range(0, count)],
            i => PutAsync($"random-{i:00}", target.LastLayer, Draws.Direction((int)target.Model.Width, Draws.Seed(seed, i)), cancellation),
            (_, _) => { },
            cancellation);

    /// <summary>Stores random directions that vary as the large model's states at a layer do: drawn from N(0, Σ), with Σ the states' covariance.</summary>
    public Task<Vector[]> PutRandomStatesAsync(int count, uint layer, float[] states, ulong seed, CancellationToken cancellation) =>
        EachAsync(
            [.. Enumerable.Range(0, count)],
            i => PutAsync($"random-states-{layer}-{i:00}", layer, Draws.DirectionLike(states, (int)target.Model.Width, Draws.Seed(seed, (int)layer, i)), cancellation),
            (_, _) => { },
            cancellation);

    /// <summary>Stores the small model's vectors, as they are, as vectors of the large model, whose width is the same.</summary>
    /// <param name="targetLayers">One a vector.</param>
    public Task<Vector[]> PutUnmappedAsync(IReadOnlyList<Vector> vectors, IReadOnlyList<uint> targetLayers, CancellationToken cancellation) =>
        EachAsync(
            [.. vectors.Zip(targetLayers)],
            async carried => await PutAsync($"unmapped-{carried.Second}-{carried.First.Digest[^8..]}", carried.Second, await ElementsAsync(carried.First, cancellation), cancellation),
            (_, _) => { },
            cancellation);

    /// <summary>Cosine of the angle between two stored vectors.</summary>
    public async Task<double> CosineAsync(Vector a, Vector b, CancellationToken cancellation)
    {
        float[] x = await ElementsAsync(a, cancellation);
        float[] y = await ElementsAsync(b, cancellation);
        return x.Zip(y, (one, other) => (double)one * other).Sum() / Math.Sqrt(x.Sum(one => (double)one * one) * y.Sum(one => (double)one * one));
    }

    /// <summary>Hidden states of the large model: row-major [tokens, width].</summary>
    public async Task<float[]> StatesAsync(IEnumerable<Document> documents, uint layer, CancellationToken cancellation)
    {
        var spec = new ExtractionSpec { Model = target.Name, Layers = { layer }, AddSpecialTokens = true };
        var rows = new List<float>();
        await foreach (var block in target.Role.Extraction.ReadHiddenStatesAsync(spec, [new TextBatch { Texts = { documents.Select(document => document.Chat is { } chat ? Chats.Plain(chat) : document.Text) } }], cancellation: cancellation))
        {
            rows.AddRange(block.Layers[0]);
        }

        return [.. rows];
    }

    /// <summary>Deletes all of these vectors and maps.</summary>
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

    private async Task<Vector> PutAsync(string name, uint layer, float[] elements, CancellationToken cancellation)
    {
        var vector = new Vector
        {
            Name = Prefix + name,
            Model = target.Name,
            ModelDigest = target.Model.Digest,
            Layer = layer,
            Provenance = new VectorProvenance { Method = VectorMethod.Given },
        };
        var request = new PutVectorRequest { Vector = vector, Elements = TensorBytes.Encode(elements, target.Model.Width) };
        return (await mesh.Vectors.PutVectorAsync(request, Mesh.Soon(cancellation))).Vector;
    }

    private async Task<float[]> ElementsAsync(Vector vector, CancellationToken cancellation) =>
        Tensors.Float32((await mesh.Vectors.GetVectorAsync(new GetVectorRequest { Name = vector.Name }, Mesh.Soon(cancellation))).Elements);

    private async Task<LearntVector[]> LearnAsync(LocatedModel model, string name, Behaviour behaviour, LearnPosition position, IReadOnlyList<uint> layers, VectorMethod method, CancellationToken cancellation)
    {
        var request = new LearnVectorRequest
        {
            Name = Prefix + name,
            Model = model.Name,
            Layers = { layers },
            Pairs = { behaviour.Contrast.Select(pair => pair.For(model.Model)) },
            Position = position,
            Method = method,
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
