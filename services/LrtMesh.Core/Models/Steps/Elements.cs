using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using LrtMesh.Core.Tensors;

namespace LrtMesh.Core.Models.Steps;

/// <summary>A type that weights, keys and values are kept in, read as float32.</summary>
internal unsafe interface IElement
{
    /// <summary>Bytes of one.</summary>
    static abstract int Size { get; }

    /// <summary>Sixteen side by side.</summary>
    static abstract Vector512<float> Load(byte* at);

    /// <summary>One.</summary>
    static abstract float LoadOne(byte* at);
}

/// <summary>IEEE 754 binary32.</summary>
internal readonly unsafe struct Float32Element : IElement
{
    public static int Size => sizeof(float);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(byte* at) => Vector512.Load((float*)at);

    public static float LoadOne(byte* at) => *(float*)at;
}

/// <summary>The upper half of a binary32.</summary>
internal readonly unsafe struct BFloat16Element : IElement
{
    public static int Size => sizeof(ushort);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(byte* at) => (Avx512F.ConvertToVector512UInt32(Vector256.Load((ushort*)at)) << 16).AsSingle();

    public static float LoadOne(byte* at) => ElementConversion.FromBFloat16(*(ushort*)at);
}

/// <summary>Eight bits; what they are multiplied by is the product's business.</summary>
internal readonly unsafe struct Int8Element : IElement
{
    public static int Size => sizeof(sbyte);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(byte* at) => Avx512F.ConvertToVector512Single(Avx512F.ConvertToVector512Int32(Vector128.Load((sbyte*)at)));

    public static float LoadOne(byte* at) => *(sbyte*)at;
}
