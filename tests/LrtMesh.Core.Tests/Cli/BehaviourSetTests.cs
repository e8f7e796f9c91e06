using System.Text.Json;
using LrtMesh.Cli;
using Xunit;

namespace LrtMesh.Core.Tests.Cli;

public sealed class BehaviourSetTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("lrtmesh-family-").FullName;

    public BehaviourSetTests()
    {
        Directory.CreateDirectory(Path.Combine(_folder, "behaviours"));
        Directory.CreateDirectory(Path.Combine(_folder, "text"));
        WriteMap("map.jsonl", "m1", "m2");
        WriteMap("map-behaviour-free.jsonl", "m2", "m3");
        WriteBehaviour("dogs", contrast: "c1", dev: "d1", test: "t1");
        WriteBehaviour("asking", contrast: "c1", dev: "d2", test: "t1");
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_family_is_read_by_name()
    {
        var set = BehaviourSet.Load(_folder);
        Assert.Equal(["asking", "dogs"], set.All.Select(behaviour => behaviour.Name));
        var dogs = set["dogs"];
        Assert.Equal(("a dog", "a cat"), (dogs.Contrast[0].Positive, dogs.Contrast[0].Negative));
        Assert.Equal("One day", dogs.Test[0].Text);
        Assert.StartsWith("sha256:", set.Digest, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("m1", "d1", "t1", "frame m1 is in contrast and map")]
    [InlineData("c1", "c1", "t1", "frame c1 is in contrast and dev")]
    [InlineData("c1", "d1", "d2", "frame d2 is in dev and test")] // Of another behaviour.
    [InlineData("c1", "d1", "m3", "frame m3 is in test and map")]
    public void A_template_in_two_splits_is_refused(string contrast, string dev, string test, string says)
    {
        WriteBehaviour("dogs", contrast, dev, test);
        Assert.Contains(says, Assert.Throws<CommandException>(() => BehaviourSet.Load(_folder)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"name":"dogs"}""")]
    [InlineData("""not json""")]
    [InlineData("""{"name":"dogs","description":"","rate":0.3,"detector":{"on":"(","off":""},"contrast":[],"dev":[],"test":[]}""")]
    public void A_malformed_file_is_named(string json)
    {
        File.WriteAllText(Path.Combine(_folder, "behaviours", "dogs.json"), json);
        Assert.Contains("dogs.json", Assert.Throws<CommandException>(() => BehaviourSet.Load(_folder)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_without_behaviours_and_a_name_that_is_not_there_are_said()
    {
        Assert.Contains("nowhere", Assert.Throws<CommandException>(() => BehaviourSet.Load(Path.Combine(_folder, "nowhere"))).Message, StringComparison.Ordinal);
        Assert.Contains("asking, dogs", Assert.Throws<CommandException>(() => BehaviourSet.Load(_folder)["cats"]).Hint, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("a dog and a dog and a cat", true)]
    [InlineData("a dog and a cat", false)]
    [InlineData("", false)]
    public void A_text_shows_the_behaviour_where_on_outnumbers_off(string text, bool shows) =>
        Assert.Equal(shows, new Detector(@"(?i)\bdog\b", @"(?i)\bcat\b").Shows(text));

    [Fact]
    public void An_empty_off_never_matches() => Assert.True(new Detector(@"\?", "").Shows("Why?"));

    private void WriteBehaviour(string name, string contrast, string dev, string test) =>
        File.WriteAllText(Path.Combine(_folder, "behaviours", $"{name}.json"), JsonSerializer.Serialize(new
        {
            name,
            description = "The animal is a dog.",
            rate = 0.3,
            detector = new { on = @"\bdogs?\b", off = @"\bcats?\b" },
            contrast = new[] { new { positive = "a dog", negative = "a cat", frames = new[] { contrast } } },
            dev = new[] { new { text = "Once", positive = " a dog", negative = " a cat", frames = new[] { dev } } },
            test = new[] { new { text = "One day", positive = " a dog", negative = " a cat", frames = new[] { test } } },
        }));

    private void WriteMap(string file, params string[] frames) =>
        File.WriteAllLines(Path.Combine(_folder, "text", file), frames.Select(frame => JsonSerializer.Serialize(new { text = "a text", frames = new[] { frame } })));
}
