using System.Collections.Immutable;
using System.Globalization;
using LrtMesh.Core;
using LrtMesh.Core.Models;
using LrtMesh.Core.Tensors;
using LrtMesh.V1;

namespace LrtMesh.Extraction;

/// <summary>The models that a role holds, by name: those given at start, and those that calls load. Safe for concurrent use.</summary>
public sealed class ModelRegistry(ModelRoleOptions options, ILogger<ModelRegistry> logger) : IDisposable
{
    /// <summary>No reading or step takes so long, unless something is wrong that will not end.</summary>
    private static readonly TimeSpan StuckAfter = TimeSpan.FromMinutes(10);

    private readonly Lock _changes = new();
    private readonly SemaphoreSlim _loading = new(1); // one at a time: each is measured against the memory that the last has left
    private readonly HashSet<string> _beingLoaded = new(StringComparer.Ordinal);
    private readonly Dictionary<string, HeldModel> _beingUnloaded = new(StringComparer.Ordinal);
    private volatile ImmutableSortedDictionary<string, HeldModel>? _models;
    private bool _disposed;

    /// <summary>Texts of one message of a stream of hidden states, at most.</summary>
    public int MaxBatch => options.MaxBatch;

    /// <summary>All models, by name.</summary>
    /// <exception cref="LrtMeshException">Unavailable: they are still being loaded.</exception>
    public IReadOnlyCollection<LoadedModel> All => [.. Loaded.Values.Select(held => held.Model)];

    private ImmutableSortedDictionary<string, HeldModel> Loaded => _models
        ?? throw new LrtMeshException(ErrorReason.Unavailable, "the models are still being loaded; try again") { RetryAfter = TimeSpan.FromSeconds(1) };

    /// <summary>The model that a request names, for what needs no weights: they may be freed at any time.</summary>
    /// <param name="name">The name.</param>
    /// <param name="field">Proto path of the field that holds it.</param>
    /// <exception cref="LrtMeshException">InvalidArgument: no name. NotFound: no such model is loaded here.</exception>
    public LoadedModel Find(string name, string field) => FindHeld(name, field).Model;

    /// <summary>The model that a request names, for a call that computes with it.</summary>
    /// <inheritdoc cref="Find"/>
    public LentModel Lend(string name, string field) => FindHeld(name, field).Lend() ?? throw NotHere(name, field);

    /// <summary>Names a model whose thread has stopped answering; null if there is none, and while they are loaded.</summary>
    public string? Fault() => _models?.Values.Select(held => held.Model).FirstOrDefault(model => model.AtWork > StuckAfter) is { } stuck
        ? string.Create(CultureInfo.InvariantCulture, $"the thread of model '{stuck.Name}' has been at one step for {stuck.AtWork.TotalMinutes:0} minutes")
        : null;

    /// <summary>Loads the role's models, one after the other.</summary>
    /// <exception cref="LrtMeshException">A name comes twice, or a checkpoint is unreadable, damaged or unsupported.</exception>
    public Task LoadAsync(CancellationToken cancellation) => Task.Run(() => LoadAll(options.Models, cancellation), cancellation);

    /// <summary>Loads one more model, on a thread of its own.</summary>
    /// <param name="source">Its name and its folder.</param>
    /// <param name="dtype">The type to compute it in.</param>
    /// <param name="device">Where to compute it.</param>
    /// <param name="cancellation">Ends it before the next tensor; nothing is left then.</param>
    /// <exception cref="LrtMeshException">FailedPrecondition: the name is taken, or the checkpoint is not one that can be loaded. ResourceExhausted: it does not fit into the memory that is left.</exception>
    public async Task<Model> LoadAsync(ModelSource source, ComputeDtype dtype, string device, CancellationToken cancellation)
    {
        lock (_changes)
        {
            var state = Loaded.ContainsKey(source.Name) ? "is loaded here" : _beingUnloaded.ContainsKey(source.Name) ? "is being unloaded" : "is being loaded";
            if (state != "is being loaded" || !_beingLoaded.Add(source.Name))
            {
                throw LrtMeshException.Mismatch("name", $"must be none that is taken, and '{source.Name}' {state}");
            }
        }

        var waited = false;
        try
        {
            await _loading.WaitAsync(cancellation);
            waited = true;
            return await Task.Factory.StartNew(() => LoadMore(source, dtype, device, cancellation), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        }
        finally
        {
            lock (_changes)
            {
                _beingLoaded.Remove(source.Name);
            }

            if (waited)
            {
                _loading.Release();
            }
        }
    }

    /// <summary>Unloads a model: no call gets it any more, those that use it may finish within the drain time, and then it is freed.</summary>
    /// <param name="name">The name.</param>
    /// <param name="field">Proto path of the field that holds it.</param>
    /// <exception cref="LrtMeshException">InvalidArgument: no name. NotFound: no such model is loaded here.</exception>
    public async Task UnloadAsync(string name, string field)
    {
        HeldModel held;
        lock (_changes)
        {
            held = FindHeld(name, field);
            _models = Loaded.Remove(name);
            _beingUnloaded.Add(name, held);
        }

        held.Return();
        await held.Unused.WaitAsync(options.Drain.Time).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        var calls = held.Calls;
        await Task.Run(held.Model.Dispose);
        lock (_changes)
        {
            _beingUnloaded.Remove(name);
        }

        ExtractionLog.Unloaded(logger, name, calls);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        HeldModel[] all;
        lock (_changes)
        {
            _disposed = true;
            all = [.. _models?.Values ?? [], .. _beingUnloaded.Values];
        }

        foreach (var held in all)
        {
            held.Model.Dispose();
        }
    }

    private HeldModel FindHeld(string name, string field) => name.Length == 0
        ? throw LrtMeshException.Invalid(field, $"must name a model; loaded here: {string.Join(", ", Loaded.Keys)}")
        : Loaded.TryGetValue(name, out var held) ? held : throw NotHere(name, field);

    private LrtMeshException NotHere(string name, string field) =>
        LrtMeshException.NotFound(field, $"there is no model '{name}' here; loaded are: {string.Join(", ", Loaded.Keys)}");

    private void LoadAll(IReadOnlyList<ModelSource> sources, CancellationToken cancellation)
    {
        NativeTorch.EnsureLoaded();
        var models = ImmutableSortedDictionary.Create<string, HeldModel>(StringComparer.Ordinal);
        try
        {
            foreach (var source in sources)
            {
                if (models.ContainsKey(source.Name))
                {
                    throw LrtMeshException.Invalid("models", $"'{source.Name}' is given twice");
                }

                cancellation.ThrowIfCancellationRequested();
                var folder = ModelFolder.Find(source.Location);
                models = models.Add(source.Name, new HeldModel(Noted(LoadedModel.Load(source.Name, folder, options.Dtype, options.Device, options.Serving), folder)));
            }
        }
        catch
        {
            foreach (var held in models.Values)
            {
                held.Model.Dispose();
            }

            throw;
        }

        _models = models;
    }

    private Model LoadMore(ModelSource source, ComputeDtype dtype, string device, CancellationToken cancellation)
    {
        LoadedModel model;
        try
        {
            var memoryLeft = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes - Environment.WorkingSet;
            model = LoadedModel.Load(source.Name, source.Location, dtype, device, options.Serving, new LoadLimits(memoryLeft, cancellation));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw LrtMeshException.Mismatch("checkpoint", $"cannot be read: {e.Message}");
        }

        lock (_changes)
        {
            if (!_disposed && !cancellation.IsCancellationRequested)
            {
                _models = Loaded.Add(source.Name, new HeldModel(Noted(model, source.Location)));
                return model.Description;
            }
        }

        model.Dispose();
        throw new OperationCanceledException(cancellation);
    }

    private LoadedModel Noted(LoadedModel model, string folder)
    {
        var loaded = model.Description;
        ExtractionLog.Loaded(logger, model.Name, loaded.Parameters, loaded.WeightDtype, loaded.DtypeReason, loaded.Device, loaded.DeviceReason, folder);
        return model;
    }
}
