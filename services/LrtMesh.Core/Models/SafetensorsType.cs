using static TorchSharp.torch;

namespace LrtMesh.Core.Models;

/// <summary>
/// An element type of the safetensors format. A file may hold tensors of every one of them; those for which torch has no
/// type here can lie in a file, and cannot be read from it.
/// </summary>
/// <param name="Name">As the header writes it.</param>
/// <param name="Bits">Of one element.</param>
/// <param name="Torch">Torch's type; null where there is none.</param>
public sealed record SafetensorsType(string Name, int Bits, ScalarType? Torch)
{
    private static readonly SafetensorsType[] All =
    [
        new("F64", 64, ScalarType.Float64), new("F32", 32, ScalarType.Float32), new("F16", 16, ScalarType.Float16),
        new("BF16", 16, ScalarType.BFloat16), new("I64", 64, ScalarType.Int64), new("I32", 32, ScalarType.Int32),
        new("I16", 16, ScalarType.Int16), new("I8", 8, ScalarType.Int8), new("U8", 8, ScalarType.Byte), new("BOOL", 8, ScalarType.Bool),
        new("U16", 16, null), new("U32", 32, null), new("U64", 64, null), new("C64", 64, null),
        new("F8_E4M3", 8, null), new("F8_E5M2", 8, null), new("F8_E8M0", 8, null), new("F6_E2M3", 6, null), new("F6_E3M2", 6, null), new("F4", 4, null),
    ];

    /// <summary>Whether it is a number that may be converted to another floating type.</summary>
    public bool IsFloating => Torch is ScalarType.Float64 or ScalarType.Float32 or ScalarType.Float16 or ScalarType.BFloat16;

    /// <summary>The contract's name of a floating type.</summary>
    public V1.Dtype Contract => Torch switch
    {
        ScalarType.Float64 => V1.Dtype.Float64,
        ScalarType.Float32 => V1.Dtype.Float32,
        ScalarType.Float16 => V1.Dtype.Float16,
        ScalarType.BFloat16 => V1.Dtype.Bfloat16,
        _ => throw new InvalidOperationException($"{Name} is no floating type"),
    };

    /// <summary>The type of a name; null if the format has none.</summary>
    public static SafetensorsType? Find(string name) => Array.Find(All, type => type.Name == name);

    /// <summary>The format's type for torch's.</summary>
    public static SafetensorsType Of(ScalarType type) => Array.Find(All, t => t.Torch == type)
        ?? throw new LrtMeshException(ErrorReason.InvalidArgument, $"safetensors has no dtype for {type}");

    /// <summary>Bytes of a tensor; null if they are no whole number or do not fit 63 bits.</summary>
    /// <param name="shape">Sizes, none negative.</param>
    public long? BytesOf(IReadOnlyList<long> shape)
    {
        var limit = (UInt128)long.MaxValue * 8;
        var bits = (UInt128)Bits;
        foreach (var size in shape)
        {
            if (size != 0 && bits > limit / (ulong)size)
            {
                return null;
            }

            bits *= (ulong)size;
        }

        return bits % 8 == 0 ? (long)(bits / 8) : null;
    }
}
