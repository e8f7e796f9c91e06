using System.Globalization;
using k8s.Models;

namespace LrtMesh.Services.Tests.Deployment;

/// <summary>When replicas of a role come and go: what an autoscaler of Kubernetes and one of KEDA, which makes one of Kubernetes of itself, both say.</summary>
/// <param name="Least">Replicas at least.</param>
/// <param name="Most">Replicas at most.</param>
/// <param name="CpuPercent">What replicas should use of the CPUs that they request, on average.</param>
/// <param name="InHand">How many requests each replica should have in hand, running or waiting, on average; null where nobody counts them.</param>
/// <param name="Behavior">How fast.</param>
internal sealed record ScalingRules(int Least, int Most, int CpuPercent, double? InHand, V2HorizontalPodAutoscalerBehavior Behavior)
{
    public static ScalingRules Of(V2HorizontalPodAutoscalerSpec scaler) =>
        new(scaler.MinReplicas!.Value, scaler.MaxReplicas, scaler.Metrics.Single().Resource.Target.AverageUtilization!.Value, null, scaler.Behavior);

    public static ScalingRules Of(ScaledObject.Scaling scaler) => new(
        scaler.MinReplicaCount,
        scaler.MaxReplicaCount,
        int.Parse(scaler.Triggers.Single(trigger => trigger.Type == "cpu").Metadata["value"], CultureInfo.InvariantCulture),
        double.Parse(scaler.Triggers.Single(trigger => trigger.Type == "prometheus").Metadata["threshold"], CultureInfo.InvariantCulture),
        scaler.Advanced.HorizontalPodAutoscalerConfig.Behavior);
}
