using LrtMesh.Core.Models;
using LrtMesh.Core.Models.Tokenizers;
using LrtMesh.ServiceDefaults;
using LrtMesh.V1;

namespace LrtMesh.Extraction;

/// <summary>Which tokens of a text count, and what rows they make: a spec's <c>tokens</c> and <c>reduction</c>, checked.</summary>
internal sealed class TokenChoice
{
    private const int MaxEntries = 4096; // of each list

    private readonly TokenSelection _selection;
    private readonly Tokenizer _tokenizer;

    private TokenChoice(TokenSelection selection, Reduction reduction, Tokenizer tokenizer)
    {
        _selection = selection;
        _tokenizer = tokenizer;
        Reduction = reduction == Reduction.Unspecified ? Reduction.None : reduction;
    }

    /// <summary>What becomes of the tokens that count.</summary>
    public Reduction Reduction { get; }

    /// <summary>Whether each text has spans of its own.</summary>
    public bool BySpan => Reduction is Reduction.MeanOfCharSpans or Reduction.MeanOfTokenSpans;

    /// <summary>Whether rows are means.</summary>
    public bool ByMean => BySpan || Reduction == Reduction.Mean;

    /// <summary>Checks a spec.</summary>
    public static TokenChoice From(ExtractionSpec spec, Tokenizer tokenizer, RequestCheck check)
    {
        var selection = spec.Tokens ?? new TokenSelection();
        check.Known(selection.Rule, "spec.tokens.rule");
        check.Known(spec.Reduction, "spec.reduction");
        List(selection.Indices.Count, TokenRule.Indices, "spec.tokens.indices");
        List(selection.Ranges.Count, TokenRule.Ranges, "spec.tokens.ranges");
        for (var i = 0; i < selection.Ranges.Count; i++)
        {
            var range = selection.Ranges[i];
            check.Require(!range.HasEnd || range.End > range.Start, $"spec.tokens.ranges[{i}].end", $"must be above start, which is {range.Start}, or unset");
        }

        return new TokenChoice(selection, spec.Reduction, tokenizer);

        void List(int count, TokenRule rule, string field)
        {
            if (selection.Rule == rule)
            {
                check.Require(count is > 0 and <= MaxEntries, field, $"must have 1 to {MaxEntries} entries, not {count}");
            }
            else
            {
                check.Require(count == 0, field, $"must be empty: spec.tokens.rule is not {rule}");
            }
        }
    }

    /// <summary>Notes spans that are not as the reduction has them.</summary>
    /// <param name="spans">Of the texts of a batch.</param>
    /// <param name="texts">How many texts it has.</param>
    /// <param name="check">Where it is noted.</param>
    public void CheckSpans(IReadOnlyList<TextSpans> spans, int texts, RequestCheck check)
    {
        if (!check.Require(
            spans.Count == (BySpan ? texts : 0), "batch.spans", BySpan ? $"must have {texts} entries, one a text, not {spans.Count}" : "must be empty: spec.reduction is not by span"))
        {
            return;
        }

        for (var text = 0; text < spans.Count; text++)
        {
            var of = spans[text].Spans;
            check.Require(of.Count is > 0 and <= MaxEntries, $"batch.spans[{text}].spans", $"must be 1 to {MaxEntries} spans, not {of.Count}");
            for (var i = 0; i < of.Count; i++)
            {
                check.Require(of[i].End > of[i].Start, $"batch.spans[{text}].spans[{i}].end", $"must be above start, which is {of[i].Start}");
            }
        }
    }

    /// <summary>The rows of one text; a text that has none, or lacks one asked for, is noted.</summary>
    /// <param name="tokens">Its tokens.</param>
    /// <param name="spans">Its spans; null where there are none.</param>
    /// <param name="text">Which of the batch's texts.</param>
    /// <param name="field">Proto path of the text.</param>
    /// <param name="check">Where it is noted.</param>
    public RowChoice Rows(TextToken[] tokens, TextSpans? spans, int text, string field, RequestCheck check)
    {
        int[] counted = [.. Named(tokens, field, check).Where(position => !_selection.ExcludeSpecial || !_tokenizer.IsSpecial(tokens[position].Id))];
        if (_selection.Rule == TokenRule.Last)
        {
            counted = counted[Math.Max(0, counted.Length - 1)..];
        }

        if (!check.RequireRange(counted.Length > 0, field, $"has {tokens.Length} tokens, and none of them counts by spec.tokens"))
        {
            return new RowChoice([]);
        }

        return Reduction switch
        {
            Reduction.None => new RowChoice(counted),
            Reduction.Last => new RowChoice([counted[^1]]),
            Reduction.Mean => new RowChoice(counted, [counted.Length]),
            _ => OfSpans(tokens, counted, spans!, text, check),
        };
    }

    /// <summary>What the rule names, rising, special tokens too.</summary>
    private IEnumerable<int> Named(TextToken[] tokens, string field, RequestCheck check)
    {
        switch (_selection.Rule)
        {
            case TokenRule.Indices:
                var positions = new SortedSet<int>();
                foreach (var index in _selection.Indices)
                {
                    var position = index < 0 ? tokens.Length + (long)index : index;
                    if (check.RequireRange(position >= 0 && position < tokens.Length, field, $"has {tokens.Length} tokens, and spec.tokens.indices has {index}"))
                    {
                        positions.Add((int)position);
                    }
                }

                return positions;
            case TokenRule.Ranges:
                return InRanges(tokens.Length);
            default:
                return Enumerable.Range(0, tokens.Length);
        }
    }

    private IEnumerable<int> InRanges(int length)
    {
        var changes = new int[length + 1]; // in how many ranges there are around a position, against the one before
        foreach (var range in _selection.Ranges)
        {
            changes[Math.Min(range.Start, (uint)length)]++;
            changes[range.HasEnd ? Math.Min(range.End, (uint)length) : length]--;
        }

        var around = 0;
        for (var position = 0; position < length; position++)
        {
            around += changes[position];
            if (around > 0)
            {
                yield return position;
            }
        }
    }

    private RowChoice OfSpans(TextToken[] tokens, int[] counted, TextSpans spans, int text, RequestCheck check)
    {
        var search = new CountedTokens(tokens, counted);
        var members = new List<int>();
        var ends = new int[spans.Spans.Count];
        for (var i = 0; i < ends.Length; i++)
        {
            var span = spans.Spans[i];
            var before = members.Count;
            if (Reduction == Reduction.MeanOfTokenSpans)
            {
                members.AddRange(search.Within(span.Start, span.End));
            }
            else
            {
                members.AddRange(search.Covering(span.Start, span.End));
            }

            ends[i] = members.Count;
            check.RequireRange(
                members.Count > before, $"batch.spans[{text}].spans[{i}]", $"holds none of the {counted.Length} tokens that count of this text of {tokens.Length}");
        }

        return new RowChoice([.. members], ends);
    }
}
