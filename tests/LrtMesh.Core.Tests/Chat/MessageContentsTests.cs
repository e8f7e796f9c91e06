using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using CsCheck;
using LrtMesh.Core.Models.Chat;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Core.Tests.Chat;

/// <summary>Where the contents of messages lie in what templates make of them.</summary>
public sealed class MessageContentsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("lrtmesh-contents-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    /// <summary>A template written down twice: as checkpoints have it, and as a list of its pieces, where what is content is known.</summary>
    private static readonly (string Family, Func<IReadOnlyList<ChatMessage>, IEnumerable<(string Piece, int? Message)>> Pieces)[] Known =
    [
        ("chatml", messages => messages.SelectMany((m, i) => new[] { ($"<|im_start|>{m.Role}\n", (int?)null), (m.Content, i), ("<|im_end|>\n", null) })),
        ("gemma", messages => messages.SelectMany((m, i) => new[] { ($"<start_of_turn>{(m.Role == "user" ? "user" : "model")}\n", (int?)null), (m.Content.Trim(), i), ("<end_of_turn>\n", null) }).Prepend(("<bos>", null))),
        ("llama2-inst", messages => messages.SelectMany((m, i) => m.Role switch
        {
            "system" => [("<s>[INST] <<SYS>>\n", (int?)null), (m.Content, i), ("\n<</SYS>>\n\n", null)],
            "user" => i == 1 && messages[0].Role == "system" ? [(m.Content.TrimEnd(), i), (" [/INST]", null)] : [("<s>[INST] ", (int?)null), (m.Content.Trim(), i), (" [/INST]", null)],
            _ => new[] { (" ", (int?)null), (m.Content.Trim(), i), (" </s>", null) },
        })),
    ];

    [Fact]
    public void Contents_are_where_the_template_writes_them_whatever_they_say()
    {
        var formats = Cases("chat_templates.json").GroupBy(one => one.Name.Split('/')[0]).ToDictionary(family => family.Key, family => family.First().Format);

        // What templates write themselves, white space that they trim, and the same again and again.
        var word = Gen.Int[0, 17].Select(i => new[]
        {
            "user", "assistant", "system", "<|im_start|>", "<|im_end|>\n", "[INST]", " [/INST]", "<<SYS>>\n", "\n<</SYS>>\n\n", "<start_of_turn>user\n", "<bos>", "\n", " ", "x", "x", "\u00a0", "😀", "</s>",
        }[i]);
        var content = word.Array[0, 6].Select(words => string.Concat(words));
        Gen.Select(content.Array[1, 6], Gen.Bool, Gen.Int[0, 2]).Sample(
            (contents, system, which) =>
            {
                var (family, pieces) = Known[which];
                var (start, first) = system && family == "llama2-inst" && contents.Length > 1 ? (1, contents[0]) : (0, null);
                if (first is "" || (first is not null && contents[1].Trim().Length == 0))
                {
                    return; // this template then writes the system's turn otherwise
                }

                var chat = new V1.Chat();
                if (first is not null)
                {
                    chat.Messages.Add(new ChatMessage { Role = "system", Content = first });
                }

                chat.Messages.AddRange(contents.Skip(start).Select((said, i) => new ChatMessage { Role = i % 2 == 0 ? "user" : "assistant", Content = said }));
                var (text, spans) = formats[family].RenderWithContents(chat, addGenerationPrompt: false, "chat");

                var written = new StringBuilder();
                var expected = new List<ContentSpan>();
                foreach (var (piece, message) in pieces(chat.Messages))
                {
                    if (message is { } of && piece.Trim().Length > 0)
                    {
                        var leading = piece.Length - piece.TrimStart().Length;
                        expected.Add(new ContentSpan(of, written.Length + leading, written.Length + leading + piece.Trim().Length));
                    }

                    written.Append(piece);
                }

                Assert.Equal(written.ToString(), text);
                Assert.Equal(expected, spans);
            },
            iter: 2000);
    }

    [Theory]
    [InlineData("chat_templates.json", 1)] // a system message that Mistral's writes before the last user message alone
    [InlineData("chat_families.json", 31)] // lists of parts, results of tools written as JSON, thoughts that are dropped, roles that are not known
    public void Contents_are_found_in_templates_of_well_known_families(string file, int notFoundExpected)
    {
        var (found, notFound) = (0, new List<string>());
        foreach (var (name, format, chat, prompt) in Cases(file))
        {
            var (text, spans) = format.RenderWithContents(chat, prompt, "chat");
            foreach (var span in spans)
            {
                if (span.End == span.Start)
                {
                    notFound.Add($"{name}[{span.Message}]");
                    continue;
                }

                found++;
                Assert.Equal(chat.Messages[span.Message].Content.Trim(), text[span.Start..span.End]);
            }

            var inOrder = spans.Where(span => span.End > span.Start).OrderBy(span => span.Start).ToArray();
            Assert.All(inOrder.Zip(inOrder.Skip(1)), pair => Assert.True(pair.First.End <= pair.Second.Start, name));
        }

        Assert.True(found > 100, $"{found} found");
        Assert.True(notFound.Count == notFoundExpected, string.Join(' ', notFound));
    }

    [Theory]
    [InlineData("{{ messages[-1].content }}", "a-,b-,cd")] // drops
    [InlineData("{% for m in messages %}{{ m.content }}{{ m.content if loop.first }};{% endfor %}", "a-,bb,cd")] // writes twice
    [InlineData("{% for m in messages %}{{ m.content|upper if loop.first else m.content }};{% endfor %}", "a-,bb,cd")] // changes
    [InlineData("{% for m in messages %}{{ m.content|replace('a', 'b') }};{% endfor %}", "a-,bb,cd")]
    [InlineData("{% for m in messages %}{% if m.content.startswith('b') %}B: {% endif %}{{ m.content }};{% endfor %}", "aa,b-,cd")] // sees the mark
    [InlineData("{% for m in messages %}{% if m.content|length > 9 %}{{ raise_exception('long') }}{% endif %}{{ m.content }};{% endfor %}", "a-,b-,c-")]
    [InlineData("{% for m in messages|reverse %}a{{ m.content }};b{% endfor %}", "aa,bb,cd")] // in another order
    [InlineData("{% for m in messages %}{{ m.content|tojson }};{% endfor %}", "aa,bb,cd")]
    public void What_is_not_written_as_it_is_is_not_found_and_spoils_no_other(string template, string expected)
    {
        Write("chat_template.jinja", template);
        var chat = new V1.Chat { Messages = { new[] { "a", "b", "cd" }.Select(content => new ChatMessage { Role = "user", Content = content }) } };
        var (text, spans) = ChatFormat.Load(_folder).RenderWithContents(chat, addGenerationPrompt: false, "chat");

        // Each content, and what is found of it.
        var got = spans.Select(span => (Content: chat.Messages[span.Message].Content, Found: span.End > span.Start ? text[span.Start..span.End] : "-"));
        Assert.Equal(expected, string.Join(',', got.Select(span => span.Found == span.Content ? (span.Content.Length == 1 ? span.Content + span.Content : span.Content) : span.Content[..1] + span.Found)));
    }

    [Fact]
    public void Messages_without_content_have_no_entry_and_lists_of_parts_are_not_found()
    {
        Write("chat_template.jinja", "{% for m in messages %}[{{ m.content if m.content is string else m.content|map(attribute='text')|join }}]{% endfor %}");
        var chat = new V1.Chat
        {
            Messages =
            {
                new ChatMessage { Role = "user" }, new ChatMessage { Role = "user", Content = " \n" }, new ChatMessage { Role = "user", FieldsJson = """{"content": [{"type": "text", "text": "Hi"}]}""" },
                new ChatMessage { Role = "user", Content = "Hi", FieldsJson = """{"name": "N"}""" },
            },
        };
        var (text, spans) = ChatFormat.Load(_folder).RenderWithContents(chat, addGenerationPrompt: false, "chat");

        Assert.Equal("[][ \n][Hi][Hi]", text);
        Assert.Equal([new ContentSpan(2, 0, 0), new ContentSpan(3, 11, 13)], spans);
    }

    [Fact]
    public void What_is_rendered_to_find_contents_is_bounded()
    {
        Write("chat_template.jinja", "{% for m in messages %}{{ m.content|replace('a', 'b') }}{% endfor %}");
        var chat = new V1.Chat { Messages = { Enumerable.Range(0, 5000).Select(_ => new ChatMessage { Role = "user", Content = "a" }) } };
        var clock = System.Diagnostics.Stopwatch.StartNew();
        var (_, spans) = ChatFormat.Load(_folder).RenderWithContents(chat, addGenerationPrompt: false, "chat");

        Assert.Equal(5000, spans.Count(span => span.End == span.Start));
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(60), $"{clock.Elapsed}");
    }

    /// <summary>The conversations of a file that their templates do not refuse.</summary>
    private IEnumerable<(string Name, ChatFormat Format, V1.Chat Chat, bool Prompt)> Cases(string file)
    {
        foreach (var one in JsonNode.Parse(File.ReadAllText(Path.Combine(GoldenFiles.Folder, file)))!.AsArray())
        {
            if (one!["expected"] is null)
            {
                continue;
            }

            var name = (string)one["name"]!;
            Write($"{name.Split('/')[0]}/chat_template.jinja", (string)one["template"]!);
            Write($"{name.Split('/')[0]}/tokenizer_config.json", new JsonObject { ["bos_token"] = one["bos_token"]?.DeepClone(), ["eos_token"] = one["eos_token"]?.DeepClone() }.ToJsonString());
            var chat = new V1.Chat { VariablesJson = one["variables"]?.ToJsonString() ?? "" };
            chat.Messages.AddRange(one["messages"]!.AsArray().Select(message =>
            {
                var fields = message!.DeepClone().AsObject();
                var said = new ChatMessage { Role = (string)fields["role"]! };
                fields.Remove("role");
                if (fields["content"] is JsonValue content && content.GetValueKind() == JsonValueKind.String)
                {
                    said.Content = (string)content!;
                    fields.Remove("content");
                }

                said.FieldsJson = fields.Count > 0 ? fields.ToJsonString() : "";
                return said;
            }));
            yield return (name, ChatFormat.Load(Path.Combine(_folder, name.Split('/')[0])), chat, (bool)one["add_generation_prompt"]!);
        }
    }

    private void Write(string name, string text)
    {
        var path = Path.Combine(_folder, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, text);
    }
}
