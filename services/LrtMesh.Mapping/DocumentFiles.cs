using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using LrtMesh.Core;
using LrtMesh.V1;
using Parquet;
using Parquet.Schema;

namespace LrtMesh.Mapping;

/// <summary>
/// Documents of files below the role's text root: .txt with one a line, .jsonl with an object a line ("text", or "messages" for a chat), and
/// .parquet with a column of strings. A folder's files are read in the order of their paths; empty lines are passed over.
/// </summary>
internal sealed class DocumentFiles
{
    private static readonly string[] Extensions = [".txt", ".jsonl", ".parquet"];

    private readonly string _root;
    private readonly string _field;
    private readonly FileInfo[] _files;
    private readonly long _bytes;

    private DocumentFiles(string root, string field, FileInfo[] files) =>
        (_root, _field, _files, _bytes) = (root, field, files, files.Sum(file => file.Length));

    /// <summary>Finds the files.</summary>
    /// <param name="source">What a request asks for.</param>
    /// <param name="root">The role's text root; null: it has none.</param>
    /// <exception cref="LrtMeshException">FailedPrecondition: no text root, or what may not be read; InvalidArgument: a path that leaves it; NotFound: nothing to read there.</exception>
    public static DocumentFiles Open(TextSource source, string? root)
    {
        if (root is null)
        {
            throw LrtMeshException.Mismatch("texts.path", "this mapping role reads no files: it was started without --text-root");
        }

        var top = Path.TrimEndingDirectorySeparator(Path.GetFullPath(root)) + Path.DirectorySeparatorChar;
        var path = source.Path.Contains('\0', StringComparison.Ordinal) ? "" : Path.GetFullPath(Path.Combine(top, source.Path)); // .NET takes no zero in a path
        if (!(path + Path.DirectorySeparatorChar).StartsWith(top, StringComparison.Ordinal))
        {
            throw LrtMeshException.Invalid("texts.path", "must be a path below the role's text root, such as corpus/train.jsonl");
        }

        FileInfo[] files;
        try
        {
            files = Directory.Exists(path)
                ? [.. new DirectoryInfo(path).EnumerateFiles("*", SearchOption.AllDirectories).Where(IsText).OrderBy(file => file.FullName, StringComparer.Ordinal)]
                : File.Exists(path) && IsText(new FileInfo(path)) ? [new FileInfo(path)] : [];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw LrtMeshException.Mismatch("texts.path", $"cannot be listed: {e.Message.Replace(top, "", StringComparison.Ordinal)}");
        }

        return files.Length > 0
            ? new DocumentFiles(top, source.Field.Length > 0 ? source.Field : "text", files)
            : throw LrtMeshException.NotFound("texts.path", $"there is no file or folder '{source.Path}' with {string.Join(", ", Extensions)} below the role's text root");
    }

    /// <summary>The documents, each with the share of the bytes that come before it.</summary>
    /// <exception cref="LrtMeshException">InvalidArgument, naming the file and line that is wrong. FailedPrecondition, naming the file: it cannot be read.</exception>
    public async IAsyncEnumerable<(Document Document, double Progress)> ReadAsync([EnumeratorCancellation] CancellationToken cancellation)
    {
        var before = 0L;
        foreach (var file in _files)
        {
            var documents = file.Extension == ".parquet" ? ReadParquetAsync(file, cancellation) : ReadLinesAsync(file, cancellation);
            await foreach (var (document, position) in documents)
            {
                yield return (document, (before + position) / (double)Math.Max(1, _bytes));
            }

            before += file.Length;
        }
    }

    private static bool IsText(FileInfo file) => Extensions.Contains(file.Extension);

    private async IAsyncEnumerable<(Document Document, long Position)> ReadLinesAsync(FileInfo file, [EnumeratorCancellation] CancellationToken cancellation)
    {
        await using var stream = await ReadableAsync(file, () => Task.FromResult(file.OpenRead()));
        using var reader = new StreamReader(stream, Encoding.UTF8);
        var buffer = new char[64 << 10];
        var line = new StringBuilder();
        var number = 1;
        int read;
        do
        {
            read = await reader.ReadAsync(buffer, cancellation);
            for (var at = 0; at < read || (read == 0 && line.Length > 0);)
            {
                var rest = buffer.AsSpan(at, read - at);
                var end = rest.IndexOf('\n');
                line.Append(end < 0 ? rest : rest[..end]);
                at += end < 0 ? rest.Length : end + 1;
                if (line.Length > MapRequest.MaxDocumentBytes)
                {
                    throw Wrong(file, number, $"has more than {MapRequest.MaxDocumentBytes} characters, the most of a document");
                }

                if (end >= 0 || read == 0)
                {
                    var text = line.ToString().TrimEnd('\r');
                    line.Clear();
                    if (!string.IsNullOrWhiteSpace(text))
                    {
                        yield return (file.Extension == ".jsonl" ? Parse(file, number, text) : new Document { Text = text }, stream.Position);
                    }

                    number++;
                }
            }
        }
        while (read > 0);
    }

    private async IAsyncEnumerable<(Document Document, long Position)> ReadParquetAsync(FileInfo file, [EnumeratorCancellation] CancellationToken cancellation)
    {
        await using var reader = await ReadableAsync(file, () => ParquetReader.CreateAsync(file.FullName, cancellationToken: cancellation));
        var column = reader.Schema.GetDataFields().FirstOrDefault(field => field.Path.ToString() == _field && IsString(field))
            ?? throw LrtMeshException.Invalid(
                "texts.field", $"must be a column of strings of {Name(file)}: {string.Join(", ", reader.Schema.GetDataFields().Where(IsString).Select(field => field.Path.ToString()))}; not '{_field}'");
        for (var group = 0; group < reader.RowGroupCount; group++)
        {
            using var rows = reader.OpenRowGroupReader(group);
            var texts = new string?[rows.RowCount];
            await ReadableAsync(file, async () =>
            {
                await rows.ReadAsync(column, texts.AsMemory(), null, cancellation);
                return true;
            });
            for (var row = 0; row < texts.Length; row++)
            {
                if (texts[row]?.Length > MapRequest.MaxDocumentBytes)
                {
                    throw Wrong(file, row, $"has more than {MapRequest.MaxDocumentBytes} characters, the most of a document");
                }

                if (!string.IsNullOrWhiteSpace(texts[row]))
                {
                    yield return (new Document { Text = texts[row]! }, file.Length * group / reader.RowGroupCount);
                }
            }
        }
    }

    private static bool IsString(DataField field) => field.ClrType == typeof(ReadOnlyMemory<char>) && !field.IsArray;

    private Document Parse(FileInfo file, int number, string line)
    {
        try
        {
            using var json = JsonDocument.Parse(line);
            if (json.RootElement.ValueKind == JsonValueKind.Object)
            {
                if (json.RootElement.TryGetProperty(_field, out var text) && text.ValueKind == JsonValueKind.String && text.GetString() is { Length: > 0 } value)
                {
                    return new Document { Text = value };
                }

                if (json.RootElement.TryGetProperty("messages", out var messages) && messages.ValueKind == JsonValueKind.Array)
                {
                    return new Document { Chat = ChatJson.Parse(json.RootElement, messages) };
                }
            }
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw Wrong(file, number, $"cannot be read ({e.Message})");
        }

        throw Wrong(file, number, $"must be an object with a string \"{_field}\" or a list \"messages\" of role and content");
    }

    /// <summary>Reads of a file. What is wrong with one that is no Parquet, or a damaged one, its reader says in many ways.</summary>
    private async Task<T> ReadableAsync<T>(FileInfo file, Func<Task<T>> read)
    {
        try
        {
            return await read();
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            throw LrtMeshException.Mismatch("texts.path", $"{Name(file)} cannot be read: {e.Message.Replace(_root, "", StringComparison.Ordinal)}");
        }
    }

    private LrtMeshException Wrong(FileInfo file, int number, string why) =>
        LrtMeshException.Invalid("texts.path", $"{Name(file)}:{number} {why}");

    /// <summary>A file as the client knows it: below the text root.</summary>
    private string Name(FileInfo file) => Path.GetRelativePath(_root, file.FullName);
}
