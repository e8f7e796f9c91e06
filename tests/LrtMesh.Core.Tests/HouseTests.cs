using System.Xml.Linq;
using LrtMesh.TestKit;
using Xunit;

namespace LrtMesh.Core.Tests;

/// <summary>The two walls: torch stays out of the clients, ASP.NET out of the mathematics; and dependencies run one way.</summary>
public sealed class HouseTests
{
    private static readonly string Root = RepositoryRoot.Find();

    [Fact]
    public void The_mathematics_knows_no_server()
    {
        var core = Read("services/LrtMesh.Core/LrtMesh.Core.csproj");
        Assert.Equal(["LrtMesh.Protos"], core.Projects);
        Assert.Empty(core.Frameworks);
        Assert.DoesNotContain(core.Packages, p => p.StartsWith("Grpc.AspNetCore", StringComparison.Ordinal));
    }

    [Fact]
    public void Clients_know_the_contract_alone_and_no_torch()
    {
        var clients = Directory.GetFiles(Path.Combine(Root, "clients"), "*.csproj", SearchOption.AllDirectories);
        Assert.NotEmpty(clients);
        foreach (var client in clients.Select(path => Read(Path.GetRelativePath(Root, path))))
        {
            Assert.Contains("LrtMesh.Protos", client.Projects);
            Assert.All(client.Projects, project => Assert.Contains(project, new[] { "LrtMesh.Protos", "LrtMesh.Client" }));
            Assert.Empty(client.Frameworks);
            Assert.DoesNotContain("TorchSharp", client.Packages);
        }
    }

    [Theory]
    [InlineData("services/LrtMesh.ServiceDefaults", "LrtMesh.Core")]
    [InlineData("services/LrtMesh.Extraction", "LrtMesh.ServiceDefaults")]
    [InlineData("services/LrtMesh.Mapping", "LrtMesh.ServiceDefaults")]
    [InlineData("services/LrtMesh.Generation", "LrtMesh.Extraction", "LrtMesh.ServiceDefaults")]
    [InlineData("models/LrtMesh.TinyFamily", "LrtMesh.Core")]
    public void Dependencies_run_one_way(string folder, params string[] references) =>
        Assert.Equal(references, Read($"{folder}/{Path.GetFileName(folder)}.csproj").Projects);

    private static (string[] Projects, string[] Packages, string[] Frameworks) Read(string path)
    {
        var project = XDocument.Load(Path.Combine(Root, path));
        string[] Of(string element) => [.. project.Descendants(element).Select(e => (string)e.Attribute("Include")!)];
        return (
            [.. Of("ProjectReference").Select(p => Path.GetFileNameWithoutExtension(p)!).Order(StringComparer.Ordinal)],
            Of("PackageReference"), Of("FrameworkReference"));
    }
}
