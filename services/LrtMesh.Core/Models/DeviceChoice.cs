using System.Globalization;
using LrtMesh.Core.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.Core.Models;

/// <summary>The device that models are held and computed on.</summary>
/// <param name="Device">A CPU, or one GPU.</param>
/// <param name="Reason">In words, for a person.</param>
public sealed record DeviceChoice(Device Device, string Reason)
{
    /// <summary>A GPU where one can be used, otherwise the CPU.</summary>
    public const string Auto = "auto";

    /// <summary>How a device is asked for.</summary>
    public const string Form = "auto (a GPU where one can be used), cpu, cuda, or cuda:N, the GPU of that number";

    /// <summary>Chooses.</summary>
    /// <param name="wish">As <see cref="Form"/> says.</param>
    /// <exception cref="LrtMeshException">InvalidArgument: not of that form. FailedPrecondition: no such GPU can be used here.</exception>
    public static DeviceChoice Make(string wish)
    {
        NativeTorch.EnsureLoaded();
        if (wish == "cpu")
        {
            return new(CPU, "asked for");
        }

        if (wish == Auto)
        {
            return NativeTorch.Gpus > 0 ? new(device(DeviceType.CUDA, 0), "auto: the first GPU") : new(CPU, $"auto: {NativeTorch.WhyNoGpu}");
        }

        var number = wish == "cuda" ? "0" : wish.StartsWith("cuda:", StringComparison.Ordinal) ? wish["cuda:".Length..] : "";
        if (!int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var index))
        {
            throw LrtMeshException.Invalid("device", $"must be {Form}, not '{wish}'");
        }

        return index < NativeTorch.Gpus
            ? new(device(DeviceType.CUDA, index), "asked for")
            : throw new LrtMeshException(
                ErrorReason.FailedPrecondition,
                $"device {wish}: {(NativeTorch.Gpus == 0 ? NativeTorch.WhyNoGpu : $"this process sees {NativeTorch.Gpus} GPUs, from cuda:0 on")}");
    }
}
