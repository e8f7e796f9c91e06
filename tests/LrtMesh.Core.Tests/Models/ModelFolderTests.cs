using LrtMesh.Core.Models;
using Xunit;

namespace LrtMesh.Core.Tests.Models;

/// <summary>Models by folder and by name in a Hugging Face cache, which is laid out as its tools do.</summary>
public sealed class ModelFolderTests : IDisposable
{
    private const string Main = "0123456789abcdef0123456789abcdef01234567";
    private const string Old = "fedcba9876543210fedcba9876543210fedcba98";

    private readonly string _cache = Directory.CreateTempSubdirectory("lrtmesh-cache-").FullName;

    public ModelFolderTests()
    {
        var repository = Path.Combine(_cache, "models--org--name");
        foreach (var commit in new[] { Main, Old })
        {
            var snapshot = Directory.CreateDirectory(Path.Combine(repository, "snapshots", commit)).FullName;
            var blob = Path.Combine(Directory.CreateDirectory(Path.Combine(repository, "blobs")).FullName, "b" + commit);
            File.WriteAllText(blob, commit);
            File.CreateSymbolicLink(Path.Combine(snapshot, "config.json"), Path.Combine("..", "..", "blobs", "b" + commit));
        }

        Reference("main", Main + "\n");
        Reference("v1", Old);
        Reference("refs/pr/3", Old);
    }

    public void Dispose() => Directory.Delete(_cache, recursive: true);

    [Theory]
    [InlineData("org/name", Main)]
    [InlineData("org/name@main", Main)]
    [InlineData("org/name@v1", Old)]
    [InlineData("org/name@refs/pr/3", Old)]
    [InlineData("org/name@" + Old, Old)]
    public void A_name_is_found_at_its_revision(string model, string commit) =>
        Assert.Equal(commit, File.ReadAllText(Path.Combine(ModelFolder.Find(model, _cache), "config.json")));

    [Fact]
    public void A_folder_is_itself() => Assert.Equal(_cache, ModelFolder.Find(_cache, "/nowhere"));

    [Theory]
    [InlineData("org/other", "models--org--other")]
    [InlineData("gpt2", "models--gpt2")]
    [InlineData("org/name@v2", "it has: main, refs/pr/3, v1")]
    [InlineData("org/name@" + "ffffffffffffffffffffffffffffffffffffffff", "snapshots")]
    [InlineData("org/name@../../../etc", "is no name")]
    [InlineData("../name", "is no name")]
    [InlineData("a/b/c", "is no name")]
    [InlineData("", "is no name")]
    public void What_is_not_there_is_an_error_that_says_where_it_looked(string model, string message)
    {
        var error = Assert.Throws<LrtMeshException>(() => ModelFolder.Find(model, _cache));
        Assert.Equal(ErrorReason.NotFound, error.Reason);
        Assert.Contains(model, error.Message, StringComparison.Ordinal);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_reference_that_leads_out_of_the_cache_is_refused()
    {
        Reference("main", "../../../../etc");
        Assert.Contains("must hold a commit", Assert.Throws<LrtMeshException>(() => ModelFolder.Find("org/name", _cache)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("HF_HUB_CACHE=/c HF_HOME=/h", "/c")]
    [InlineData("HF_HOME=/h XDG_CACHE_HOME=/x", "/h/hub")]
    [InlineData("XDG_CACHE_HOME=/x", "/x/huggingface/hub")]
    [InlineData("HF_HUB_CACHE= HF_HOME=~/h", "~/h/hub")]
    [InlineData("", "~/.cache/huggingface/hub")]
    public void The_cache_lies_where_its_tools_put_it(string environment, string expected)
    {
        var variables = environment.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(v => v.Split('=')).ToDictionary(v => v[0], v => v[1]);
        var home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
        Assert.Equal(expected.Replace("~", home, StringComparison.Ordinal), ModelFolder.CacheFolder(variables.GetValueOrDefault));
    }

    private void Reference(string name, string text)
    {
        var path = Path.Combine(_cache, "models--org--name", "refs", name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, text);
    }
}
