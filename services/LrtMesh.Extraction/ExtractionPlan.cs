using LrtMesh.Core;
using LrtMesh.Core.Models;
using LrtMesh.Core.Models.Chat;
using LrtMesh.Core.Models.Tokenizers;
using LrtMesh.Core.Tensors;
using LrtMesh.ServiceDefaults;
using LrtMesh.V1;

namespace LrtMesh.Extraction;

/// <summary>A text to read.</summary>
/// <param name="Sequence">Which text of the stream.</param>
/// <param name="Tokens">Its tokens.</param>
/// <param name="Rows">The rows that they make.</param>
/// <param name="Contents">Of a chat, where the contents of its messages lie; those beyond the last token are left out.</param>
internal sealed record PlannedText(int Sequence, TextToken[] Tokens, RowChoice Rows, IReadOnlyList<ContentSpan> Contents);

/// <summary>What one stream extracts: its spec, checked.</summary>
/// <param name="Model">The model.</param>
/// <param name="Layers">Layers, in the order asked for.</param>
/// <param name="Dtype">Element type of the rows.</param>
/// <param name="AddSpecialTokens">Whether special tokens are added to each text.</param>
/// <param name="MaxTokens">Where longer texts are cut.</param>
/// <param name="MaxBatch">Texts of a batch, at most.</param>
/// <param name="Choice">Which tokens count, and what rows they make.</param>
internal sealed record ExtractionPlan(LoadedModel Model, int[] Layers, Dtype Dtype, bool AddSpecialTokens, int MaxTokens, int MaxBatch, TokenChoice Choice)
{
    /// <summary>Width of a row.</summary>
    public int Width => (int)Model.Description.Width;

    /// <summary>Bytes of a row at one layer.</summary>
    public int RowBytes => Width * ElementConversion.SizeOf(Dtype, "spec.dtype");

    /// <summary>Checks a spec.</summary>
    /// <param name="spec">What a request asks for.</param>
    /// <param name="model">The model that it names.</param>
    /// <param name="maxBatch">Texts of a batch, at most.</param>
    /// <exception cref="LrtMeshException">InvalidArgument or OutOfRange, naming every wrong field.</exception>
    public static ExtractionPlan From(ExtractionSpec spec, LoadedModel model, int maxBatch)
    {
        var check = new RequestCheck();
        check.Layers(spec.Layers, "spec.layers", model);
        check.Known(spec.Dtype, "spec.dtype");
        check.RequireRange(
            spec.MaxTokens <= model.Description.Context, "spec.max_tokens", $"must be 0 (all) to {model.Description.Context}, the context of {model.Name}, not {spec.MaxTokens}");
        var choice = TokenChoice.From(spec, model.Tokenizer, check);
        check.Throw();
        return new ExtractionPlan(
            model,
            [.. spec.Layers.Select(layer => (int)layer)],
            spec.Dtype == Dtype.Unspecified ? Dtype.Float32 : spec.Dtype,
            spec.AddSpecialTokens,
            (int)(spec.MaxTokens == 0 ? model.Description.Context : spec.MaxTokens),
            maxBatch,
            choice);
    }

    /// <summary>The tokens of a batch's texts, each cut to the longest length, and the rows that they make.</summary>
    /// <param name="batch">The batch.</param>
    /// <param name="firstSequence">Which text of the stream its first one is.</param>
    /// <exception cref="LrtMeshException">InvalidArgument or OutOfRange, naming every text that is wrong.</exception>
    public PlannedText[] Split(TextBatch batch, int firstSequence)
    {
        var check = new RequestCheck();
        var chats = batch.Chats.Count > 0;
        if (chats)
        {
            check.Require(batch.Texts.Count == 0, "batch.texts", "must be empty where there are chats: send them in batches of their own");
            check.Require(batch.Chats.Count <= MaxBatch, "batch.chats", $"must hold at most {MaxBatch} chats, not {batch.Chats.Count}");
        }
        else
        {
            check.Require(batch.Texts.Count > 0 && batch.Texts.Count <= MaxBatch, "batch.texts", $"must hold 1 to {MaxBatch} texts, not {batch.Texts.Count}");
            for (var i = 0; i < batch.Texts.Count; i++)
            {
                check.Require(batch.Texts[i].Length > 0, $"batch.texts[{i}]", "must not be empty");
            }
        }

        Choice.CheckSpans(batch.Spans, chats ? batch.Chats.Count : batch.Texts.Count, check);
        check.Throw();
        var planned = new PlannedText[chats ? batch.Chats.Count : batch.Texts.Count];
        for (var i = 0; i < planned.Length; i++)
        {
            var field = chats ? $"batch.chats[{i}]" : $"batch.texts[{i}]";
            var (tokens, contents) = chats ? Model.EncodeWithContents(batch.Chats[i], addGenerationPrompt: false, field) : (Model.Tokenizer.Encode(batch.Texts[i], AddSpecialTokens), []);
            TextToken[] read = [.. tokens.Take(MaxTokens)];
            var rows = Choice.Rows(read, Choice.BySpan ? batch.Spans[i] : null, i, field, check);
            check.Require(
                (long)rows.Count * RowBytes <= Array.MaxLength, field, $"makes {rows.Count} rows of {RowBytes} bytes at each layer, and may make {Array.MaxLength >> 20} MiB: ask for fewer by spec.tokens, or for spec.max_tokens or a narrower spec.dtype");
            planned[i] = new PlannedText(firstSequence + i, read, rows, [.. contents.Where(content => content.Start < read[^1].End)]);
        }

        check.Throw();
        return planned;
    }
}
