using LrtMesh.Cli;
using LrtMesh.Cli.Evaluation;
using Xunit;

namespace LrtMesh.Core.Tests.Cli;

public sealed class ModelPairTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("lrtmesh-pairs-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Pairs_are_read_and_a_mesh_is_started_with_each_checkpoint_once()
    {
        Write("""
            [{"source":"a","sourceFolder":"x/a","target":"b","targetFolder":"b","kind":"same-family"},
             {"source":"a","sourceFolder":"x/a","target":"c","kind":"data"}]
            """);
        var pairs = ModelPair.Load(_folder);
        Assert.Equal([("a", "b", "same-family"), ("a", "c", "data")], pairs.Select(pair => (pair.Source, pair.Target, pair.Kind)));
        Assert.Equal(
            ["--extraction-model", $"a={Path.Combine(_folder, "x", "a")}", "--generation-model", $"b={Path.Combine(_folder, "b")}"], ModelPair.MeshOptions(pairs));
    }

    [Theory]
    [InlineData("""[{"source":"a","target":"b","kind":"cousin"}]""", "'cousin'")]
    [InlineData("""[{"source":"a","kind":"data"}]""", "not a list of pairs")]
    [InlineData("[]", "there are no pairs")]
    [InlineData("{", "not a list of pairs")]
    public void What_is_wrong_with_a_list_is_said(string json, string says)
    {
        Write(json);
        string message = Assert.Throws<CommandException>(() => ModelPair.Load(_folder)).Message;
        Assert.Contains("pairs.json", message, StringComparison.Ordinal);
        Assert.Contains(says, message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_model_is_named_or_given_by_its_folder()
    {
        Assert.Equal(("tiny-large", null), ModelPair.Parse("tiny-large"));
        Assert.Equal(("mine", _folder), ModelPair.Parse($"mine={Path.GetRelativePath(Directory.GetCurrentDirectory(), _folder)}"));
        Assert.Equal(("mine", "organisation/model"), ModelPair.Parse("mine=organisation/model"));
    }

    [Fact]
    public void A_family_may_say_its_sizes()
    {
        Assert.Empty(ModelPair.LoadSizes(_folder));
        File.WriteAllText(Path.Combine(_folder, "sizes.json"), """[{"source":"a","sourceFolder":"a","target":"b","targetFolder":"b","kind":"same-family"}]""");
        var pair = Assert.Single(ModelPair.LoadSizes(_folder));
        Assert.Equal(("b", "a", pair.TargetFolder, pair.SourceFolder), (pair.Back().Source, pair.Back().Target, pair.Back().SourceFolder, pair.Back().TargetFolder));
    }

    private void Write(string json) => File.WriteAllText(Path.Combine(_folder, "pairs.json"), json);
}
