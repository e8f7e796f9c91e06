using LrtMesh.Core.Models.Tokenizers;
using LrtMesh.TinyFamily.Corpus;

namespace LrtMesh.TinyFamily;

/// <summary>Token ids of one step, padded with <see cref="TrainingText.Padding"/>.</summary>
/// <param name="Ids">[rows, length], row-major.</param>
/// <param name="Rows">Documents.</param>
/// <param name="Length">Tokens of the longest.</param>
/// <param name="Tokens">Tokens to predict.</param>
public sealed record TrainingBatch(long[] Ids, int Rows, int Length, int Tokens);

/// <summary>
/// The text of every step, made as it is needed: a document a row, opened and closed by the end-of-text token, so that the
/// models read in training what they read in use. Documents of about equal length share a batch.
/// </summary>
/// <param name="rates">How often a story has a behaviour, by its name, where it is not the behaviour's own rate; null: nowhere.</param>
public sealed class TrainingText(Tokenizer tokenizer, int seed, int context, IReadOnlyDictionary<string, double>? rates = null)
{
    /// <summary>Documents of a batch: few, since many small steps learn what a text carries from far back sooner than few large ones.</summary>
    public const int Documents = 8;

    /// <summary>Stands for no token; the loss leaves such targets out.</summary>
    public const int Padding = -100;

    private const int BatchesPerPool = 32;

    private readonly Dictionary<int, List<TrainingBatch>> _pool = [];

    /// <summary>The batch of a step: always the same for the same seed.</summary>
    public TrainingBatch Batch(int step)
    {
        var pool = step / BatchesPerPool;
        if (!_pool.TryGetValue(pool, out var batches))
        {
            _pool.Clear();
            _pool[pool] = batches = MakePool(pool);
        }

        return batches[step % BatchesPerPool];
    }

    private List<TrainingBatch> MakePool(int pool)
    {
        var random = new Random(HashCodeOf(seed, pool));
        var encoded = Enumerable.Range(0, Documents * BatchesPerPool)
            .Select(_ => Encode(Grammar.Write(random, rates: rates).Text))
            .OrderBy(ids => ids.Length)
            .ToArray();
        var batches = encoded.Chunk(Documents).Select(Pack).ToArray();
        random.Shuffle(batches);
        return [.. batches];
    }

    private long[] Encode(string text)
    {
        long end = tokenizer.EosId!.Value;
        return [.. tokenizer.Encode(text, addSpecialTokens: true).Select(t => (long)t.Id).Append(end).Take(context)];
    }

    private static TrainingBatch Pack(long[][] documents)
    {
        var length = documents.Max(d => d.Length);
        var ids = new long[documents.Length * length];
        Array.Fill(ids, Padding);
        for (var row = 0; row < documents.Length; row++)
        {
            documents[row].CopyTo(ids, row * length);
        }

        return new TrainingBatch(ids, documents.Length, length, documents.Sum(d => d.Length - 1));
    }

    /// <summary>Mixes two numbers (Knuth's multiplicative constant), the same on every run; System.HashCode is not.</summary>
    private static int HashCodeOf(int a, int b) => unchecked((a * (int)2654435761u) ^ (b * 40503) ^ (b << 16));
}
