using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text.Json;
using Google.Protobuf;
using LrtMesh.V1;

namespace LrtMesh.Cli.Evaluation;

/// <summary>
/// Answers that a run has had, kept in a file, so that the same command goes on where it was cut off. An answer is found by a digest of
/// everything that it depends on: the model, the request, and the contents of the vectors that steer it.
/// </summary>
internal sealed class AnswerLog : IDisposable
{
    private const int BetweenFlushes = 200; // answers

    private readonly ConcurrentDictionary<string, string> _known = new();
    private readonly StreamWriter _writer;
    private int _unflushed;

    /// <summary>Opens a log, or begins it.</summary>
    public AnswerLog(string path)
    {
        if (File.Exists(path))
        {
            foreach (string line in File.ReadLines(path))
            {
                // A line that was cut off with the run is no answer.
                int tab = line.IndexOf('\t', StringComparison.Ordinal);
                if (tab > 0 && (line.EndsWith('}') || line.EndsWith(']')))
                {
                    _known[line[..tab]] = line[(tab + 1)..];
                }
            }
        }

        _writer = new StreamWriter(path, append: true);
        if (!_known.IsEmpty)
        {
            _writer.WriteLine(); // Ends a line that was cut off.
        }
    }

    /// <summary>The key of a request.</summary>
    /// <param name="modelDigest">Of the model that answers.</param>
    /// <param name="request">The request, without steering.</param>
    public static string Key(string modelDigest, IMessage request, SteeredBy? steering)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(System.Text.Encoding.UTF8.GetBytes(FormattableString.Invariant($"{modelDigest}|{request.Descriptor.Name}|{steering?.Digest}|{steering?.Layer}|{steering?.Coefficient:R}|{steering?.Positions}|")));
        hash.AppendData(request.ToByteArray());
        return Convert.ToHexStringLower(hash.GetHashAndReset().AsSpan(0, 16));
    }

    /// <summary>The answer that was kept, or a new one, which is kept.</summary>
    public async Task<T> GetAsync<T>(string key, Func<Task<T>> ask)
    {
        if (_known.TryGetValue(key, out string? kept))
        {
            return JsonSerializer.Deserialize<T>(kept)!;
        }

        var answer = await ask();
        string line = JsonSerializer.Serialize(answer);
        _known[key] = line;
        lock (_writer)
        {
            _writer.WriteLine($"{key}\t{line}");
            if (++_unflushed >= BetweenFlushes)
            {
                _writer.Flush();
                _unflushed = 0;
            }
        }

        return answer;
    }

    public void Dispose() => _writer.Dispose();
}
