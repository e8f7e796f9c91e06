using LrtMesh.Core;
using LrtMesh.Core.Models;
using LrtMesh.Core.Models.Tokenizers;
using LrtMesh.ServiceDefaults;
using LrtMesh.V1;

namespace LrtMesh.Extraction;

/// <summary>What one stream extracts: its spec, checked.</summary>
/// <param name="Model">The model.</param>
/// <param name="Layers">Layers, in the order asked for.</param>
/// <param name="Dtype">Element type of the rows.</param>
/// <param name="AddSpecialTokens">Whether special tokens are added to each text.</param>
/// <param name="MaxTokens">Where longer texts are cut.</param>
internal sealed record ExtractionPlan(LoadedModel Model, int[] Layers, Dtype Dtype, bool AddSpecialTokens, int MaxTokens)
{
    private const int MaxTexts = 256;

    /// <summary>Checks a spec.</summary>
    /// <exception cref="LrtMeshException">NotFound: the model; InvalidArgument or OutOfRange, naming every wrong field.</exception>
    public static ExtractionPlan From(ExtractionSpec spec, ModelRegistry models)
    {
        var model = models.Find(spec.Model, "spec.model");
        var check = new RequestCheck();
        check.Layers(spec.Layers, "spec.layers", model);
        check.Known(spec.Dtype, "spec.dtype");
        check.RequireRange(
            spec.MaxTokens <= model.Description.Context, "spec.max_tokens", $"must be 0 (all) to {model.Description.Context}, the context of {model.Name}, not {spec.MaxTokens}");
        check.Throw();
        return new ExtractionPlan(
            model,
            [.. spec.Layers.Select(layer => (int)layer)],
            spec.Dtype == Dtype.Unspecified ? Dtype.Float32 : spec.Dtype,
            spec.AddSpecialTokens,
            (int)(spec.MaxTokens == 0 ? model.Description.Context : spec.MaxTokens));
    }

    /// <summary>The tokens of a batch's texts, each cut to the longest length.</summary>
    /// <exception cref="LrtMeshException">InvalidArgument, naming every text that is wrong.</exception>
    public TextToken[][] Split(TextBatch batch)
    {
        var check = new RequestCheck();
        if (batch.Chats.Count > 0)
        {
            check.Require(batch.Texts.Count == 0, "batch.texts", "must be empty where there are chats: send them in batches of their own");
            check.Require(batch.Chats.Count <= MaxTexts, "batch.chats", $"must hold at most {MaxTexts} chats, not {batch.Chats.Count}");
            check.Throw();
            return [.. batch.Chats.Select((chat, i) => Model.Encode(chat, addGenerationPrompt: false, $"batch.chats[{i}]").Take(MaxTokens).ToArray())];
        }

        check.Require(batch.Texts.Count is > 0 and <= MaxTexts, "batch.texts", $"must hold 1 to {MaxTexts} texts, not {batch.Texts.Count}");
        for (var i = 0; i < batch.Texts.Count; i++)
        {
            check.Require(batch.Texts[i].Length > 0, $"batch.texts[{i}]", "must not be empty");
        }

        check.Throw();
        return [.. batch.Texts.Select(text => Model.Tokenizer.Encode(text, AddSpecialTokens).Take(MaxTokens).ToArray())];
    }
}
