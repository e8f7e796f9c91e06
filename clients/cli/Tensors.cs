using LrtMesh.Client;
using LrtMesh.V1;

namespace LrtMesh.Cli;

/// <summary>Tensors that a server sends, with errors as a command shows them.</summary>
internal static class Tensors
{
    /// <summary>The elements of a whole float32 tensor.</summary>
    /// <exception cref="CommandException">It is of another type, or damaged.</exception>
    public static float[] Float32(Tensor tensor)
    {
        try
        {
            return tensor.Header?.Dtype == Dtype.Float32 ? TensorBytes.Decode(tensor) : throw new BrokenTensorException("not of float32");
        }
        catch (BrokenTensorException e)
        {
            throw new CommandException($"The server sent a tensor that is damaged, or not of float32: {e.Message}.");
        }
    }

    /// <summary>Bytes of one element.</summary>
    /// <exception cref="CommandException">The type is none that this version knows.</exception>
    public static int ElementSize(Dtype dtype) => dtype switch
    {
        Dtype.Float16 or Dtype.Bfloat16 => 2,
        Dtype.Float32 => 4,
        Dtype.Float64 => 8,
        _ => throw new CommandException($"The server sent a tensor of unknown element type {dtype}."),
    };
}
