using LrtMesh.Core;
using LrtMesh.Core.Maps;
using LrtMesh.V1;

namespace LrtMesh.Mapping;

/// <summary>A layer that a job reads.</summary>
/// <param name="Layer">The layer.</param>
/// <param name="ModelField">The request's field that names its model.</param>
/// <param name="LayerField">The field that gives the layer.</param>
internal sealed record PlannedLayer(LayerRef Layer, string ModelField, string LayerField);

/// <summary>A map that a job is to fit.</summary>
/// <param name="Name">Name to store it under.</param>
/// <param name="Pair">Which pair of the plan it is fitted on.</param>
/// <param name="Back">From the pair's target to its source.</param>
/// <param name="Shuffled">The control, on rows of different documents.</param>
internal sealed record PlannedMap(string Name, int Pair, bool Back, bool Shuffled);

/// <summary>What a job reads and what it fits: layers of models, pairs of them, and maps.</summary>
internal sealed class MapPlan
{
    /// <summary>What a control map is called after its map.</summary>
    public const string ControlSuffix = ".shuffled";

    /// <summary>What a map back is called after its map.</summary>
    public const string BackSuffix = ".back";

    private readonly List<PlannedLayer> _layers = [];
    private readonly List<(int X, int Y)> _pairs = [];

    private MapPlan()
    {
    }

    /// <summary>Each layer once, with the fields of the request that name it first.</summary>
    public IReadOnlyList<PlannedLayer> Layers => _layers;

    /// <summary>Pairs of layers, by index.</summary>
    public IReadOnlyList<(int X, int Y)> Pairs => _pairs;

    /// <summary>The maps, each control after its map.</summary>
    public List<PlannedMap> Maps { get; } = [];

    /// <summary>The models, each once, in the order in which layers name them.</summary>
    public List<string> Models { get; } = [];

    /// <summary>Index of a layer's model in <see cref="Models"/>.</summary>
    public int ModelOf(int layer) => Models.IndexOf(_layers[layer].Layer.Model);

    /// <summary>Layers of a model, in the plan's order.</summary>
    public IReadOnlyList<uint> LayersOf(string model) => [.. _layers.Where(layer => layer.Layer.Model == model).Select(layer => layer.Layer.Layer)];

    /// <summary>Plans a request that has been checked.</summary>
    /// <param name="request">The request.</param>
    /// <param name="basis">The basis that a model is added to; null where none is.</param>
    public static MapPlan Of(CreateMapJobRequest request, V1.SharedBasis? basis)
    {
        var plan = new MapPlan();
        if (request.Sweep is { } sweep)
        {
            var sources = Layers(sweep.SourceModel, sweep.SourceLayers, "sweep.source_").ToArray();
            var targets = Layers(sweep.TargetModel, sweep.TargetLayers, "sweep.target_").ToArray();
            plan._pairs.AddRange(sources.SelectMany(x => targets.Select(y => (x, y))));
            return plan;
        }

        if (request.Basis is { } wanted)
        {
            var founders = basis?.Models.Where(model => model.Founder).Select(model => plan.LayerOf(model.Layer, "basis.name")).ToArray() ?? [];
            var models = wanted.Models.Select((layer, i) => plan.LayerOf(layer, $"basis.models[{i}]")).ToArray();
            plan._pairs.AddRange(basis is null
                ? models.SelectMany(x => models.Where(y => y > x).Select(y => (x, y)))
                : founders.Select(x => (x, models[0])));
            return plan;
        }

        var fit = request.Fit ?? new FitOptions();
        foreach (var (name, source, target, field) in MapsOf(request))
        {
            var pair = plan.PairOf(plan.LayerOf(source!, $"{field}source"), plan.LayerOf(target!, $"{field}target"));
            plan.Maps.AddRange(NamesOf(name, fit).Select(map => map with { Pair = pair }));
        }

        return plan;

        IEnumerable<int> Layers(string model, IEnumerable<uint> layers, string field) =>
            layers.Select((layer, i) => plan.LayerOf(new PlannedLayer(new LayerRef { Model = model, Layer = layer }, $"{field}model", $"{field}layers[{i}]")));
    }

    /// <summary>The maps that a request names, with the start of their fields' paths.</summary>
    public static IEnumerable<(string Name, LayerRef? Source, LayerRef? Target, string Field)> MapsOf(CreateMapJobRequest request) =>
        request.More.Select((pair, i) => (pair.Map, (LayerRef?)pair.Source, (LayerRef?)pair.Target, $"more[{i}]."))
            .Prepend((request.Map, request.Source, request.Target, ""));

    /// <summary>What is stored under names that begin with a map's.</summary>
    public static IEnumerable<PlannedMap> NamesOf(string map, FitOptions fit)
    {
        foreach (var back in fit.MapBack ? new[] { false, true } : [false])
        {
            var name = back ? map + BackSuffix : map;
            yield return new PlannedMap(name, 0, back, Shuffled: false);
            if (fit.ShuffledControl)
            {
                yield return new PlannedMap(name + ControlSuffix, 0, back, Shuffled: true);
            }
        }
    }

    /// <summary>Columns and products of the rows that the models give.</summary>
    /// <param name="models">The model of each layer.</param>
    public MomentLayout Layout(IReadOnlyList<LocatedModel> models) => new([.. models.Select(model => (int)model.Model.Width)], Pairs);

    private int LayerOf(LayerRef layer, string field) => LayerOf(new PlannedLayer(layer, $"{field}.model", $"{field}.layer"));

    private int LayerOf(PlannedLayer layer)
    {
        var index = _layers.FindIndex(known => known.Layer.Equals(layer.Layer));
        if (index < 0)
        {
            index = _layers.Count;
            _layers.Add(layer);
            if (!Models.Contains(layer.Layer.Model))
            {
                Models.Add(layer.Layer.Model);
            }
        }

        return index;
    }

    private int PairOf(int x, int y)
    {
        var index = _pairs.IndexOf((x, y));
        if (index < 0)
        {
            index = _pairs.Count;
            _pairs.Add((x, y));
        }

        return index;
    }
}
