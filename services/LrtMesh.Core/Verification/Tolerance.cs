using static TorchSharp.torch;

namespace LrtMesh.Core.Verification;

/// <summary>How far a value may lie from what is expected: |got − expected| ≤ Absolute + Relative·|expected|.</summary>
/// <param name="Absolute">At least 0.</param>
/// <param name="Relative">At least 0.</param>
/// <param name="Norm">
/// Where it is given a tensor is judged as a whole instead, by ‖got − expected‖ ≤ Norm·‖expected‖: rounded weights move single elements by
/// amounts that depend on the model, and token ids where two scores are close.
/// </param>
public sealed record Tolerance(double Absolute, double Relative, double? Norm = null)
{
    /// <summary>For float32 on a CPU: several times the noise of another order of summation.</summary>
    public static Tolerance Float32 { get; } = new(2e-4, 1e-5);

    /// <summary>The tolerance for weights of a type.</summary>
    public static Tolerance For(ScalarType weights) => weights switch
    {
        ScalarType.Float32 => Float32,
        ScalarType.BFloat16 => new(0, 0, Norm: 0.03), // products round to 8 bits of mantissa, block after block
        _ => new(0, 0, Norm: 0.08), // and weights to 1/254 of their row's largest
    };

    /// <summary>Compares two tensors of the same shape, element by element.</summary>
    /// <param name="name">Of the tensor, for the difference.</param>
    /// <param name="expected">What it should be, row-major.</param>
    /// <param name="got">What it is, row-major.</param>
    public Difference Compare(string name, ReadOnlySpan<float> expected, ReadOnlySpan<float> got)
    {
        if (expected.Length != got.Length)
        {
            throw new ArgumentException($"{name} has {expected.Length} elements and {got.Length} are compared with it", nameof(got));
        }

        var (worst, largest, scale) = (-1, 0.0, 0.0);
        var outside = 0L;
        var (squares, of) = (0.0, 0.0);
        for (var i = 0; i < got.Length; i++)
        {
            var difference = Math.Abs((double)got[i] - expected[i]);
            squares += difference * difference;
            of += (double)expected[i] * expected[i];
            scale = Math.Max(scale, Math.Abs(expected[i]));
            // Written so that what is not a number is outside, and the worst of all.
            outside += difference <= Absolute + (Relative * Math.Abs(expected[i])) ? 0 : 1;
            if (worst < 0 || difference > largest || (double.IsNaN(difference) && !double.IsNaN(largest)))
            {
                (worst, largest) = (i, difference);
            }
        }

        var relativeNorm = squares == 0 ? 0 : Math.Sqrt(squares / of);
        if (Norm is { } bound)
        {
            outside = relativeNorm <= bound ? 0 : got.Length;
        }

        return new Difference(name, largest, largest == 0 ? 0 : largest / scale, relativeNorm, outside, worst < 0 ? 0 : expected[worst], worst < 0 ? 0 : got[worst]);
    }
}

/// <summary>How far one tensor is from what is expected.</summary>
/// <param name="Name">Of the tensor.</param>
/// <param name="MaxAbsolute">The largest difference.</param>
/// <param name="MaxRelative">The same, relative to the largest expected value of the tensor.</param>
/// <param name="RelativeNorm">‖got − expected‖ / ‖expected‖.</param>
/// <param name="Outside">Elements outside the tolerance; all of them where the tensor as a whole is.</param>
/// <param name="Expected">What is expected where the difference is largest.</param>
/// <param name="Got">What is there.</param>
public sealed record Difference(string Name, double MaxAbsolute, double MaxRelative, double RelativeNorm, long Outside, float Expected, float Got)
{
    /// <summary>Whether every element is within the tolerance.</summary>
    public bool Agrees => Outside == 0;
}
