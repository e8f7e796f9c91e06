namespace LrtMesh.Generation;

/// <summary>
/// Finds stop strings in a text that comes in pieces, also across them: what could be the beginning of one is held back until it is
/// clear. For one text and one thread.
/// </summary>
internal sealed class StopMatcher(IReadOnlyList<string> stops)
{
    private string _held = "";

    /// <summary>Whether a stop string has come.</summary>
    public bool Found { get; private set; }

    /// <summary>Takes a piece.</summary>
    /// <returns>What is now certain to be part of the answer; up to the first stop string where one has come.</returns>
    public string Push(string piece)
    {
        if (Found)
        {
            return "";
        }

        var text = _held + piece;
        var first = stops.Select(stop => text.IndexOf(stop, StringComparison.Ordinal)).Where(at => at >= 0).DefaultIfEmpty(-1).Min();
        if (first >= 0)
        {
            Found = true;
            _held = "";
            return text[..first];
        }

        var held = HeldBack(text);
        _held = text[^held..];
        return text[..^held];
    }

    /// <summary>What was held back, once the text has ended without a stop string.</summary>
    public string Flush()
    {
        var rest = _held;
        _held = "";
        return rest;
    }

    /// <summary>Length of the longest end of the text that a stop string begins with.</summary>
    private int HeldBack(string text)
    {
        for (var length = Math.Min(text.Length, stops.Select(stop => stop.Length - 1).DefaultIfEmpty(0).Max()); length > 0; length--)
        {
            var from = text.Length - length;
            if (stops.Any(stop => stop.AsSpan().StartsWith(text.AsSpan(from))))
            {
                return length;
            }
        }

        return 0;
    }
}
