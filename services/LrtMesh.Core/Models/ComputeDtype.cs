using System.Diagnostics;
using LrtMesh.Core.Models.Families;
using LrtMesh.Core.Tensors;
using LrtMesh.V1;
using static TorchSharp.torch;

namespace LrtMesh.Core.Models;

/// <summary>In what type a model's weights are kept and its products computed. The residual stream, norms and steering are float32 in each.</summary>
public enum ComputeDtype
{
    /// <summary>Float32 or bfloat16, by <see cref="DtypeChoice.Auto"/>'s rule.</summary>
    Auto,

    /// <summary>IEEE 754 binary32.</summary>
    Float32,

    /// <summary>The upper 16 bits of a binary32.</summary>
    BFloat16,

    /// <summary>Weights of products in 8 bits, one scale an output; products in bfloat16.</summary>
    Int8,
}

/// <summary>The type that a model is computed in, and why.</summary>
/// <param name="Weights">Float32, BFloat16 or Int8.</param>
/// <param name="Reason">In words, for a person.</param>
public sealed record DtypeChoice(ScalarType Weights, string Reason)
{
    /// <summary>Models of fewer parameters are computed in float32: their products take little of a token's time.</summary>
    public const long SmallModel = 50_000_000;

    /// <summary>How many times faster than float32 bfloat16 has to be before it is worth its rounding.</summary>
    public const double WorthIt = 1.2;

    private const int Rows = 4; // of the products that are timed: a small batch
    private const int Trials = 7;
    private const int LargestSide = 4096; // of the matrices that are timed: 64 MB in float32

    /// <summary>The type of products' inputs and outputs, and of the KV cache.</summary>
    public ScalarType Activations => ActivationsOf(Weights);

    /// <summary>The type as the contract says it.</summary>
    public WeightDtype Contract => Weights switch
    {
        ScalarType.Float32 => WeightDtype.Float32,
        ScalarType.BFloat16 => WeightDtype.Bfloat16,
        _ => WeightDtype.Int8,
    };

    /// <summary>The type of products' inputs and outputs.</summary>
    /// <param name="weights">Float32, BFloat16 or Int8.</param>
    public static ScalarType ActivationsOf(ScalarType weights) => weights == ScalarType.Int8 ? ScalarType.BFloat16 : weights;

    /// <summary>Chooses for a checkpoint; <see cref="ComputeDtype.Auto"/> reads its headers and may time a product.</summary>
    /// <param name="wish">What is asked for.</param>
    /// <param name="folder">The checkpoint.</param>
    /// <param name="device">Where the model will be.</param>
    /// <exception cref="LrtMeshException">The checkpoint is unreadable or damaged.</exception>
    public static DtypeChoice Make(ComputeDtype wish, string folder, Device device)
    {
        if (device.type == TorchSharp.DeviceType.CUDA)
        {
            return OnGpu(wish, folder);
        }

        if (wish != ComputeDtype.Auto)
        {
            return Asked(wish);
        }

        var (_, config) = Family.ReadFolder(folder);
        using var files = CheckpointFiles.Open(folder);
        return Auto(
            files.Elements, files.Holds(ScalarType.Float32), GC.GetGCMemoryInfo().TotalAvailableMemoryBytes,
            () => SpeedOfBFloat16(config.Width, config.GatedMlp ? 2L * config.MlpWidth : config.MlpWidth));
    }

    /// <summary>Chooses for random weights of a shape; <see cref="ComputeDtype.Auto"/> times a product, whatever the model's size.</summary>
    public static DtypeChoice Make(ComputeDtype wish, ModelConfig config) => wish != ComputeDtype.Auto ? Asked(wish) : Auto(
        SmallModel, storedInFloat32: false, long.MaxValue, () => SpeedOfBFloat16(config.Width, config.GatedMlp ? 2L * config.MlpWidth : config.MlpWidth));

    /// <summary>
    /// What auto picks: int8 where only that fits into memory; float32 where the checkpoint has it or the model is small; otherwise
    /// bfloat16 if this machine is faster in it.
    /// </summary>
    /// <param name="elements">Of the checkpoint's tensors.</param>
    /// <param name="storedInFloat32">Whether it holds tensors in float32, which bfloat16 would round.</param>
    /// <param name="memory">Bytes that this process may use.</param>
    /// <param name="speed">Measures how many times faster than in float32 a product is in bfloat16; called where it decides.</param>
    public static DtypeChoice Auto(long elements, bool storedInFloat32, long memory, Func<double> speed)
    {
        if (2 * elements > memory)
        {
            return new(ScalarType.Int8, FormattableString.Invariant($"auto: {2 * elements / 1e9:F1} GB in bfloat16 do not fit into {memory / 1e9:F1} GB"));
        }

        if (4 * elements > memory)
        {
            return new(ScalarType.BFloat16, FormattableString.Invariant($"auto: {4 * elements / 1e9:F1} GB in float32 do not fit into {memory / 1e9:F1} GB"));
        }

        if (Exact(elements, storedInFloat32) is { } exact)
        {
            return exact;
        }

        var times = speed();
        return new(
            times >= WorthIt ? ScalarType.BFloat16 : ScalarType.Float32,
            FormattableString.Invariant($"auto: a product of {Rows} rows in bfloat16 was {times:F1} times as fast as in float32"));
    }

    /// <summary>On a GPU auto takes bfloat16 but where float32 loses nothing of what is stored, or costs little.</summary>
    private static DtypeChoice OnGpu(ComputeDtype wish, string folder)
    {
        if (wish != ComputeDtype.Auto)
        {
            return Asked(wish);
        }

        using var files = CheckpointFiles.Open(folder);
        return Exact(files.Elements, files.Holds(ScalarType.Float32)) ?? new(ScalarType.BFloat16, "auto: on a GPU");
    }

    /// <summary>Float32 where bfloat16 would round what is stored, or the model is small; null otherwise.</summary>
    private static DtypeChoice? Exact(long elements, bool storedInFloat32) => storedInFloat32 ? new(ScalarType.Float32, "auto: stored in float32")
        : elements < SmallModel ? new(ScalarType.Float32, FormattableString.Invariant($"auto: under {SmallModel / 1e6:F0} million parameters"))
        : null;

    private static DtypeChoice Asked(ComputeDtype wish) => new(
        wish switch { ComputeDtype.Float32 => ScalarType.Float32, ComputeDtype.BFloat16 => ScalarType.BFloat16, _ => ScalarType.Int8 }, "asked for");

    /// <summary>Times a product of the model's widest matrix in both types, in turns.</summary>
    private static double SpeedOfBFloat16(long inputs, long outputs)
    {
        NativeTorch.EnsureLoaded();
        using var inference = inference_mode();
        using var scope = NewDisposeScope();
        var wide = zeros(Math.Min(outputs, LargestSide), Math.Min(inputs, LargestSide));
        var narrow = wide.to(ScalarType.BFloat16);
        var x = zeros(Rows, wide.size(1));
        var rounded = x.to(ScalarType.BFloat16);
        var ratios = new List<double>();
        for (var trial = 0; trial <= Trials; trial++)
        {
            var start = Stopwatch.GetTimestamp();
            nn.functional.linear(x, wide);
            var between = Stopwatch.GetTimestamp();
            nn.functional.linear(rounded, narrow);
            if (trial > 0) // the first also prepares the kernels
            {
                ratios.Add((between - start) / (double)(Stopwatch.GetTimestamp() - between));
            }
        }

        return ratios.Order().ElementAt(Trials / 2);
    }
}
