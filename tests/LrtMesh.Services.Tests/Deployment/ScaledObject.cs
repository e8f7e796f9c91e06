using System.Text.Json.Serialization;
using k8s.Models;

namespace LrtMesh.Services.Tests.Deployment;

/// <summary>KEDA's autoscaler (keda.sh/v1alpha1), with those of its fields that k8s/ sets.</summary>
internal sealed record ScaledObject
{
    [JsonPropertyName("apiVersion")]
    public string ApiVersion { get; init; } = "";

    [JsonPropertyName("kind")]
    public string Kind { get; init; } = "";

    [JsonPropertyName("metadata")]
    public V1ObjectMeta Metadata { get; init; } = new();

    [JsonPropertyName("spec")]
    public Scaling Spec { get; init; } = new();

    internal sealed record Scaling
    {
        [JsonPropertyName("scaleTargetRef")]
        public Target ScaleTargetRef { get; init; } = new();

        [JsonPropertyName("minReplicaCount")]
        public int MinReplicaCount { get; init; }

        [JsonPropertyName("maxReplicaCount")]
        public int MaxReplicaCount { get; init; }

        /// <summary>In seconds.</summary>
        [JsonPropertyName("pollingInterval")]
        public int PollingInterval { get; init; }

        [JsonPropertyName("triggers")]
        public List<Trigger> Triggers { get; init; } = [];

        [JsonPropertyName("advanced")]
        public AdvancedScaling Advanced { get; init; } = new();
    }

    internal sealed record Target
    {
        [JsonPropertyName("name")]
        public string Name { get; init; } = "";
    }

    internal sealed record Trigger
    {
        [JsonPropertyName("type")]
        public string Type { get; init; } = "";

        [JsonPropertyName("metricType")]
        public string MetricType { get; init; } = "";

        [JsonPropertyName("metadata")]
        public Dictionary<string, string> Metadata { get; init; } = [];
    }

    internal sealed record AdvancedScaling
    {
        [JsonPropertyName("horizontalPodAutoscalerConfig")]
        public AutoscalerConfig HorizontalPodAutoscalerConfig { get; init; } = new();
    }

    internal sealed record AutoscalerConfig
    {
        [JsonPropertyName("behavior")]
        public V2HorizontalPodAutoscalerBehavior Behavior { get; init; } = new();
    }
}
