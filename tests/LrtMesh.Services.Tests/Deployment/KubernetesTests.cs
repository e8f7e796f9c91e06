using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text.RegularExpressions;
using k8s;
using k8s.Models;
using LrtMesh.Core.Store;
using LrtMesh.Extraction;
using LrtMesh.Mapping;
using LrtMesh.ServiceDefaults;
using LrtMesh.TestKit;
using LrtMesh.TestKit.Stores;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace LrtMesh.Services.Tests.Deployment;

/// <summary>k8s/, skaffold.yaml and the Dockerfiles agree with each other and with the roles.</summary>
public sealed partial class KubernetesTests
{
    private const string Component = "app.kubernetes.io/component";
    private static readonly string[] Components = ["extraction", "generation", "mapping"];

    public static TheoryData<string> All => Manifests.All;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Theory]
    [MemberData(nameof(All))]
    public async Task Every_container_is_confined_probed_and_limited(string name)
    {
        var manifests = await Manifests.LoadAsync(name);
        Assert.Equal(Components, manifests.Roles.Select(ComponentOf).Order());
        foreach (var pod in manifests.Pods.Select(template => template.Spec))
        {
            Assert.True(pod.SecurityContext.RunAsNonRoot);
            Assert.True(pod.SecurityContext.RunAsUser > 0);
            Assert.Equal("RuntimeDefault", pod.SecurityContext.SeccompProfile.Type);
            Assert.False(pod.AutomountServiceAccountToken);
            Assert.False(pod.EnableServiceLinks); // Kubernetes would add LRTMESH_* variables of its own
            Assert.All(pod.Containers, container =>
            {
                Assert.True(container.SecurityContext.ReadOnlyRootFilesystem);
                Assert.False(container.SecurityContext.AllowPrivilegeEscalation);
                Assert.Equal(["ALL"], container.SecurityContext.Capabilities.Drop);
                Assert.Null(container.SecurityContext.Capabilities.Add);
                Assert.All([container.StartupProbe, container.ReadinessProbe, container.LivenessProbe], Assert.NotNull);
                var cpus = container.Resources.Limits["cpu"].ToDecimal();
                Assert.True(cpus >= 1 && cpus == decimal.Truncate(cpus), "torch runs as many threads as .NET counts CPUs, which is the limit rounded up");
                foreach (var resource in new[] { "cpu", "memory" })
                {
                    Assert.InRange(container.Resources.Requests[resource].ToDecimal(), 0.001m, container.Resources.Limits[resource].ToDecimal());
                }
            });
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public async Task A_role_reads_every_setting_that_it_is_given(string name)
    {
        var manifests = await Manifests.LoadAsync(name);
        var services = manifests.Of<V1Service>().ToDictionary(service => service.Metadata.Name);
        foreach (var role in manifests.Roles)
        {
            var container = Assert.Single(role.Spec.Template.Spec.Containers);
            var options = OptionsOf(role, manifests);

            Assert.Equal([("grpc", options.Port), ("ops", options.OpsPort!.Value)], container.Ports.Select(port => (port.Name, port.ContainerPort)));
            Assert.Equal(IPAddress.Any, options.Address);
            // A native gRPC probe speaks neither TLS nor a token.
            Assert.Equal(
                ["/health/ready", "/health/ready", "/health/live"],
                new[] { container.StartupProbe, container.ReadinessProbe, container.LivenessProbe }.Select(probe => probe.HttpGet.Port == "ops" ? probe.HttpGet.Path : null));
            Assert.Equal(
                new Dictionary<string, string> { ["prometheus.io/scrape"] = "true", ["prometheus.io/port"] = $"{options.OpsPort}", ["prometheus.io/path"] = "/metrics" },
                role.Spec.Template.Metadata.Annotations);
            // Whoever reaches a pod shows a token, over TLS; where it is not so, it was said.
            var guarded = name.StartsWith("production", StringComparison.Ordinal);
            Assert.Equal((guarded, guarded, !guarded), (options.Access.Tls is not null, options.Access.Tokens is not null, options.Access.Insecure));
            Assert.Equal(guarded ? "https" : "kubernetes.io/h2c", Assert.Single(services[role.Metadata.Name].Spec.Ports).AppProtocol);
            string?[] files = [options.Access.Tls?.Certificate, options.Access.Tls?.Key, options.Access.Tokens?.Jwks, options.Peers.Ca, options.Peers.TokenFile];
            Assert.All(files.OfType<string>(), file => Assert.Contains(container.VolumeMounts, mount => file.StartsWith($"{mount.MountPath}/", StringComparison.Ordinal) && mount.ReadOnlyProperty == true));
            switch (options)
            {
                case ModelRoleOptions models:
                    var held = Held(container, role);
                    Assert.All(models.Models, model => Assert.True(held.Any(folder => $"{model.Location}/".StartsWith($"{folder}/", StringComparison.Ordinal)), $"nothing brings {model.Location}"));
                    Assert.Equal(container.Resources.Limits.ContainsKey("nvidia.com/gpu") ? "cuda" : "auto", models.Device);
                    break;
                case MappingOptions mapping:
                    Assert.Equal(["lrtmesh-extraction", "lrtmesh-generation"], mapping.Endpoints().Select(uri => uri.AbsolutePath.TrimStart('/').Split(':')[0]));
                    Assert.All(mapping.Endpoints(), uri =>
                    {
                        Assert.StartsWith("dns:///", uri.OriginalString, StringComparison.Ordinal);
                        Assert.Equal(guarded, mapping.Peers is { TokenFile: not null } && mapping.Peers.IsSecure(uri));
                        var address = uri.AbsolutePath.TrimStart('/').Split(':');
                        Assert.Equal(address[1], Assert.Single(services[address[0]].Spec.Ports).Port.ToString(CultureInfo.InvariantCulture));
                    });
                    break;
            }
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public async Task Services_budgets_and_autoscalers_find_their_pods(string name)
    {
        var manifests = await Manifests.LoadAsync(name);
        foreach (var service in manifests.Of<V1Service>())
        {
            Assert.Equal("None", service.Spec.ClusterIP);
            var port = Assert.Single(service.Spec.Ports);
            var pod = Assert.Single(manifests.Pods, pod => service.Spec.Selector.All(pod.Metadata.Labels.Contains));
            Assert.Equal(port.Port, pod.Spec.Containers[0].Ports.Single(open => open.Name == port.TargetPort).ContainerPort);
        }

        foreach (var role in manifests.Roles)
        {
            Assert.Single(manifests.Of<V1PodDisruptionBudget>(), budget => budget.Spec.Selector.MatchLabels.All(role.Spec.Template.Metadata.Labels.Contains));
            Assert.All(role.Spec.Template.Spec.TopologySpreadConstraints, spread => Assert.Equal(role.Spec.Selector.MatchLabels, spread.LabelSelector.MatchLabels));
            var pod = role.Spec.Template.Spec;
            var drain = OptionsOf(role, manifests).Drain;
            Assert.True(drain.Announce > TimeSpan.Zero, "clients would not learn in time that it goes");
            Assert.True(pod.TerminationGracePeriodSeconds > drain.Longest.TotalSeconds, "it would be killed while calls may still end");

            // Either a number or one autoscaler says how many.
            var scalers = ScaledBy(manifests).Count(target => target == role.Metadata.Name);
            Assert.InRange(scalers, 0, role.Spec.Replicas is null ? 1 : 0);
        }

        Assert.All(ScaledBy(manifests), target => Assert.Contains(target, manifests.Roles.Select(role => role.Metadata.Name)));
    }

    [Fact]
    public async Task Keda_scales_each_role_as_Kubernetes_would_and_by_a_queue_that_the_roles_tell_of()
    {
        var (usual, keda) = (await Manifests.LoadAsync("production"), await Manifests.LoadAsync("production-keda"));
        Assert.Empty(keda.Of<V2HorizontalPodAutoscaler>());
        Assert.Equal(Components.Select(component => $"lrtmesh-{component}"), ScaledBy(keda).Order());
        var told = await File.ReadAllTextAsync(Path.Combine(RepositoryRoot.Find(), "docs/telemetry.md"), Ct); // a test holds it to what the roles export
        foreach (var (scaled, scaler) in keda.Of<ScaledObject>().Join(usual.Of<V2HorizontalPodAutoscaler>(), scaled => scaled.Metadata.Name, scaler => scaler.Metadata.Name, (scaled, scaler) => (scaled.Spec, scaler.Spec)))
        {
            Assert.Equal((scaler.MinReplicas, scaler.MaxReplicas), (scaled.MinReplicaCount, scaled.MaxReplicaCount));
            Assert.Equal(KubernetesYaml.Serialize(scaler.Behavior), KubernetesYaml.Serialize(scaled.Advanced.HorizontalPodAutoscalerConfig.Behavior));
            Assert.Equal($"{Assert.Single(scaler.Metrics).Resource.Target.AverageUtilization}", Assert.Single(scaled.Triggers, trigger => trigger.Type == "cpu").Metadata["value"]);
            var queue = Assert.Single(scaled.Triggers, trigger => trigger.Type == "prometheus");
            Assert.Equal(("AverageValue", true), (queue.MetricType, double.Parse(queue.Metadata["threshold"], CultureInfo.InvariantCulture) > 0));
            var metrics = Metric().Matches(queue.Metadata["query"]);
            Assert.NotEmpty(metrics);
            Assert.All(metrics, metric => Assert.Contains($"| `{metric.Value}` |", told, StringComparison.Ordinal));
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public async Task Only_the_mesh_reaches_the_store_and_only_clients_the_roles(string name)
    {
        var manifests = await Manifests.LoadAsync(name);
        var rules = new NetworkRules(manifests.Of<V1NetworkPolicy>());
        var pods = manifests.Pods.ToDictionary(pod => pod.Metadata.Labels[Component], pod => (Labels: pod.Metadata.Labels, Port: pod.Spec.Containers[0].Ports[0].ContainerPort, Ops: pod.Spec.Containers[0].Ports.SingleOrDefault(port => port.Name == "ops")?.ContainerPort));
        var scraper = new Dictionary<string, string> { ["lrtmesh-scraper"] = "true" };
        var stranger = new Dictionary<string, string>();
        var client = new Dictionary<string, string> { ["lrtmesh-client"] = "true" };

        foreach (var (component, pod) in pods)
        {
            Assert.False(rules.Allow(stranger, pod.Labels, pod.Port));
            Assert.Equal(component != "redis", rules.Allow(client, pod.Labels, pod.Port));
            Assert.False(rules.Allow(client, pod.Labels, pod.Port + 1));
            Assert.False(rules.AllowNamespace(scraper, pod.Labels, pod.Port));
            if (pod.Ops is { } ops)
            {
                Assert.True(rules.AllowNamespace(scraper, pod.Labels, ops));
                Assert.False(rules.AllowNamespace(stranger, pod.Labels, ops));
                Assert.All([stranger, client, .. pods.Values.Select(other => other.Labels)], from => Assert.False(rules.Allow(from, pod.Labels, ops)));
            }

            foreach (var (other, from) in pods)
            {
                var allowed = component == "redis" ? other != "redis" : other == "mapping" && component != "mapping";
                Assert.True(allowed == rules.Allow(from.Labels, pod.Labels, pod.Port), $"{other} to {component}: {!allowed}");
            }
        }
    }

    [Fact]
    public async Task Skaffold_builds_and_forwards_what_dev_runs()
    {
        var manifests = await Manifests.LoadAsync("dev");
        var skaffold = Skaffold.Read();
        Assert.Equal(["k8s/overlays/dev"], skaffold.Manifests.Kustomize.Paths);
        Assert.Equal(manifests.Roles.Select(ImageOf).Order(), skaffold.Build.Artifacts.Select(artifact => artifact.Image).Order());
        Assert.Equal(manifests.Roles.Select(role => role.Metadata.Name).Order(), skaffold.PortForward.Select(forward => forward.ResourceName).Order());
        Assert.All(skaffold.PortForward, forward => Assert.Equal(
            ("deployment", manifests.Roles.Single(role => role.Metadata.Name == forward.ResourceName).Spec.Template.Spec.Containers[0].Ports[0].ContainerPort),
            (forward.ResourceType, forward.Port)));
        Assert.All(skaffold.Build.Artifacts, artifact =>
        {
            var role = manifests.Roles.Single(role => ImageOf(role) == artifact.Image);
            Assert.Equal(PathOf(role), artifact.Docker.Dockerfile);
            // The stage that has the models that dev names.
            Assert.Equal(Dockerfile.Read(artifact.Docker.Dockerfile).Stages.Contains("tiny") ? "tiny" : null, artifact.Docker.Target);
        });
    }

    [Fact]
    public void Skaffolds_profiles_deploy_the_overlay_of_their_name_and_production_builds_without_the_family()
    {
        var skaffold = Skaffold.Read();
        Assert.Equal(["ci", "production"], skaffold.Profiles.Select(profile => profile.Name));
        Assert.All(skaffold.Profiles, profile => Assert.Equal([$"k8s/overlays/{profile.Name}"], profile.Manifests.Kustomize.Paths));
        var targets = skaffold.Build.Artifacts.Index().Where(at => at.Item.Docker.Target is not null).Select(at => $"/build/artifacts/{at.Index}/docker/target");
        Assert.Equal(targets, skaffold.Profiles[1].Patches.Where(patch => patch.Op == "remove").Select(patch => patch.Path));
    }

    [Fact]
    public async Task Each_role_has_a_Dockerfile_that_restores_as_the_others_do()
    {
        var root = RepositoryRoot.Find();
        var roles = (await Manifests.LoadAsync(Manifests.Base)).Roles.ToArray();
        var restores = roles.Select(role => Dockerfile.Read(PathOf(role)).Restore.ToArray()).ToArray();
        Assert.All(restores, restore => Assert.Equal(restores[0], restore));
        foreach (var role in roles)
        {
            var file = Dockerfile.Read(PathOf(role));
            var pod = role.Spec.Template.Spec;
            var assembly = Path.GetFileName(Path.GetDirectoryName(PathOf(role)))!;
            Assert.Equal($"[\"dotnet\", \"{assembly}.dll\"]", Assert.Single(file.Of("ENTRYPOINT")));
            Assert.Contains($"services/{assembly} ", Assert.Single(file.Of("RUN"), line => line.StartsWith("dotnet publish", StringComparison.Ordinal)), StringComparison.Ordinal);
            Assert.Equal($"{pod.SecurityContext.RunAsUser}:{pod.SecurityContext.RunAsGroup}", Assert.Single(file.Of("USER")));
            Assert.Equal(string.Join(' ', pod.Containers[0].Ports.Select(port => port.ContainerPort)), Assert.Single(file.Of("EXPOSE")));
            Assert.All(file.Copies.SelectMany(copy => copy.Sources), source => Assert.True(Path.Exists(Path.Combine(root, source)), source));
        }

        // A project that the restore does not see fails the publish, which does not restore.
        var copied = Dockerfile.Read(PathOf(roles[0])).Copies.SelectMany(copy => copy.Sources).Where(source => source.EndsWith(".csproj", StringComparison.Ordinal)).ToHashSet();
        foreach (var project in copied)
        {
            var folder = Path.GetDirectoryName(Path.Combine(root, project))!;
            var references = System.Xml.Linq.XDocument.Load(Path.Combine(root, project)).Descendants("ProjectReference").Select(reference => (string)reference.Attribute("Include")!);
            Assert.All(references, reference => Assert.Contains(Path.GetRelativePath(root, Path.Combine(folder, reference)), copied));
        }
    }

    [Fact]
    public async Task The_store_that_is_deployed_has_on_disk_what_it_acknowledges()
    {
        await using var redis = new DeployedRedis();
        Assert.SkipWhen(redis.Missing is not null, redis.Missing ?? "");
        await redis.StartAsync();
        await using var store = await MeshStore.ConnectAsync(redis.Address, NullLogger<MeshStore>.Instance, Ct);
        Assert.Contains("every acknowledged write is on disk", store.Durability, StringComparison.Ordinal);
    }

    private static IEnumerable<string> ScaledBy(Manifests manifests) =>
        [.. manifests.Of<V2HorizontalPodAutoscaler>().Select(scaler => scaler.Spec.ScaleTargetRef.Name), .. manifests.Of<ScaledObject>().Select(scaler => scaler.Spec.ScaleTargetRef.Name)];

    [GeneratedRegex(@"\blrtmesh_\w+")]
    private static partial Regex Metric();

    private static string ComponentOf(V1Deployment role) => role.Spec.Template.Metadata.Labels[Component];

    private static string ImageOf(V1Deployment role) => role.Spec.Template.Spec.Containers[0].Image.Split(':')[0];

    private static string PathOf(V1Deployment role) => $"services/LrtMesh.{CultureInfo.InvariantCulture.TextInfo.ToTitleCase(ComponentOf(role))}/Dockerfile";

    private static RoleOptions OptionsOf(V1Deployment role, Manifests manifests)
    {
        var settings = new RoleSettings([], EnvironmentOf(role.Spec.Template.Spec.Containers[0], manifests));
        return ComponentOf(role) == "mapping" ? MappingOptions.From(settings) : ModelRoleOptions.From(settings);
    }

    /// <summary>The LRTMESH_* variables that a role's process sees.</summary>
    private static Dictionary<string, string> EnvironmentOf(V1Container container, Manifests manifests)
    {
        var component = container.Image.Split(':')[0]["lrtmesh-".Length..];
        var environment = new Dictionary<string, string>(Dockerfile.Read($"services/LrtMesh.{CultureInfo.InvariantCulture.TextInfo.ToTitleCase(component)}/Dockerfile").Environment);
        foreach (var (name, value) in container.EnvFrom.SelectMany(from => manifests.Of<V1ConfigMap>().Single(map => map.Metadata.Name == from.ConfigMapRef.Name).Data))
        {
            environment[name] = value;
        }

        foreach (var variable in container.Env)
        {
            environment[variable.Name] = variable.Value ?? SecretOf(variable.ValueFrom.SecretKeyRef, manifests);
        }

        return environment;
    }

    // One that you make yourself is not here.
    private static string SecretOf(V1SecretKeySelector key, Manifests manifests) =>
        manifests.Of<V1Secret>().SingleOrDefault(secret => secret.Metadata.Name == key.Name) is { } secret
            ? System.Text.Encoding.UTF8.GetString(secret.Data[key.Key])
            : "yours:6379";

    /// <summary>Folders of models that the image or a volume brings.</summary>
    private static string[] Held(V1Container container, V1Deployment role)
    {
        var volumes = container.VolumeMounts.Where(mount => mount.Name == "models").ToArray();
        Assert.All(volumes, mount => Assert.True(mount.ReadOnlyProperty));
        return volumes.Length > 0
            ? [.. volumes.Select(mount => mount.MountPath)]
            : [.. Dockerfile.Read(PathOf(role)).Copies.Select(copy => copy.Target).Where(target => target.StartsWith('/'))];
    }

    private sealed class DeployedRedis : StoreServer
    {
        private readonly RedisServerProcess _usual = new();

        public override string? Missing => _usual.Missing;

        protected override ProcessStartInfo Command(string folder, int port) => new(
            "redis-server",
            [
                Path.Combine(RepositoryRoot.Find(), "k8s/components/redis/redis.conf"),
                "--dir", folder, "--bind", "127.0.0.1", "--port", port.ToString(CultureInfo.InvariantCulture),
            ]);
    }
}
