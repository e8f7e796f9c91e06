using LrtMesh.Core.Tensors;
using static TorchSharp.torch;

namespace LrtMesh.Core.Models;

/// <summary>Takes some rows of a matrix.</summary>
/// <param name="first">The number of the first.</param>
/// <param name="elements">Whole rows, one after the other; valid for the call, in which they may be overwritten.</param>
public delegate void TakeRows(int first, Span<float> elements);

/// <summary>
/// Where a family's mapping takes tensors from, by their names in a checkpoint. A checkpoint's files are one source; the other
/// only notes what is asked for: with it a checkpoint is checked before any memory is taken, and one of random weights is made.
/// </summary>
public abstract class TensorSource
{
    /// <summary>Memory to read into.</summary>
    /// <param name="shape">Its sizes.</param>
    /// <param name="dtype">Its type.</param>
    public abstract Tensor Allocate(IReadOnlyList<long> shape, ScalarType dtype);

    /// <summary>Reads a tensor into memory that is there: a whole tensor, or rows of one in which several lie side by side.</summary>
    /// <param name="name">Its name in the checkpoint.</param>
    /// <param name="target">Contiguous; of the shape that the tensor must have, and of the type wanted. Floating types are converted.</param>
    /// <exception cref="LrtMeshException">Not there, or of another shape or kind.</exception>
    public abstract void ReadInto(string name, Tensor target);

    /// <summary>Reads a matrix as float32, some rows at a time, so that it need not be held in that type.</summary>
    /// <param name="name">Its name in the checkpoint.</param>
    /// <param name="shape">The shape that it must have, [rows, columns].</param>
    /// <param name="take">Called with rows, in order.</param>
    /// <exception cref="LrtMeshException">Not there, or of another shape or kind.</exception>
    public virtual void ReadRows(string name, IReadOnlyList<long> shape, TakeRows take)
    {
        using var whole = Read(name, shape, ScalarType.Float32);
        take(0, whole.Floats());
    }

    /// <summary>Reads a tensor.</summary>
    /// <param name="name">Its name in the checkpoint.</param>
    /// <param name="shape">The shape that it must have.</param>
    /// <param name="dtype">The type wanted, to which floating types are converted.</param>
    /// <returns>A fresh tensor.</returns>
    /// <exception cref="LrtMeshException">Not there, or of another shape or kind.</exception>
    public Tensor Read(string name, IReadOnlyList<long> shape, ScalarType dtype)
    {
        var tensor = Allocate(shape, dtype);
        try
        {
            ReadInto(name, tensor);
            return tensor;
        }
        catch
        {
            tensor.Dispose();
            throw;
        }
    }
}

/// <summary>Notes the tensors that are asked for and gives tensors without memory.</summary>
/// <param name="check">Called with each tensor; throws where the asking must end.</param>
internal sealed class TensorNotes(Action<TensorPlan> check) : TensorSource
{
    private readonly Dictionary<string, TensorPlan> _plans = new(StringComparer.Ordinal);

    /// <summary>What was asked for, by name.</summary>
    public IReadOnlyDictionary<string, TensorPlan> Plans => _plans;

    /// <inheritdoc/>
    public override Tensor Allocate(IReadOnlyList<long> shape, ScalarType dtype) => empty([.. shape], dtype, META);

    /// <inheritdoc/>
    public override void ReadInto(string name, Tensor target) => Note(name, target.shape, target.dtype);

    /// <inheritdoc/>
    public override void ReadRows(string name, IReadOnlyList<long> shape, TakeRows take) => Note(name, shape, ScalarType.Float32);

    private void Note(string name, IReadOnlyList<long> shape, ScalarType dtype)
    {
        var plan = new TensorPlan(name, shape, dtype);
        if (_plans.TryAdd(name, plan))
        {
            check(plan);
        }
    }
}
