using System.Text.Json;
using System.Text.Json.Nodes;
using LrtMesh.Core.Models.Families;
using LrtMesh.Core.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.Core.Models;

/// <summary>What a checkpoint of random weights holds.</summary>
/// <param name="Parameters">Numbers in all tensors.</param>
/// <param name="Bytes">Bytes of all tensors.</param>
/// <param name="Files">Names of the weight files.</param>
public sealed record RandomCheckpointSummary(long Parameters, long Bytes, IReadOnlyList<string> Files);

/// <summary>
/// Makes a checkpoint of random weights for a config.json, of every family that can be loaded: what the family's mapping asks
/// for is what is written. It is made and written tensor by tensor, in shards where it is large.
/// </summary>
public static class RandomCheckpoint
{
    /// <summary>Bytes of a shard at most, as transformers splits; a larger tensor has one of its own.</summary>
    public const long ShardBytes = 5_000_000_000;

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };
    private static readonly Dictionary<string, string> Metadata = new() { ["format"] = "pt" };

    /// <summary>Writes config.json and weights.</summary>
    /// <param name="configPath">The config.json to follow.</param>
    /// <param name="folder">Where to; made if it is missing.</param>
    /// <param name="dtype">The type to store: float32, float16 or bfloat16.</param>
    /// <param name="seed">Of the weights: the same seed, configuration and type make the same files.</param>
    /// <param name="progress">Told the bytes written so far and in all.</param>
    /// <param name="shardBytes">Bytes of a shard at most.</param>
    /// <param name="cancellation">Ends it between two tensors.</param>
    /// <exception cref="LrtMeshException">A configuration that cannot be loaded, a folder that holds weights, or too little space.</exception>
    public static RandomCheckpointSummary Write(
        string configPath, string folder, ScalarType dtype, ulong seed, IProgress<(long Done, long Of)>? progress = null,
        long shardBytes = ShardBytes, CancellationToken cancellation = default)
    {
        var configFile = ConfigFile.ReadFile(configPath);
        var (family, config) = Family.Read(configFile);
        var deviation = configFile.Number("initializer_range", 0.02);
        Directory.CreateDirectory(folder);
        foreach (var name in new[] { CheckpointFiles.SingleFile, CheckpointFiles.IndexFile })
        {
            if (File.Exists(Path.Combine(folder, name)))
            {
                throw new LrtMeshException(ErrorReason.FailedPrecondition, $"{folder}: holds {name} already; give a folder without weights");
            }
        }

        var plans = Plan(family, config, dtype, folder);
        var total = plans.Sum(plan => plan.Length);
        var done = 0L;
        Tensor Make(TensorPlan plan)
        {
            cancellation.ThrowIfCancellationRequested();
            progress?.Report((done, total));
            done += plan.Length;
            return Values(plan, deviation, family.Names.NormsAroundZero ? 0 : 1, seed);
        }

        var shards = Split(plans, shardBytes);
        var files = shards.Count == 1
            ? [CheckpointFiles.SingleFile]
            : shards.Select((_, i) => $"model-{i + 1:D5}-of-{shards.Count:D5}.safetensors").ToArray();
        for (var i = 0; i < shards.Count; i++)
        {
            SafetensorsWriter.Write(Path.Combine(folder, files[i]), shards[i], Make, Metadata);
        }

        if (shards.Count > 1)
        {
            WriteIndex(folder, shards, files, total);
        }

        WriteConfig(configPath, folder, dtype);
        progress?.Report((total, total));
        return new RandomCheckpointSummary(plans.Sum(plan => plan.Shape.Aggregate(1L, (product, size) => product * size)), total, files);
    }

    /// <summary>A decoder of random weights, without a checkpoint.</summary>
    /// <param name="configPath">The config.json to follow.</param>
    /// <param name="dtype">Of its weights: float32, bfloat16 or int8.</param>
    /// <param name="seed">Of the weights.</param>
    /// <exception cref="LrtMeshException">A configuration that cannot be loaded.</exception>
    public static Decoder Decoder(string configPath, ScalarType dtype, ulong seed)
    {
        var configFile = ConfigFile.ReadFile(configPath);
        var (family, config) = Family.Read(configFile);
        var source = new RandomSource(plan => Values(plan, configFile.Number("initializer_range", 0.02), family.Names.NormsAroundZero ? 0 : 1, seed));
        return new Decoder(config, Checkpoint.ReadWeights(family, config, source, dtype));
    }

    /// <summary>What the family's mapping asks for, as long as it fits on the disk.</summary>
    private static List<TensorPlan> Plan(Family family, ModelConfig config, ScalarType dtype, string folder)
    {
        var free = new DriveInfo(Path.GetFullPath(folder)).AvailableFreeSpace;
        var bytes = 0L;
        var notes = new TensorNotes(plan =>
        {
            // The mapping asks for norms in float32; a checkpoint stores all tensors in one type.
            bytes += (plan with { Type = dtype }).Length;
            if (bytes > free || bytes < 0)
            {
                throw new LrtMeshException(
                    ErrorReason.FailedPrecondition, $"{folder}: {free} bytes are free, and the tensors as far as '{plan.Name}' take {bytes}");
            }
        });
        Checkpoint.ReadWeights(family, config, notes, dtype).Dispose();
        return [.. notes.Plans.Values.Select(plan => plan with { Type = dtype })];
    }

    /// <summary>
    /// Matrices are normal with the configuration's deviation, biases 0 and norms the identity, as transformers starts a model. They depend on
    /// the seed, the tensor's name and its shape alone: a tensor may be asked for twice.
    /// </summary>
    private static Tensor Values(TensorPlan plan, double deviation, double identity, ulong seed)
    {
        using var scope = NewDisposeScope();
        if (plan.Shape.Count == 1)
        {
            return full([.. plan.Shape], Number.Of(plan.Name.EndsWith(".bias", StringComparison.Ordinal) ? 0 : identity), plan.Type).MoveToOuterDisposeScope();
        }

        using var generator = new Generator(plan.Name.Aggregate(seed, (hash, c) => unchecked((hash * 31) + c)), CPU);
        return randn([.. plan.Shape], generator: generator).mul_(Number.Of(deviation)).to(plan.Type).MoveToOuterDisposeScope();
    }

    private static List<List<TensorPlan>> Split(List<TensorPlan> plans, long shardBytes)
    {
        var shards = new List<List<TensorPlan>> { new() };
        var bytes = 0L;
        foreach (var plan in plans)
        {
            if (bytes > 0 && bytes + plan.Length > shardBytes)
            {
                shards.Add([]);
                bytes = 0;
            }

            shards[^1].Add(plan);
            bytes += plan.Length;
        }

        return shards;
    }

    private static void WriteIndex(string folder, List<List<TensorPlan>> shards, string[] files, long total)
    {
        var map = new JsonObject();
        foreach (var (shard, file) in shards.Zip(files))
        {
            foreach (var plan in shard)
            {
                map[plan.Name] = file;
            }
        }

        var index = new JsonObject { ["metadata"] = new JsonObject { ["total_size"] = total }, ["weight_map"] = map };
        File.WriteAllText(Path.Combine(folder, CheckpointFiles.IndexFile), index.ToJsonString(Indented) + "\n");
    }

    /// <summary>Writes the configuration as it was given, but for the type stored.</summary>
    private static void WriteConfig(string configPath, string folder, ScalarType dtype)
    {
        var config = JsonNode.Parse(File.ReadAllBytes(configPath))!.AsObject();
        config[config.ContainsKey("dtype") ? "dtype" : "torch_dtype"] = dtype.ToString().ToLowerInvariant();
        File.WriteAllText(Path.Combine(folder, "config.json"), config.ToJsonString(Indented) + "\n");
    }

    /// <summary>Makes what is asked for.</summary>
    private sealed class RandomSource(Func<TensorPlan, Tensor> make) : TensorSource
    {
        public override Tensor Allocate(IReadOnlyList<long> shape, ScalarType dtype) => empty([.. shape], dtype);

        public override void ReadInto(string name, Tensor target)
        {
            using var scope = NewDisposeScope();
            target.copy_(make(new TensorPlan(name, target.shape, target.dtype)));
        }
    }
}
