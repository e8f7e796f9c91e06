using LrtMesh.Core;

namespace LrtMesh.Mapping;

/// <summary>
/// Which rows of several models' readings of one document stand for the same place. Rows of tokens that were added around the text
/// say nothing of it and are left out.
/// </summary>
/// <remarks>
/// Models of one tokenizer pair by position. Others pair where the last characters of their tokens coincide: a token's state has
/// seen the text up to its end and nothing after it. Of several tokens that end at one character (the bytes of one character),
/// the last is taken. What one model has cut off, being beyond its context, pairs with nothing. A chat of which the models' templates
/// make different texts pairs in the same way, by the ends of tokens within the content of each message; what the templates write around
/// the contents is left out.
/// </remarks>
/// <param name="Rows">Of each model, the rows that pair, as many for each: row i of one stands for the same place as row i of another.</param>
/// <param name="Tokens">Of each model, how many tokens there were to pair.</param>
/// <param name="LeftOut">Messages that are left out, since the content is not found in what some model's template makes of the chat, and that model.</param>
internal sealed record RowPairing(int[][] Rows, int[] Tokens, IReadOnlyDictionary<uint, int> LeftOut)
{
    private static readonly Dictionary<uint, int> None = [];

    /// <summary>Pairs the readings of one document.</summary>
    /// <param name="readings">One a model.</param>
    /// <param name="sameTokens">Whether all models split every text alike.</param>
    /// <param name="document">Number of the document, for errors.</param>
    /// <exception cref="LrtMeshException">FailedPrecondition: tokens that one tokenizer made of a text differ.</exception>
    public static RowPairing Of(IReadOnlyList<TextStates> readings, bool sameTokens, long document)
    {
        if (sameTokens && Difference(readings) is var difference)
        {
            if (difference is null)
            {
                return ByPosition(readings);
            }

            if (readings[0].Contents is null)
            {
                throw LrtMeshException.Mismatch("target.model", $"document {document} has {difference}, though the models' tokenizers have one digest");
            }
        }

        return ByEnd(readings);
    }

    /// <summary>Where the tokens of a document differ, in words; null where they do not, but for where a long document was cut.</summary>
    private static string? Difference(IReadOnlyList<TextStates> readings)
    {
        var tokens = readings.Min(reading => reading.TokenIds.Length);
        var first = readings[0];
        foreach (var other in readings.Skip(1))
        {
            var same = first.TokenIds.AsSpan().CommonPrefixLength(other.TokenIds);
            if (same < tokens)
            {
                return $"token {first.TokenIds[same]} in one model and {other.TokenIds[same]} in another at position {same}";
            }
        }

        return null;
    }

    private static RowPairing ByPosition(IReadOnlyList<TextStates> readings)
    {
        var rows = Enumerable.Range(0, readings.Min(reading => reading.TokenIds.Length)).Where(readings[0].IsText).ToArray();
        return new RowPairing(
            [.. readings.Select(_ => rows)], [.. readings.Select(reading => Enumerable.Range(0, reading.TokenIds.Length).Count(reading.IsText))], None);
    }

    private static RowPairing ByEnd(IReadOnlyList<TextStates> readings)
    {
        var leftOut = new SortedDictionary<uint, int>();
        for (var model = 0; model < readings.Count; model++)
        {
            foreach (var content in (readings[model].Contents ?? []).Where(content => content.End == content.Start))
            {
                leftOut.TryAdd(content.Message, model);
            }
        }

        var places = readings.Select(reading => Places(reading).Where(place => !leftOut.ContainsKey(place.Message)).ToArray()).ToArray();
        var ends = places.Select(model => model.GroupBy(place => (place.Message, place.End)).ToDictionary(end => end.Key, end => end.Last().Token)).ToArray();
        var common = ends[0].Keys.Where(end => ends.All(model => model.ContainsKey(end))).Order().ToArray();
        return new RowPairing([.. ends.Select(model => common.Select(end => model[end]).ToArray())], [.. places.Select(model => model.Length)], leftOut);
    }

    /// <summary>Where tokens end: in which message, and how many characters into its content. A text counts as one message.</summary>
    private static IEnumerable<(int Token, uint Message, uint End)> Places(TextStates reading)
    {
        var contents = reading.Contents?.Where(content => content.End > content.Start).OrderBy(content => content.Start).ToArray();
        var next = 0;
        for (var token = 0; token < reading.Ends.Length; token++)
        {
            var end = reading.Ends[token];
            if (!reading.IsText(token))
            {
                continue;
            }

            if (contents is null)
            {
                yield return (token, 0, end);
                continue;
            }

            while (next < contents.Length && contents[next].End < end)
            {
                next++;
            }

            if (next < contents.Length && contents[next].Start < end)
            {
                yield return (token, contents[next].Message, end - contents[next].Start);
            }
        }
    }
}
