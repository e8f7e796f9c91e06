using LrtMesh.Core;

namespace LrtMesh.Mapping;

/// <summary>
/// Which rows of several models' readings of one text stand for the same place. Rows of tokens that were added around the text
/// say nothing of it and are left out.
/// </summary>
/// <remarks>
/// Models of one tokenizer pair by position. Others pair where the last characters of their tokens coincide: a token's state has
/// seen the text up to its end and nothing after it. Of several tokens that end at one character (the bytes of one character),
/// the last is taken. What one model has cut off, being beyond its context, pairs with nothing.
/// </remarks>
internal static class RowPairing
{
    /// <summary>Pairs the readings of one text.</summary>
    /// <param name="readings">One a model.</param>
    /// <param name="sameTokens">Whether all models split every text alike.</param>
    /// <param name="document">Number of the document, for errors.</param>
    /// <returns>Of each model, the rows that pair, as many for each: row i of one stands for the same place as row i of another.</returns>
    /// <exception cref="LrtMeshException">FailedPrecondition: tokens of one tokenizer differ.</exception>
    public static int[][] Rows(IReadOnlyList<TextStates> readings, bool sameTokens, long document) =>
        sameTokens ? ByPosition(readings, document) : ByEnd(readings);

    private static int[][] ByPosition(IReadOnlyList<TextStates> readings, long document)
    {
        // Contexts may differ, and so may where a long document was cut.
        var tokens = readings.Min(reading => reading.TokenIds.Length);
        var first = readings[0];
        foreach (var other in readings.Skip(1))
        {
            var same = first.TokenIds.AsSpan().CommonPrefixLength(other.TokenIds);
            if (same < tokens)
            {
                throw LrtMeshException.Mismatch(
                    "target.model", $"document {document} has token {first.TokenIds[same]} in one model and {other.TokenIds[same]} in another at position {same}; chats pair only between models of one template");
            }
        }

        var rows = Enumerable.Range(0, tokens).Where(first.IsText).ToArray();
        return [.. readings.Select(_ => rows)];
    }

    private static int[][] ByEnd(IReadOnlyList<TextStates> readings)
    {
        var ends = readings.Select(LastTokens).ToArray();
        var common = ends[0].Keys.Where(end => ends.All(model => model.ContainsKey(end))).Order().ToArray();
        return [.. ends.Select(model => common.Select(end => model[end]).ToArray())];
    }

    private static Dictionary<uint, int> LastTokens(TextStates reading)
    {
        var tokens = new Dictionary<uint, int>();
        for (var token = 0; token < reading.Ends.Length; token++)
        {
            if (reading.IsText(token))
            {
                tokens[reading.Ends[token]] = token;
            }
        }

        return tokens;
    }
}
