using static TorchSharp.torch;

namespace LrtMesh.Core.Models;

/// <summary>
/// Rows of a matrix in 8 bits: w ≈ q·s with s = max|w| / 127 of its row and q the nearest of −127 to 127, so that an element is off by s/2 at
/// most (symmetric quantization per output channel, <see href="https://arxiv.org/abs/2004.09602">Wu et al. 2020</see>).
/// </summary>
internal static class Int8Rows
{
    private const double Largest = 127;

    /// <summary>Quantizes.</summary>
    /// <param name="rows">[rows, columns], float32.</param>
    /// <param name="quantized">Takes q, [rows, columns], int8.</param>
    /// <param name="scales">Takes s, [rows]; s is rounded to its type before q is found, so that this costs no accuracy.</param>
    public static void Write(Tensor rows, Tensor quantized, Tensor scales)
    {
        if (rows.device_type == TorchSharp.DeviceType.META)
        {
            return; // a plan of a load, without values
        }

        using var scope = NewDisposeScope();
        var largest = rows.abs().amax([1]); // [rows]
        scales.copy_(where(largest > 0, largest / Largest, ones_like(largest)));
        quantized.copy_((rows / scales.to(ScalarType.Float32).unsqueeze(1)).round_().clamp_(-Largest, Largest));
    }
}
