using static TorchSharp.torch;

namespace LrtMesh.Core.Models;

/// <summary>
/// The tensors of a checkpoint's folder: model.safetensors, or shards with model.safetensors.index.json. All headers are
/// checked when it is opened; tensors are read one by one.
/// </summary>
public sealed class CheckpointFiles : TensorSource, IDisposable
{
    /// <summary>The file that holds the weights, where it is one.</summary>
    public const string SingleFile = "model.safetensors";

    /// <summary>The index of the shards, where the weights are in several files.</summary>
    public const string IndexFile = "model.safetensors.index.json";

    private readonly string _path; // of the one file, or of the index
    private readonly List<SafetensorsFile> _files = [];
    private readonly Dictionary<string, SafetensorsFile> _fileOf = new(StringComparer.Ordinal);

    private CheckpointFiles(string path) => _path = path;

    /// <summary>Ends the reading of tensors, before the next.</summary>
    public CancellationToken Cancellation { get; set; }

    /// <summary>Names of all tensors.</summary>
    public IReadOnlyCollection<string> Names => _fileOf.Keys;

    /// <summary>Opens the weights of a folder. Where there are both, the one file is taken and not the shards, as transformers does.</summary>
    /// <exception cref="LrtMeshException">Missing, unreadable or damaged; names file and tensor.</exception>
    public static CheckpointFiles Open(string folder)
    {
        var single = Path.Combine(folder, SingleFile);
        var index = Path.Combine(folder, IndexFile);
        var useIndex = !File.Exists(single) && File.Exists(index);
        var files = new CheckpointFiles(useIndex ? index : single);
        try
        {
            if (useIndex)
            {
                files.AddShards(folder, ShardIndex.Read(index));
            }
            else if (File.Exists(single))
            {
                files.Add(SafetensorsFile.Open(single));
            }
            else
            {
                throw new LrtMeshException(ErrorReason.FailedPrecondition, $"{folder}: has neither {SingleFile} nor {IndexFile}; weights are read from these alone");
            }

            return files;
        }
        catch
        {
            files.Dispose();
            throw;
        }
    }

    /// <summary>Elements of all tensors.</summary>
    public long Elements => _fileOf.Sum(entry => entry.Value.Tensors[entry.Key].Elements);

    /// <summary>Whether a tensor is stored in this type.</summary>
    public bool Holds(ScalarType type) => _fileOf.Any(entry => entry.Value.Tensors[entry.Key].Type.Torch == type);

    /// <summary>Whether there is a tensor of this name.</summary>
    public bool Has(string name) => _fileOf.ContainsKey(name);

    /// <summary>Checks that a tensor can be read as what is asked for.</summary>
    /// <exception cref="LrtMeshException">Not there, or of another shape or kind.</exception>
    public void Check(TensorPlan plan) => FileOf(plan.Name).Check(plan.Name, plan.Shape, plan.Type);

    /// <inheritdoc/>
    public override Tensor Allocate(IReadOnlyList<long> shape, ScalarType dtype) => empty([.. shape], dtype);

    /// <inheritdoc/>
    public override void ReadInto(string name, Tensor target)
    {
        Cancellation.ThrowIfCancellationRequested();
        FileOf(name).ReadInto(name, target);
    }

    /// <inheritdoc/>
    public override void ReadRows(string name, IReadOnlyList<long> shape, TakeRows take)
    {
        Cancellation.ThrowIfCancellationRequested();
        FileOf(name).ReadRows(name, shape, take);
    }

    /// <summary>Refuses tensors that a model does not read: weights that were left out would make another model.</summary>
    /// <param name="isRead">Tells the names of tensors that are read, or need not be, such as the masks that older versions saved.</param>
    public void RefuseOthers(Func<string, bool> isRead)
    {
        var others = _fileOf.Keys.Where(name => !isRead(name)).Order(StringComparer.Ordinal).ToList();
        if (others.Count > 0)
        {
            var more = others.Count == 1 ? "" : $" (and {others.Count - 1} more)";
            throw new LrtMeshException(
                ErrorReason.FailedPrecondition,
                $"{_fileOf[others[0]].Path}: tensor '{SafetensorsHeader.Shown(others[0])}'{more} has no place in the model that config.json describes");
        }
    }

    /// <summary>
    /// A digest of all tensors' names, types, shapes and bytes: the same however they are spread over files. Tensors are hashed
    /// side by side, since one thread hashes more slowly than a file is read.
    /// </summary>
    public string Digest()
    {
        var names = _fileOf.Keys.Order(StringComparer.Ordinal).ToArray();
        var digests = new string[names.Length];
        try
        {
            Parallel.For(0, names.Length, new ParallelOptions { CancellationToken = Cancellation }, i => digests[i] = DigestOf(names[i]));
        }
        catch (AggregateException e) when (e.InnerException is LrtMeshException first)
        {
            throw new LrtMeshException(first.Reason, first.Message, e);
        }

        using var digest = new ContentDigest();
        foreach (var (name, tensor) in names.Zip(digests))
        {
            digest.Add(name).Add(tensor);
        }

        return digest.Finish();
    }

    /// <summary>A digest of a tensor's type, shape and bytes, as they are stored.</summary>
    public string DigestOf(string name)
    {
        var file = FileOf(name);
        var stored = file.Tensors[name];
        using var digest = new ContentDigest();
        digest.Add(stored.Type.Name).Add(stored.Shape.Count);
        foreach (var size in stored.Shape)
        {
            digest.Add(size);
        }

        file.AddTo(digest, name);
        return digest.Finish();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var file in _files)
        {
            file.Dispose();
        }
    }

    private void Add(SafetensorsFile file)
    {
        _files.Add(file);
        foreach (var name in file.Tensors.Keys)
        {
            _fileOf.Add(name, file);
        }
    }

    /// <summary>Opens the shards and checks that index and shards agree on every tensor.</summary>
    private void AddShards(string folder, Dictionary<string, string> shardOf)
    {
        foreach (var shard in shardOf.Values.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal))
        {
            var path = Path.Combine(folder, shard);
            if (!File.Exists(path))
            {
                var tensor = shardOf.First(entry => entry.Value == shard).Key;
                throw Damaged($"names the shard '{SafetensorsHeader.Shown(shard)}' for tensor '{SafetensorsHeader.Shown(tensor)}', which is missing");
            }

            var file = SafetensorsFile.Open(path);
            _files.Add(file);
            foreach (var name in file.Tensors.Keys)
            {
                if (!shardOf.TryGetValue(name, out var home))
                {
                    throw Damaged($"does not name tensor '{SafetensorsHeader.Shown(name)}', which shard {shard} holds");
                }

                if (home != shard)
                {
                    throw Damaged($"says that tensor '{SafetensorsHeader.Shown(name)}' is in {home}, and {shard} holds one of that name");
                }

                _fileOf.Add(name, file);
            }
        }

        if (shardOf.FirstOrDefault(entry => !_fileOf.ContainsKey(entry.Key)) is { Key: { } missing } at)
        {
            throw Damaged($"says that tensor '{SafetensorsHeader.Shown(missing)}' is in {at.Value}, which does not hold it");
        }
    }

    private SafetensorsFile FileOf(string name) => _fileOf.TryGetValue(name, out var file) ? file : throw Damaged($"has no tensor '{name}'");

    private LrtMeshException Damaged(string what) => new(ErrorReason.DataLoss, $"{_path}: {what}");
}
