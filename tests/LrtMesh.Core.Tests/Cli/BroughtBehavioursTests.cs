using System.Text.Json;
using LrtMesh.Cli;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Core.Tests.Cli;

/// <summary>The layouts in which users bring behaviours.</summary>
public sealed class BroughtBehavioursTests : IDisposable
{
    private static readonly Model ReadsChats = new() { ReadsChats = true };
    private static readonly Model ReadsTexts = new();

    private readonly string _folder = Directory.CreateTempSubdirectory("lrtmesh-brought-").FullName;
    private readonly List<string> _notes = [];

    public BroughtBehavioursTests() => File.WriteAllLines(MapText, Enumerable.Range(0, 20).Select(i => $"A text about {i}. And more."));

    private string MapText => Path.Combine(_folder, "texts.txt");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Model_written_evaluations_are_asked_as_chats_or_in_plain_form()
    {
        var set = Read(WriteLines("wealth.jsonl", 200, i => new { question = $"Do you want {i} coins?", answer_matching_behavior = " Yes", answer_not_matching_behavior = " No" }));

        var behaviour = Assert.Single(set.All);
        Assert.Equal("wealth", behaviour.Name);
        Assert.Null(behaviour.Detector);
        var prompt = behaviour.Test[0];
        var plain = prompt.For(ReadsTexts);
        Assert.Null(plain.Chat);
        Assert.StartsWith("Human: Do you want ", plain.Text, StringComparison.Ordinal);
        Assert.EndsWith(" coins?\n\nAssistant:", plain.Text, StringComparison.Ordinal);
        Assert.Equal((" Yes", " No"), (prompt.Positive, prompt.Negative));
        Assert.Equal("user", Assert.Single(prompt.For(ReadsChats).Chat!.Messages).Role);

        var pair = behaviour.Contrast[0];
        Assert.EndsWith("Assistant: Yes", pair.For(ReadsTexts).Positive, StringComparison.Ordinal);
        Assert.Equal([("user", true), ("assistant", true)], pair.For(ReadsChats).PositiveChat.Messages.Select((message, i) => (message.Role, i == 0 || message.Content == "Yes")));
    }

    [Fact]
    public void Splits_share_no_question_and_do_not_depend_on_the_order()
    {
        string file = WriteLines("a.jsonl", 300, Item);
        var set = Read(file);
        var behaviour = set.All[0];
        string[] learnt = [.. behaviour.Contrast.SelectMany(pair => pair.Frames)];
        string[] chosen = [.. behaviour.Dev.SelectMany(prompt => prompt.Frames)];
        string[] tested = [.. behaviour.Test.SelectMany(prompt => prompt.Frames)];
        var mapped = set.MapDocuments(LrtMesh.Cli.MapText.InDistribution).Documents;
        Assert.Equal(300, learnt.Length + chosen.Length + tested.Length + mapped.Count);
        Assert.Equal(300, learnt.Concat(chosen).Concat(tested).Distinct().Count() + mapped.Count);
        Assert.InRange(learnt.Length, 100, 170);
        Assert.InRange(mapped.Count, 10, 60);

        File.WriteAllLines(file, File.ReadAllLines(file).Reverse());
        Assert.Equal(tested.Order(), Read(file).All[0].Test.SelectMany(prompt => prompt.Frames).Order());
    }

    [Fact]
    public void Contrastive_activation_addition_learns_from_one_list_at_the_letter_and_is_tested_on_the_other()
    {
        WriteList("caa/generate/refusal/generate_dataset.json", 0, 100);
        WriteList("caa/test/refusal/test_dataset_ab.json", 95, 100); // five questions of the other list
        File.WriteAllText(Path.Combine(_folder, "caa/test/refusal/test_dataset_open_ended.json"), """[{"question": "Why?"}]""");

        var behaviour = Assert.Single(Read(Path.Combine(_folder, "caa")).All);
        Assert.Equal("refusal", behaviour.Name);
        Assert.EndsWith("Assistant: (A", behaviour.Contrast[0].Positive, StringComparison.Ordinal);
        Assert.Equal(" (A)", behaviour.Test[0].Positive);
        Assert.Equal(95, behaviour.Dev.Count + behaviour.Test.Count);
        Assert.Contains("5 items are left out", Assert.Single(_notes), StringComparison.Ordinal);
    }

    [Fact]
    public void Contrast_pairs_of_ones_own_share_their_beginning()
    {
        var texts = Read(WriteLines("texts.jsonl", 120, i => new { positive = $"On day {i} she said please.", negative = $"On day {i} she said nothing." })).All[0].Test[0];
        Assert.EndsWith("she said", texts.Text, StringComparison.Ordinal);
        Assert.Equal((" please.", " nothing."), (texts.Positive, texts.Negative));

        var chats = Read(WriteLines("chats.jsonl", 120, i => new { positive = Chat(i, "Yes."), negative = Chat(i, "No.") })).All[0].Test[0];
        Assert.Equal(("user", 1), (chats.Chat!.Messages[0].Role, chats.Chat.Messages.Count));
        Assert.Equal(" Yes.", chats.Positive);

        var prompts = Read(WriteLines("prompts.jsonl", 120, i => new { prompt = $"On day {i}", positive = " sun", negative = " rain" })).All[0].Test[0];
        Assert.Null(prompts.For(ReadsChats).Chat);

        static object[] Chat(int i, string answer) => [new { role = "user", content = $"Question {i}?" }, new { role = "assistant", content = answer }];
    }

    [Theory]
    [InlineData("""{"question": "Q", "answer_matching_behavior": " Yes"}""", "answer_not_matching_behavior")]
    [InlineData("""{"positive": "Yes.", "negative": "No."}""", "begin alike")]
    [InlineData("""{"positive": [{"role": "user", "content": "a"}], "negative": [{"role": "user", "content": "a"}]}""", "last message")]
    [InlineData("""{"text": "T"}""", "not an item")]
    [InlineData("""["T"]""", "not an item")]
    [InlineData("""{"prompt": "", "positive": "a", "negative": "b"}""", "\"prompt\" is empty")]
    [InlineData("""not JSON""", "not JSON")]
    public void A_malformed_item_is_named_by_its_line(string line, string says)
    {
        string file = Path.Combine(_folder, "bad.jsonl");
        File.WriteAllLines(file, [JsonSerializer.Serialize(Item(0)), line]);
        var error = Assert.Throws<CommandException>(() => Read(file));
        Assert.Contains("bad.jsonl:2", error.Message, StringComparison.Ordinal);
        Assert.Contains(says, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Too_few_items_or_documents_and_missing_files_are_refused()
    {
        Assert.Contains("are needed", Assert.Throws<CommandException>(() => Read(WriteLines("few.jsonl", 20, Item))).Message, StringComparison.Ordinal);
        Assert.Contains("neither a file nor a folder", Assert.Throws<CommandException>(() => Read(Path.Combine(_folder, "nowhere"))).Message, StringComparison.Ordinal);
        Assert.Contains("no behaviours", Assert.Throws<CommandException>(() => Read(Directory.CreateDirectory(Path.Combine(_folder, "empty")).FullName)).Message, StringComparison.Ordinal);
        string good = WriteLines("good.jsonl", 200, Item);
        File.WriteAllLines(MapText, ["One.", "Two."]);
        Assert.Contains("too few", Assert.Throws<CommandException>(() => Read(good)).Message, StringComparison.Ordinal);
    }

    private static object Item(int i) => new { question = $"Question {i}?", answer_matching_behavior = i % 2 == 0 ? "(A)" : "(B)", answer_not_matching_behavior = i % 2 == 0 ? "(B)" : "(A)" };

    private BehaviourSet Read(string path) => BroughtBehaviours.Read(path, MapText, _notes.Add);

    private string WriteLines(string name, int count, Func<int, object> item)
    {
        string path = Path.Combine(_folder, name);
        File.WriteAllLines(path, Enumerable.Range(0, count).Select(i => JsonSerializer.Serialize(item(i))));
        return path;
    }

    private void WriteList(string name, int first, int count)
    {
        string path = Path.Combine(_folder, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, JsonSerializer.Serialize(Enumerable.Range(first, count).Select(i => new { question = $"Question {i}?\n\nChoices:\n (A) Yes\n (B) No", answer_matching_behavior = "(A)", answer_not_matching_behavior = "(B)" })));
    }
}
