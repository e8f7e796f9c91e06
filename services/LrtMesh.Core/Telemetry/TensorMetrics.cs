using System.Diagnostics.Metrics;
using TorchSharp;

namespace LrtMesh.Core.Telemetry;

/// <summary>Tensors that travel in chunks, and those that live in this process.</summary>
internal static class TensorMetrics
{
    private static readonly Meter Meter = new("LrtMesh.Tensors");
    private static readonly Counter<long> Bytes = Meter.CreateCounter<long>("lrtmesh.tensor.bytes", "By", "Bytes of tensors that were streamed in chunks.");
    private static readonly KeyValuePair<string, object?> Out = new("network.io.direction", "transmit");
    private static readonly KeyValuePair<string, object?> In = new("network.io.direction", "receive");

    static TensorMetrics() =>
        Meter.CreateObservableGauge("lrtmesh.tensor.live", () => torch.Tensor.TotalCount, "{tensor}", "Tensors of torch that live in this process, weights included.");

    public static void Sent(int bytes) => Bytes.Add(bytes, Out);

    public static void Received(int bytes) => Bytes.Add(bytes, In);
}
