namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>All tokens of a tokenizer, those of its model and those added to it.</summary>
/// <param name="file">Where they come from, for errors.</param>
internal sealed class Vocabulary(string file)
{
    private const int Gap = 1 << 16; // ids without a token that a vocabulary may have besides as many as it has tokens

    private readonly Dictionary<int, string> _contents = [];

    /// <summary>The id of each token.</summary>
    public Dictionary<string, int> Ids { get; } = new(StringComparer.Ordinal);

    /// <summary>One more than the highest id.</summary>
    public int Size { get; private set; }

    /// <summary>Adds a token.</summary>
    /// <exception cref="LrtMeshException">DATA_LOSS: the token or the id is taken.</exception>
    public void Add(string token, int id, string place)
    {
        if (id < 0)
        {
            throw Damaged(place, $"gives \"{token}\" the id {id}");
        }

        if (!Ids.TryAdd(token, id))
        {
            throw Damaged(place, $"gives \"{token}\" the id {id}, elsewhere it is {Ids[token]}");
        }

        if (!_contents.TryAdd(id, token))
        {
            throw Damaged(place, $"gives \"{token}\" the id {id}, which is that of \"{_contents[id]}\"");
        }

        Size = Math.Max(Size, id + 1);
    }

    /// <summary>How each id is written, [Size]; null where an id has no token.</summary>
    /// <exception cref="LrtMeshException">DATA_LOSS: an id is far beyond the number of tokens.</exception>
    public string?[] Contents()
    {
        if (Size > (2L * Ids.Count) + Gap)
        {
            throw Damaged("", $"has {Ids.Count} tokens, and \"{_contents[Size - 1]}\" with the id {Size - 1}");
        }

        var contents = new string?[Size];
        foreach (var (id, token) in _contents)
        {
            contents[id] = token;
        }

        return contents;
    }

    /// <summary>The id of a token that something else in the file names.</summary>
    /// <exception cref="LrtMeshException">DATA_LOSS: there is no such token.</exception>
    public int IdOf(string token, string place) =>
        Ids.TryGetValue(token, out var id) ? id : throw Damaged(place, $"needs the token \"{token}\", which has no id");

    /// <summary>The token of an id that something else in the file names.</summary>
    /// <exception cref="LrtMeshException">DATA_LOSS: there is no such token.</exception>
    public int Existing(int id, string place) =>
        _contents.ContainsKey(id) ? id : throw Damaged(place, $"needs a token of the id {id}, and none has it");

    /// <summary>The error for something in the file that cannot be.</summary>
    public LrtMeshException Damaged(string place, string description) =>
        new(ErrorReason.DataLoss, [new Violation(place.Length == 0 ? file : $"{file}: {place}", description)]);
}
