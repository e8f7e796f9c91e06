using System.Numerics.Tensors;

namespace LrtMesh.Core.Steering.Learning;

/// <summary>The hidden states that stand for the texts of contrast pairs at one layer, in float64.</summary>
public sealed class PairedStates
{
    private const long MaxBytes = 1L << 30; // of float32

    private PairedStates(double[][] positive, double[][] negative) => (Positive, Negative) = (positive, negative);

    /// <summary>Of the texts that show the behaviour, [pairs][width].</summary>
    internal double[][] Positive { get; }

    /// <summary>Of their partners, [pairs][width].</summary>
    internal double[][] Negative { get; }

    /// <summary>How many pairs.</summary>
    public int Count => Positive.Length;

    /// <summary>Width of the model.</summary>
    internal int Width => Positive[0].Length;

    /// <summary>Refuses what would take too much memory, before any is taken.</summary>
    /// <param name="pairs">How many pairs.</param>
    /// <param name="layers">How many layers, all read at once.</param>
    /// <param name="width">Of a state.</param>
    /// <exception cref="LrtMeshException">InvalidArgument.</exception>
    public static void RequireRoom(int pairs, int layers, long width)
    {
        var each = 2 * sizeof(float) * width * layers;
        if (pairs * each > MaxBytes)
        {
            throw LrtMeshException.Invalid(
                "pairs",
                $"must be at most {MaxBytes / each} with {layers} layers of width {width}, not {pairs}: their states may take {MaxBytes >> 20} MiB; take fewer pairs or layers at once");
        }
    }

    /// <summary>Widens states.</summary>
    /// <param name="states">Of each pair the positive text's and then the negative's: [pairs, 2, width], at least one pair.</param>
    /// <param name="width">Of a state.</param>
    /// <exception cref="LrtMeshException">FailedPrecondition: a state is not finite.</exception>
    public static PairedStates From(ReadOnlySpan<float> states, int width)
    {
        var pairs = states.Length / width / 2;
        var (positive, negative) = (new double[pairs][], new double[pairs][]);
        for (var pair = 0; pair < pairs; pair++)
        {
            var both = states.Slice(2 * pair * width, 2 * width);
            if (!TensorPrimitives.IsFiniteAll(both))
            {
                throw LrtMeshException.Mismatch("model", $"its hidden states of pairs[{pair}] are not all finite numbers: nothing can be learnt from them");
            }

            positive[pair] = Widen(both[..width]);
            negative[pair] = Widen(both[width..]);
        }

        return new PairedStates(positive, negative);
    }

    /// <summary>Some of the pairs; nothing is copied.</summary>
    internal PairedStates Only(int[] pairs) => new(Array.ConvertAll(pairs, pair => Positive[pair]), Array.ConvertAll(pairs, pair => Negative[pair]));

    /// <summary>Positive less negative state of each pair.</summary>
    internal StateRows Differences()
    {
        var rows = new double[Count][];
        for (var pair = 0; pair < rows.Length; pair++)
        {
            rows[pair] = new double[Width];
            TensorPrimitives.Subtract<double>(Positive[pair], Negative[pair], rows[pair]);
        }

        return new StateRows(rows);
    }

    private static double[] Widen(ReadOnlySpan<float> state)
    {
        var wide = new double[state.Length];
        TensorPrimitives.ConvertTruncating(state, wide.AsSpan());
        return wide;
    }
}
