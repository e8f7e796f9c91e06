using System.Globalization;
using LrtMesh.Core;
using LrtMesh.Core.Models;
using LrtMesh.Core.Tensors;

namespace LrtMesh.Extraction;

/// <summary>The models that a role holds, by name.</summary>
public sealed class ModelRegistry(ModelRoleOptions options, ILogger<ModelRegistry> logger) : IDisposable
{
    /// <summary>No reading or step takes so long, unless something is wrong that will not end.</summary>
    private static readonly TimeSpan StuckAfter = TimeSpan.FromMinutes(10);

    private SortedDictionary<string, LoadedModel>? _models;

    /// <summary>Texts of one message of a stream of hidden states, at most.</summary>
    public int MaxBatch => options.MaxBatch;

    /// <summary>All models, by name.</summary>
    /// <exception cref="LrtMeshException">Unavailable: they are still being loaded.</exception>
    public IReadOnlyCollection<LoadedModel> All => Loaded.Values;

    private SortedDictionary<string, LoadedModel> Loaded => _models
        ?? throw new LrtMeshException(ErrorReason.Unavailable, "the models are still being loaded; try again") { RetryAfter = TimeSpan.FromSeconds(1) };

    /// <summary>The model that a request names.</summary>
    /// <param name="name">The name.</param>
    /// <param name="field">Proto path of the field that holds it.</param>
    /// <exception cref="LrtMeshException">InvalidArgument: no name. NotFound: no such model is loaded here.</exception>
    public LoadedModel Find(string name, string field)
    {
        if (name.Length == 0)
        {
            throw LrtMeshException.Invalid(field, $"must name a model; loaded here: {string.Join(", ", Loaded.Keys)}");
        }

        return Loaded.TryGetValue(name, out var model)
            ? model
            : throw LrtMeshException.NotFound(field, $"there is no model '{name}' here; loaded are: {string.Join(", ", Loaded.Keys)}");
    }

    /// <summary>Names a model whose thread has stopped answering; null if there is none, and while they are loaded.</summary>
    public string? Fault() => (_models?.Values ?? Enumerable.Empty<LoadedModel>()).FirstOrDefault(model => model.AtWork > StuckAfter) is { } stuck
        ? string.Create(CultureInfo.InvariantCulture, $"the thread of model '{stuck.Name}' has been at one step for {stuck.AtWork.TotalMinutes:0} minutes")
        : null;

    /// <summary>Loads the role's models, one after the other.</summary>
    /// <exception cref="LrtMeshException">A name comes twice, or a checkpoint is unreadable, damaged or unsupported.</exception>
    public Task LoadAsync(CancellationToken cancellation) => Task.Run(() => Load(options.Models, cancellation), cancellation);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var model in _models?.Values ?? Enumerable.Empty<LoadedModel>())
        {
            model.Dispose();
        }
    }

    private void Load(IReadOnlyList<ModelSource> sources, CancellationToken cancellation)
    {
        NativeTorch.EnsureLoaded();
        var models = new SortedDictionary<string, LoadedModel>(StringComparer.Ordinal);
        try
        {
            foreach (var source in sources)
            {
                cancellation.ThrowIfCancellationRequested();
                if (models.ContainsKey(source.Name))
                {
                    throw LrtMeshException.Invalid("models", $"'{source.Name}' is given twice");
                }

                var folder = ModelFolder.Find(source.Location);
                var model = LoadedModel.Load(source.Name, folder, options.Dtype, options.Device, options.Serving);
                models.Add(source.Name, model);
                var loaded = model.Description;
                ExtractionLog.Loaded(logger, source.Name, loaded.Parameters, loaded.WeightDtype, loaded.DtypeReason, loaded.Device, loaded.DeviceReason, folder);
            }
        }
        catch
        {
            foreach (var model in models.Values)
            {
                model.Dispose();
            }

            throw;
        }

        _models = models;
    }
}
