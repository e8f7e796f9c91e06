using LrtMesh.Core.Models;
using static TorchSharp.torch;

namespace LrtMesh.Core.Steering;

/// <summary>Steers a batch by its rows of the steering table.</summary>
/// <param name="table">The table.</param>
/// <param name="lanes">What is done, in this order at each layer.</param>
public sealed class SteeringTap(SteeringTable table, IReadOnlyList<SteeringLane> lanes) : Tap
{
    private readonly ILookup<int, SteeringLane> _looking = lanes.Where(lane => lane.Condition is not null).ToLookup(lane => lane.Condition!.Layer);
    private readonly ILookup<int, SteeringLane> _steering = lanes.ToLookup(lane => lane.Layer);

    /// <inheritdoc/>
    public override bool Keeps => false;

    /// <inheritdoc/>
    public override Tensor AfterBlock(int layer, Tensor hidden)
    {
        foreach (var lane in _looking[layer])
        {
            lane.Condition!.Look(hidden);
        }

        foreach (var lane in _steering[layer])
        {
            hidden = lane.Apply(table, hidden);
        }

        return hidden;
    }
}
