using static TorchSharp.torch;

namespace LrtMesh.Core.Models;

/// <summary>
/// Where a family's mapping takes tensors from, by their names in a checkpoint. A checkpoint's files are one source; the other
/// only notes what is asked for: with it a checkpoint is checked before any memory is taken, and one of random weights is made.
/// </summary>
public abstract class TensorSource
{
    /// <summary>Reads a tensor.</summary>
    /// <param name="name">Its name in the checkpoint.</param>
    /// <param name="shape">The shape that it must have.</param>
    /// <param name="dtype">The type wanted, to which floating types are converted.</param>
    /// <returns>A fresh tensor.</returns>
    /// <exception cref="LrtMeshException">Not there, or of another shape or kind.</exception>
    public abstract Tensor Read(string name, IReadOnlyList<long> shape, ScalarType dtype);
}

/// <summary>Notes the tensors that are asked for and gives tensors without memory.</summary>
/// <param name="check">Called with each tensor; throws where the asking must end.</param>
internal sealed class TensorNotes(Action<TensorPlan> check) : TensorSource
{
    private static readonly Device Meta = new(TorchSharp.DeviceType.META);

    private readonly Dictionary<string, TensorPlan> _plans = new(StringComparer.Ordinal);

    /// <summary>What was asked for, by name.</summary>
    public IReadOnlyDictionary<string, TensorPlan> Plans => _plans;

    /// <inheritdoc/>
    public override Tensor Read(string name, IReadOnlyList<long> shape, ScalarType dtype)
    {
        var plan = new TensorPlan(name, shape, dtype);
        if (_plans.TryAdd(name, plan))
        {
            check(plan);
        }

        return empty([.. shape], dtype, Meta);
    }
}
