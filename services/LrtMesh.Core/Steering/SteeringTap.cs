using LrtMesh.Core.Models;
using static TorchSharp.torch;

namespace LrtMesh.Core.Steering;

/// <summary>Steers a batch by its rows of the steering table.</summary>
/// <param name="table">The table.</param>
/// <param name="lanes">What is done, in this order at each layer.</param>
public sealed class SteeringTap(SteeringTable table, IReadOnlyList<SteeringLane> lanes) : Tap
{
    /// <inheritdoc/>
    public override Tensor AfterBlock(int layer, Tensor hidden)
    {
        foreach (var lane in lanes.Where(lane => lane.Condition?.Layer == layer))
        {
            lane.Condition!.Look(hidden);
        }

        foreach (var lane in lanes.Where(lane => lane.Layer == layer))
        {
            hidden = lane.Apply(table, hidden);
        }

        return hidden;
    }
}
