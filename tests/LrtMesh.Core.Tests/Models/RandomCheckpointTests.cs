using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using LrtMesh.Core.Models;
using LrtMesh.Core.Tensors;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace LrtMesh.Core.Tests.Models;

/// <summary>Checkpoints of random weights, and what loading takes: measured on one that is large enough to be measured.</summary>
[Collection(CheckpointsRunAlone.Name)]
public sealed class RandomCheckpointTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("lrtmesh-random-").FullName;
    private readonly string _config;

    public RandomCheckpointTests()
    {
        NativeTorch.EnsureLoaded();
        CheckpointsRunAlone.Settle();
        _config = WriteConfig("small", width: 64, layers: 2, vocabulary: 320);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    public void It_loads_and_its_weights_are_as_the_configuration_says(ScalarType dtype)
    {
        var summary = Make("out", dtype, seed: 1);
        using var scope = NewDisposeScope();
        using var decoder = Checkpoint.Load(Out("out"), ScalarType.Float32);
        Assert.Equal(summary.Parameters, decoder.Weights.All.Sum(t => t.numel()));
        Assert.InRange(decoder.Weights.Embedding.std().item<float>(), 0.049f, 0.051f); // initializer_range 0.05
        Assert.InRange(decoder.Weights.Embedding.mean().item<float>(), -0.002f, 0.002f);
        Assert.True(decoder.Weights.FinalNorm.eq(1).all().item<bool>());
        Assert.Equal(
            dtype.ToString().ToLowerInvariant(), (string)JsonNode.Parse(File.ReadAllText(Path.Combine(Out("out"), "config.json")))!["torch_dtype"]!);
    }

    [Theory]
    [MemberData(nameof(GoldenTests.Folders), MemberType = typeof(GoldenTests))]
    public void Every_family_that_loads_can_be_made(string folder)
    {
        Write(Path.Combine(folder, "config.json"), "family", ScalarType.Float32, seed: 1);
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var decoder = Checkpoint.Load(Out("family"), ScalarType.Float32);
        Assert.True(decoder.Weights.FinalNorm.eq(1).all().item<bool>()); // the identity, also where it is stored as 0
        Assert.True(decoder.Logits(decoder.Read(arange(8, ScalarType.Int64).unsqueeze(0), tap: null)).isfinite().all().item<bool>());
    }

    [Fact]
    public void A_configuration_of_endless_blocks_ends_at_the_first_that_is_missing()
    {
        Make("out", ScalarType.Float32, seed: 1);
        var config = Path.Combine(Out("out"), "config.json");
        File.WriteAllText(config, File.ReadAllText(config).Replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 2000000000", StringComparison.Ordinal));
        var error = Assert.Throws<LrtMeshException>(() => Checkpoint.Load(Out("out"), ScalarType.Float32));
        Assert.Contains("has no tensor 'model.layers.2.", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_same_seed_makes_the_same_files_and_another_makes_others()
    {
        Make("a", ScalarType.BFloat16, seed: 1);
        Make("b", ScalarType.BFloat16, seed: 1);
        Make("c", ScalarType.BFloat16, seed: 2);
        byte[] Bytes(string name) => File.ReadAllBytes(Path.Combine(Out(name), CheckpointFiles.SingleFile));
        Assert.Equal(Bytes("a"), Bytes("b"));
        Assert.NotEqual(Bytes("a"), Bytes("c"));
    }

    [Fact]
    public void Shards_hold_the_same_weights_as_one_file()
    {
        Make("one", ScalarType.BFloat16, seed: 1);
        var summary = Make("many", ScalarType.BFloat16, seed: 1, shardBytes: 50_000);
        Assert.Equal(Directory.GetFiles(Out("many"), "*.safetensors").Select(Path.GetFileName).Order(), summary.Files);
        Assert.True(summary.Files.Count > 2);
        Assert.All(summary.Files.Skip(1), file => Assert.InRange(new FileInfo(Path.Combine(Out("many"), file)).Length, 1, 50_000 + 5_000));
        using var one = CheckpointFiles.Open(Out("one"));
        using var many = CheckpointFiles.Open(Out("many"));
        Assert.Equal(one.Digest(), many.Digest());
        using var decoder = Checkpoint.Load(Out("many"), ScalarType.Float32);
    }

    [Fact]
    public void A_folder_with_weights_is_left_as_it_is()
    {
        Make("out", ScalarType.BFloat16, seed: 1);
        var before = File.ReadAllBytes(Path.Combine(Out("out"), CheckpointFiles.SingleFile));
        Assert.Contains("holds model.safetensors already", Assert.Throws<LrtMeshException>(() => Make("out", ScalarType.BFloat16, seed: 2)).Message, StringComparison.Ordinal);
        Assert.Equal(before, File.ReadAllBytes(Path.Combine(Out("out"), CheckpointFiles.SingleFile)));
    }

    [Fact]
    public void More_than_the_disk_holds_is_refused_before_anything_is_written()
    {
        var config = WriteConfig("huge", width: 65536, layers: 2_000_000_000, vocabulary: 2_000_000_000);
        var error = Assert.Throws<LrtMeshException>(() => Write(config, "huge", ScalarType.BFloat16, seed: 1));
        Assert.Contains("bytes are free", error.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(Out("huge")));
    }

    [Theory]
    [InlineData("model.layers.1.mlp.up_proj.weight", null, "has no tensor 'model.layers.1.mlp.up_proj.weight'")]
    [InlineData(null, "model.layers.2.mlp.up_proj.weight", "tensor 'model.layers.2.mlp.up_proj.weight' has no place")]
    [InlineData(null, "model.layers.0.self_attn.rotary_emb.inv_freq", null)]
    public void A_missing_tensor_or_one_too_many_is_named(string? without, string? with, string? message)
    {
        Make("out", ScalarType.Float32, seed: 1);
        var path = Path.Combine(Out("out"), CheckpointFiles.SingleFile);
        using (var scope = NewDisposeScope())
        using (var file = SafetensorsFile.Open(path))
        {
            var tensors = file.Tensors.Where(t => t.Key != without).Select(t => (t.Key, file.Read(t.Key, t.Value.Shape, ScalarType.Float32))).ToList();
            if (with is not null)
            {
                tensors.Add((with, ones(4)));
            }

            SafetensorsWriter.Write(path, tensors);
        }

        var before = Tensor.TotalCount;
        if (message is null)
        {
            Checkpoint.Load(Out("out"), ScalarType.Float32).Dispose();
        }
        else
        {
            var error = Assert.Throws<LrtMeshException>(() => Checkpoint.Load(Out("out"), ScalarType.Float32));
            Assert.Contains(path, error.Message, StringComparison.Ordinal);
            Assert.Contains(message, error.Message, StringComparison.Ordinal);
        }

        Assert.Equal(before, Tensor.TotalCount);
    }

    [Theory]
    [InlineData("llama", ScalarType.BFloat16, ScalarType.BFloat16)]
    [InlineData("llama", ScalarType.BFloat16, ScalarType.Float32)]
    [InlineData("llama", ScalarType.Float32, ScalarType.BFloat16)]
    [InlineData("llama", ScalarType.BFloat16, ScalarType.Int8)]
    [InlineData("llama", ScalarType.Float32, ScalarType.Int8)]
    [InlineData("gpt2", ScalarType.Float32, ScalarType.Float32)]
    [InlineData("gpt2", ScalarType.BFloat16, ScalarType.BFloat16)]
    [InlineData("gpt2", ScalarType.Float32, ScalarType.Int8)]
    [InlineData("gpt_neox", ScalarType.Float32, ScalarType.BFloat16)]
    [InlineData("gpt_neox", ScalarType.BFloat16, ScalarType.Int8)]
    public void Loading_takes_at_most_a_fifth_more_memory_than_the_weights(string family, ScalarType stored, ScalarType dtype)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "reads the peak from /proc");
        var config = family switch
        {
            "gpt2" => Written("large", """{"model_type":"gpt2","vocab_size":16384,"n_embd":512,"n_layer":16,"n_head":4,"n_positions":64}"""),
            "gpt_neox" => Written("large", """
                {"model_type":"gpt_neox","vocab_size":16384,"hidden_size":512,"num_hidden_layers":16,"num_attention_heads":4,"intermediate_size":2048,
                 "max_position_embeddings":64,"hidden_act":"gelu","rotary_pct":0.25}
                """),
            _ => WriteConfig("large", width: 512, layers: 16, vocabulary: 16384),
        };
        Write(config, "large", stored, seed: 1);
        using (var warm = Checkpoint.Load(OutOfSmall(), dtype))
        {
            // What torch and the runtime allocate once is not the checkpoint's.
        }

        // The runtime's own work (a compilation, a collection) only ever adds to a peak: of three loads the least counts. A peak below half the weights says that memory of
        // others was given back meanwhile, and is none of the load's.
        var (bytes, peak) = Enumerable.Range(0, 8).Select(_ => Load()).Where(load => load.Peak > load.Bytes / 2).Take(3).MinBy(load => load.Peak);
        TestContext.Current.SendDiagnosticMessage($"{family}, {stored} as {dtype}: {bytes / 1e6:F1} MB of weights, peak {peak / 1e6:F1} MB above the start");
        Assert.InRange(peak, bytes / 2, bytes * 1.2);

        (long Bytes, long Peak) Load()
        {
            GC.Collect();
            GC.WaitForPendingFinalizers(); // tensors that others left
            _ = TrimHeap(0); // what others have freed would otherwise be used again, and not show
            File.WriteAllText("/proc/self/clear_refs", "5"); // sets the peak back to what is resident now
            var before = Status("VmRSS");
            using var decoder = Checkpoint.Load(Out("large"), dtype);
            return (decoder.Weights.All.Sum(t => t.numel() * t.element_size()), Status("VmHWM") - before);
        }
    }

    [DllImport("libc", EntryPoint = "malloc_trim")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int TrimHeap(nuint keep);

    private string OutOfSmall()
    {
        if (!Directory.Exists(Out("warm")))
        {
            Make("warm", ScalarType.BFloat16, seed: 1);
        }

        return Out("warm");
    }

    /// <summary>A line of this process's status, in bytes.</summary>
    private static long Status(string key)
    {
        var line = File.ReadLines("/proc/self/status").First(l => l.StartsWith(key + ":", StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) * 1024;
    }

    private string Out(string name) => Path.Combine(_folder, name);

    private RandomCheckpointSummary Make(string name, ScalarType dtype, ulong seed, long shardBytes = RandomCheckpoint.ShardBytes) =>
        Write(_config, name, dtype, seed, shardBytes);

    private RandomCheckpointSummary Write(string config, string name, ScalarType dtype, ulong seed, long shardBytes = RandomCheckpoint.ShardBytes) =>
        RandomCheckpoint.Write(config, Out(name), dtype, seed, shardBytes: shardBytes, cancellation: TestContext.Current.CancellationToken);

    private string WriteConfig(string name, int width, int layers, int vocabulary) => Written(name, $$"""
            {"model_type":"llama","vocab_size":{{vocabulary}},"hidden_size":{{width}},"num_hidden_layers":{{layers}},"num_attention_heads":4,
             "num_key_value_heads":2,"intermediate_size":{{2 * width}},"max_position_embeddings":64,"tie_word_embeddings":true,"initializer_range":0.05}
            """);

    private string Written(string name, string config)
    {
        var path = Path.Combine(_folder, $"{name}.json");
        File.WriteAllText(path, config);
        return path;
    }
}
