using TorchSharp;

namespace LrtMesh.Core.Tensors;

/// <summary>
/// Numbers as torch's operators take them. TorchSharp makes a Scalar of a number, hands native code its address and forgets it, so that the finalizer may free it before
/// native code has read it ("Expected false to be true", "Unknown scalar type"). Here each thread keeps the last ones that it made. A test finds numbers that are not made here.
/// </summary>
public static class Number
{
    private const int Kept = 16; // no operator takes so many, nor is one called within the making of so many others

    [ThreadStatic]
    private static Scalar[]? _last;

    [ThreadStatic]
    private static int _next;

    /// <summary>1, which a sum of tensors multiplies the second by; kept for ever.</summary>
    public static Scalar One { get; } = 1;

    /// <summary>A number, for the operator that is called next.</summary>
    public static Scalar Of(double value) => Keep(value);

    /// <inheritdoc cref="Of(double)"/>
    public static Scalar Of(long value) => Keep(value);

    private static Scalar Keep(Scalar number)
    {
        (_last ??= new Scalar[Kept])[_next] = number;
        _next = (_next + 1) % Kept;
        return number;
    }
}
