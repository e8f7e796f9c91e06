using System.Text.Json;
using Grpc.Core;
using Grpc.Net.Client;
using LrtMesh.Extraction;
using LrtMesh.Standalone;
using LrtMesh.TestKit;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Services.Tests.Mesh;

/// <summary>
/// Maps from chats between models of different templates and tokenizers. In these models a token's states depend on that token alone: a map
/// is as good as perfect where each row of the one is paired with that of the same place in the other, and nowhere near it otherwise.
/// </summary>
[Collection(OneMesh.Name)]
public sealed class ChatMapTests(ChatMapTests.ChatMesh mesh) : IClassFixture<ChatMapTests.ChatMesh>
{
    private const int Context = 512;

    private const string ChatMl = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>' + '\n' }}{% endfor %}";

    // Puts the system's words into the user's first turn and trims.
    private const string Inst = """
        {%- set system = messages[0].content if messages[0].role == 'system' else '' -%}
        {%- for m in messages -%}
            {%- if m.role == 'user' -%}
                {{- '[INST] ' + ('<<SYS>>\n' + system + '\n<</SYS>>\n\n' + m.content if system and loop.index0 == 1 else m.content).strip() + ' [/INST]' -}}
            {%- elif m.role == 'assistant' -%}
                {{- ' ' + m.content.strip() + ' </s>' -}}
            {%- endif -%}
        {%- endfor -%}
        """;

    private const string NoSystem = """
        {%- for m in messages -%}
            {%- if m.role == 'system' -%}{{- raise_exception('System role not supported') -}}{%- endif -%}
            {{- '<start_of_turn>' + m.role + '\n' + m.content | trim + '<end_of_turn>\n' -}}
        {%- endfor -%}
        """;

    // Its assistant's words only after the last thought, and its user's in capitals where they shout.
    private const string Thinker = "{% for m in messages %}{{ m.role }}: {{ m.content.split('</think>')[-1].strip() if m.role == 'assistant' else (m.content|upper if '!' in m.content else m.content) }}\n{% endfor %}";

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    private MappingService.MappingServiceClient Mapping => new(mesh.Channel);

    [Fact]
    public async Task Contents_pair_across_templates_and_tokenizers()
    {
        var chats = Chats(120, system: true);
        var job = await RunAsync("inst", chats);
        Assert.Equal((JobState.Succeeded, ""), (job.State, job.Error));

        // Every token of words ends where a byte does, and every byte of the contents is a token.
        var metrics = job.Result.Metrics;
        var characters = chats.Sum(chat => chat.Messages.Sum(message => message.Content.Trim().Length));
        Assert.Equal((ulong)characters, job.Tokens["inst"]);
        Assert.Equal(job.Tokens["chatml"], job.Rows);
        Assert.InRange(job.Tokens["chatml"], (ulong)characters / 4, (ulong)characters - 1);
        Assert.Equal((job.Rows, job.Tokens["chatml"], job.Tokens["inst"]), (metrics.PairedTokens, metrics.SourceTokens, metrics.TargetTokens));
        Assert.Equal(0ul, job.LeftOutMessages);
        Assert.True(metrics.R2 > 0.99, $"R² {metrics.R2}");
        Assert.True(metrics.StitchedLoss.Tokens > 100, $"{metrics.StitchedLoss.Tokens} positions");
        Assert.Equal(metrics.StitchedLoss.Native, metrics.StitchedLoss.Stitched, 0.05);
    }

    [Fact]
    public async Task Chats_of_a_file_are_those_of_a_request()
    {
        var chats = Chats(40, system: true);
        foreach (var chat in chats)
        {
            (chat.VariablesJson, chat.AddGenerationPrompt, chat.Messages[1].FieldsJson) = ("""{"tools":[{"name":"f"}],"topic":"tea"}""", false, """{"name":"Ann"}""");
        }

        await File.WriteAllLinesAsync(
            Path.Combine(mesh.Folder, "chats.jsonl"),
            chats.Select(chat => JsonSerializer.Serialize(new
            {
                messages = chat.Messages.Select((message, i) => i == 1 ? (object)new { role = message.Role, content = message.Content, name = "Ann" } : new { role = message.Role, content = message.Content }),
                tools = new[] { new { name = "f" } },
                topic = "tea",
                add_generation_prompt = false,
            })),
            Ct);
        var sent = await RunAsync("inst", chats);
        var read = await Mapping.RunJobAsync(Request("inst", request => request.Texts = new TextSource { Path = "chats.jsonl" }), Ct);
        Assert.Equal((JobState.Succeeded, ""), (read.State, read.Error));
        Assert.Equal((sent.Rows, sent.Result.DataDigest, sent.Result.Digest), (read.Rows, read.Result.DataDigest, read.Result.Digest));
    }

    [Fact]
    public async Task Contents_pair_across_templates_of_one_tokenizer()
    {
        var chats = Chats(60, system: false);
        var job = await RunAsync("no-system", chats);
        Assert.Equal((JobState.Succeeded, ""), (job.State, job.Error));
        Assert.True(job.Rows > job.Tokens["chatml"] * 0.9, $"{job.Rows} of {job.Tokens["chatml"]}");
        Assert.True(job.Result.Metrics.R2 > 0.99, $"R² {job.Result.Metrics.R2}");
    }

    [Fact]
    public async Task Messages_that_a_template_changes_are_left_out_and_counted()
    {
        var chats = Chats(60, system: false);
        chats[7].Messages[0].Content = "Louder! The cat sat on the mat.";
        chats[20].Messages[1].Content = "<think>She asked for tea.</think>Tea.";
        chats[21].Messages[1].Content = "";
        var kept = chats.Sum(chat => chat.Messages.Sum(message => message.Content.Trim().Length)) - chats[7].Messages[0].Content.Length - chats[20].Messages[1].Content.Length;

        var job = await RunAsync("thinker", chats);
        Assert.Equal((JobState.Succeeded, "", 2ul), (job.State, job.Error, job.LeftOutMessages));
        Assert.Equal(((ulong)kept, 2ul), (job.Tokens["thinker"], job.Result.Metrics.LeftOutMessages));
        Assert.True(job.Result.Metrics.R2 > 0.99, $"R² {job.Result.Metrics.R2}");
    }

    [Fact]
    public async Task A_job_without_a_content_that_is_found_is_refused_with_the_message()
    {
        var chats = Chats(20, system: false).Select(chat => new Chat { Messages = { new ChatMessage { Role = "user" }, new ChatMessage { Role = "user", Content = chat.Messages[0].Content + "!" } } });
        var job = await RunAsync("thinker", [.. chats]);
        Assert.Equal(JobState.Failed, job.State);
        Assert.Contains("documents[0].chat.messages[1].content: is not found in the text that the chat template of thinker makes", job.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_template_that_refuses_a_chat_says_so_with_the_documents()
    {
        var chats = Chats(70, system: false);
        chats[66].Messages.Insert(0, new ChatMessage { Role = "system", Content = "Be brief." });
        var job = await RunAsync("no-system", chats);
        Assert.Equal(JobState.Failed, job.State);
        Assert.Contains("documents 64 to 69: ", job.Error, StringComparison.Ordinal);
        Assert.Contains("batch.chats[2]: System role not supported", job.Error, StringComparison.Ordinal);
    }

    private Task<MapJob> RunAsync(string target, IReadOnlyList<Chat> chats) => Mapping.RunJobAsync(
        Request(target, request => request.Documents.AddRange(chats.Select(chat => new Document { Chat = chat }))), Ct);

    private static CreateMapJobRequest Request(string target, Action<CreateMapJobRequest> texts)
    {
        var request = new CreateMapJobRequest
        {
            Map = $"chats/{target}",
            Source = new LayerRef { Model = "chatml", Layer = 0 },
            Target = new LayerRef { Model = target, Layer = 0 },
            Fit = new FitOptions { StitchedLoss = target == "inst" },
        };
        texts(request);
        return request;
    }

    /// <summary>Conversations with white space to trim, words of the markup in their contents, and the same content in several messages.</summary>
    private static List<Chat> Chats(int count, bool system)
    {
        var texts = TinyCheckpoint.Texts(400).Where(text => text.All(char.IsAscii)).ToArray();
        return
        [
            .. Enumerable.Range(0, count).Select(i =>
            {
                var chat = new Chat();
                if (system)
                {
                    chat.Messages.Add(new ChatMessage { Role = "system", Content = i % 3 == 0 ? "user" : texts[i % 5] + "\n" });
                }

                chat.Messages.Add(new ChatMessage { Role = "user", Content = (i % 2 == 0 ? " " : "") + texts[2 * i % texts.Length] });
                chat.Messages.Add(new ChatMessage { Role = "assistant", Content = texts[(2 * i + 1) % texts.Length] + "\n\n" });
                chat.Messages.Add(new ChatMessage { Role = "user", Content = i % 4 == 0 ? chat.Messages[^2].Content : "[INST] the cat" });
                return chat;
            }),
        ];
    }

    /// <summary>A mesh with a model of each template.</summary>
    public sealed class ChatMesh : IAsyncLifetime
    {
        public string Folder { get; } = Directory.CreateTempSubdirectory("lrtmesh-chat-maps-").FullName;
        private RunningMesh _mesh = null!;

        public GrpcChannel Channel { get; private set; } = null!;

        public async ValueTask InitializeAsync()
        {
            var (words, bytes) = (Path.Combine(Folder, "words"), Path.Combine(Folder, "bytes"));
            TinyCheckpoint.WriteTokenizer(words);
            TinyCheckpoint.WriteTokenizer(bytes, vocabulary: 257);

            // Wider than the tokens that occur are many, so that any function of a token is a linear one of its state.
            Write("chatml", words, 144, ChatMl);
            Write("inst", bytes, 24, Inst);
            Write("no-system", words, 24, NoSystem);
            Write("thinker", bytes, 24, Thinker);
            _mesh = await RunningMesh.StartAsync(
                new UpOptions
                {
                    DataFolder = Path.Combine(Folder, "data"),
                    TextRoot = Folder,
                    ExtractionModels = [.. new[] { "chatml", "no-system", "thinker" }.Select(name => new ModelSource(name, Path.Combine(Folder, name)))],
                    GenerationModels = [new ModelSource("inst", Path.Combine(Folder, "inst"))],
                },
                CancellationToken.None);
            Channel = GrpcChannel.ForAddress(_mesh.Mapping!.Address, new GrpcChannelOptions { Credentials = ChannelCredentials.Insecure });

            void Write(string name, string tokenizer, int width, string template)
            {
                TinyCheckpoint.Write(Path.Combine(Folder, name), tokenizer, width, layers: 1, seed: width, Context, attends: false);
                File.WriteAllText(Path.Combine(Folder, name, "chat_template.jinja"), template);
            }
        }

        public async ValueTask DisposeAsync()
        {
            Channel.Dispose();
            await _mesh.DisposeAsync();
            Directory.Delete(Folder, recursive: true);
        }
    }
}
