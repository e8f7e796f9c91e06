using System.Text.Json.Serialization;
using k8s;
using LrtMesh.TestKit;

namespace LrtMesh.Services.Tests.Deployment;

/// <summary>skaffold.yaml, as far as the tests need it.</summary>
internal sealed record Skaffold
{
    [JsonPropertyName("build")]
    public Images Build { get; init; } = new();

    [JsonPropertyName("manifests")]
    public Source Manifests { get; init; } = new();

    [JsonPropertyName("portForward")]
    public List<Forward> PortForward { get; init; } = [];

    [JsonPropertyName("profiles")]
    public List<Profile> Profiles { get; init; } = [];

    public static Skaffold Read() => KubernetesYaml.Deserialize<Skaffold>(File.ReadAllText(Path.Combine(RepositoryRoot.Find(), "skaffold.yaml")));

    internal sealed record Images
    {
        [JsonPropertyName("artifacts")]
        public List<Artifact> Artifacts { get; init; } = [];
    }

    internal sealed record Artifact
    {
        [JsonPropertyName("image")]
        public string Image { get; init; } = "";

        [JsonPropertyName("docker")]
        public Docker Docker { get; init; } = new();
    }

    internal sealed record Docker
    {
        [JsonPropertyName("dockerfile")]
        public string Dockerfile { get; init; } = "";

        [JsonPropertyName("target")]
        public string? Target { get; init; }
    }

    internal sealed record Source
    {
        [JsonPropertyName("kustomize")]
        public Kustomize Kustomize { get; init; } = new();
    }

    internal sealed record Kustomize
    {
        [JsonPropertyName("paths")]
        public List<string> Paths { get; init; } = [];
    }

    internal sealed record Forward
    {
        [JsonPropertyName("resourceType")]
        public string ResourceType { get; init; } = "";

        [JsonPropertyName("resourceName")]
        public string ResourceName { get; init; } = "";

        [JsonPropertyName("port")]
        public int Port { get; init; }
    }

    internal sealed record Profile
    {
        [JsonPropertyName("name")]
        public string Name { get; init; } = "";

        [JsonPropertyName("patches")]
        public List<Patch> Patches { get; init; } = [];

        [JsonPropertyName("manifests")]
        public Source Manifests { get; init; } = new();
    }

    internal sealed record Patch
    {
        [JsonPropertyName("op")]
        public string Op { get; init; } = "";

        [JsonPropertyName("path")]
        public string Path { get; init; } = "";
    }
}
