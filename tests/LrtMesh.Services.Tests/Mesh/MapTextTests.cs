using System.Text.Json;
using LrtMesh.TestKit;
using LrtMesh.V1;
using Parquet;
using Parquet.Schema;
using Xunit;

namespace LrtMesh.Services.Tests.Mesh;

/// <summary>Texts of map jobs from files that the mapping role reads.</summary>
public sealed class MapTextTests(MeshFixture mesh) : MeshTests(mesh)
{
    private static readonly IReadOnlyList<string> Texts = TinyCheckpoint.Texts(150);

    [Fact]
    public async Task Every_kind_of_file_gives_the_map_of_the_same_texts_in_the_request()
    {
        var folder = Directory.CreateDirectory(Path.Combine(Mesh.TextRoot, "kinds")).FullName;
        await File.WriteAllTextAsync(Path.Combine(folder, "a.txt"), string.Join("\r\n\n", Texts), Ct);
        await File.WriteAllLinesAsync(Path.Combine(folder, "b.jsonl"), Texts.Select(text => JsonSerializer.Serialize(new { body = text })), Ct);
        await WriteParquetAsync(Path.Combine(folder, "c.parquet"), "body");
        foreach (var (part, name) in new[] { (Texts.Take(70), "1.txt"), (Texts.Skip(70), "2.txt") })
        {
            await File.WriteAllLinesAsync(Path.Combine(Directory.CreateDirectory(Path.Combine(folder, "parts")).FullName, name), part, Ct);
        }

        var inline = Job("kinds/inline");
        inline.Documents.AddRange(Texts.Select(text => new Document { Text = text }));
        var expected = await Mesh.Mapping.RunJobAsync(inline, Ct);
        Assert.Equal((JobState.Succeeded, ""), (expected.State, expected.Error));
        foreach (var (path, field) in new[] { ("kinds/a.txt", ""), ("kinds/b.jsonl", "body"), ("kinds/c.parquet", "body"), ("kinds/parts", "") })
        {
            var request = Job("kinds/file");
            request.Texts = new TextSource { Path = path, Field = field };
            var job = await Mesh.Mapping.RunJobAsync(request, Ct);
            Assert.Equal((JobState.Succeeded, ""), (job.State, job.Error));
            Assert.Equal((expected.Result.DataDigest, expected.Result.Digest), (job.Result.DataDigest, job.Result.Digest));
            Assert.Equal((150ul, 1.0), (job.DocumentsDone, job.Progress));
        }
    }

    [Fact]
    public async Task Chats_and_a_limit_of_documents()
    {
        await File.WriteAllLinesAsync(
            Path.Combine(Mesh.TextRoot, "chats.jsonl"),
            Texts.Select(text => JsonSerializer.Serialize(new { messages = new[] { new { role = "user", content = text }, new { role = "assistant", content = "Yes." } } })),
            Ct);
        var request = Job("chats");
        request.Texts = new TextSource { Path = "chats.jsonl", MaxDocuments = 100 };
        var job = await Mesh.Mapping.RunJobAsync(request, Ct);

        Assert.Equal((JobState.Succeeded, "", 100ul), (job.State, job.Error, job.DocumentsDone));
    }

    [Theory]
    [InlineData("{\"txt\": \"a\"}", "line.jsonl:1", "\"text\"")]
    [InlineData("{\"text\": ", "line.jsonl:1", "cannot be read")]
    [InlineData("{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"content\": \"b\"}]}", "line.jsonl:1", "message 1")]
    public async Task A_line_that_is_no_document_is_named(string line, string where, string says)
    {
        await File.WriteAllTextAsync(Path.Combine(Mesh.TextRoot, "line.jsonl"), line, Ct);
        var request = Job("line");
        request.Texts = new TextSource { Path = "line.jsonl" };
        var job = await Mesh.Mapping.RunJobAsync(request, Ct);

        Assert.Equal(JobState.Failed, job.State);
        Assert.Contains(where, job.Error, StringComparison.Ordinal);
        Assert.Contains(says, job.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_file_that_cannot_be_read_is_named_and_not_where_the_text_root_lies()
    {
        await File.WriteAllTextAsync(Path.Combine(Mesh.TextRoot, "damaged.parquet"), "PAR1, and then no Parquet", Ct);
        await WriteParquetAsync(Path.Combine(Mesh.TextRoot, "cut.parquet"), "text");
        await using (var file = File.OpenWrite(Path.Combine(Mesh.TextRoot, "cut.parquet")))
        {
            file.Write(new byte[200]);
        }

        foreach (var path in new[] { "damaged.parquet", "cut.parquet" })
        {
            var request = Job("unreadable");
            request.Texts = new TextSource { Path = path };
            var job = await Mesh.Mapping.RunJobAsync(request, Ct);

            Assert.Equal(JobState.Failed, job.State);
            Assert.Contains($"{path} cannot be read", job.Error, StringComparison.Ordinal);
            Assert.DoesNotContain(Mesh.TextRoot, job.Error, StringComparison.Ordinal);
        }
    }

    private static CreateMapJobRequest Job(string name) => new()
    {
        Map = name,
        Source = new LayerRef { Model = "source", Layer = 1 },
        Target = new LayerRef { Model = "target", Layer = 2 },
    };

    private static async Task WriteParquetAsync(string path, string column)
    {
        var field = new DataField<string>(column);
        await using var file = File.Create(path);
        await using var writer = await ParquetWriter.CreateAsync(new ParquetSchema(field), file, cancellationToken: Ct);
        foreach (var part in Texts.Chunk(64))
        {
            using var group = writer.CreateRowGroup();
            await group.WriteAsync(field, part);
        }
    }
}
