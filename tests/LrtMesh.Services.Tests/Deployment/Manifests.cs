using System.Diagnostics;
using k8s;
using k8s.Models;
using LrtMesh.TestKit;
using Xunit;

namespace LrtMesh.Services.Tests.Deployment;

/// <summary>The objects that one way of deploying makes: the base as its files have it, an overlay as kubectl renders it.</summary>
internal sealed class Manifests
{
    public const string Base = "base";

    private static readonly string[] Rendered = ["ci", "dev", "production", "production-gpu", "production-keda"];

    // What Kubernetes itself does not know.
    private static readonly Dictionary<string, Type> Others = new() { ["keda.sh/v1alpha1/ScaledObject"] = typeof(ScaledObject) };

    private readonly List<object> _objects;

    private Manifests(List<object> objects) => _objects = objects;

    public static TheoryData<string> All => [Base, .. Rendered];

    public IEnumerable<V1Deployment> Roles => Of<V1Deployment>();

    /// <summary>All pods, by the labels that the others find them by.</summary>
    public IEnumerable<V1PodTemplateSpec> Pods => [.. Roles.Select(role => role.Spec.Template), .. Of<V1StatefulSet>().Select(set => set.Spec.Template)];

    /// <summary>Reads strictly: a field that its kind does not have is an error.</summary>
    public static async Task<Manifests> LoadAsync(string name)
    {
        var folder = Path.Combine(RepositoryRoot.Find(), "k8s");
        if (name != Base)
        {
            return new(KubernetesYaml.LoadAllFromString(await RenderAsync(Path.Combine(folder, "overlays", name)), Others, strict: true));
        }

        var files = Directory.GetFiles(Path.Combine(folder, Base), "*.yaml").Where(path => Path.GetFileName(path) != "kustomization.yaml");
        var objects = new List<object>();
        foreach (var file in files)
        {
            objects.AddRange(KubernetesYaml.LoadAllFromString(await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken), strict: true));
        }

        // What its configMapGenerator makes of them.
        foreach (var file in Directory.GetFiles(Path.Combine(folder, Base, "settings"), "*.env"))
        {
            objects.Add(new V1ConfigMap
            {
                Metadata = new V1ObjectMeta { Name = $"lrtmesh-{Path.GetFileNameWithoutExtension(file)}" },
                Data = (await File.ReadAllLinesAsync(file, TestContext.Current.CancellationToken)).Select(line => line.Split('=', 2)).ToDictionary(pair => pair[0], pair => pair[1]),
            });
        }

        return new(objects);
    }

    public IEnumerable<T> Of<T>() => _objects.OfType<T>();

    private static async Task<string> RenderAsync(string folder)
    {
        var kubectl = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
            .Select(part => Path.Combine(part, "kubectl")).FirstOrDefault(File.Exists);
        // Missing, it skips tests, except in CI, where it must fail them.
        const string missing = "kubectl is not on the PATH: it renders the overlays, and must be 1.21 or later";
        Assert.SkipWhen(kubectl is null && Environment.GetEnvironmentVariable("CI") != "true", missing);
        Assert.True(kubectl is not null, missing);
        using var process = Process.Start(new ProcessStartInfo(kubectl!, ["kustomize", folder]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var errors = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        var output = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(process.ExitCode == 0, await errors);
        return output;
    }
}
