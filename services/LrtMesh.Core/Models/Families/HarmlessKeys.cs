using System.Globalization;
using System.Text.Json;

namespace LrtMesh.Core.Models.Families;

/// <summary>
/// Keys of a config.json that change nothing in what a causal decoder computes when it is run: where it comes from, how it
/// was trained, how its text is sampled, and what transformers' base class writes.
/// </summary>
internal static class HarmlessKeys
{
    private static readonly HashSet<string> _keys = new(
        [
            // Origin and file format
            "_name_or_path", "_commit_hash", "architectures", "auto_map", "model_type", "transformers_version", "torch_dtype", "dtype",
            "tokenizer_class", "task_specific_params", "finetuning_task", "problem_type", "id2label", "label2id", "num_labels",
            "is_llama_config", "unsloth_fixed", "unsloth_version", "_attn_implementation", "_attn_implementation_autoset", "attn_implementation",
            "_attn_implementation_internal", "_experts_implementation", "n_ctx",
            // Tokens
            "bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "cls_token_id", "mask_token_id", "unk_token_id",
            "decoder_start_token_id", "forced_bos_token_id", "forced_eos_token_id", "suppress_tokens", "begin_suppress_tokens", "bad_words_ids",
            // Training; dropout is off when a model is run
            "initializer_range", "initializer_factor", "attention_dropout", "hidden_dropout", "classifier_dropout", "embd_pdrop", "resid_pdrop",
            "attn_pdrop", "dropout", "gradient_checkpointing", "pretraining_tp", "chunk_size_feed_forward", "is_decoder",
            // Heads other than the one for the next token
            "summary_type", "summary_use_proj", "summary_activation", "summary_proj_to_labels", "summary_first_dropout",
            // Caching and sampling
            "use_cache", "cache_implementation", "max_length", "min_length", "do_sample", "early_stopping", "num_beams", "num_beam_groups",
            "diversity_penalty", "temperature", "top_k", "top_p", "typical_p", "repetition_penalty", "length_penalty", "no_repeat_ngram_size",
            "encoder_no_repeat_ngram_size", "num_return_sequences", "output_scores", "remove_invalid_values", "exponential_decay_length_penalty",
            "prefix", "return_dict", "return_dict_in_generate", "use_return_dict", "output_attentions", "output_hidden_states",
            "torchscript", "use_bfloat16", "tf_legacy_loss",
        ],
        StringComparer.Ordinal);

    /// <summary>Options of related families, at the value with which they do nothing.</summary>
    private static readonly Dictionary<string, string> _neutral = new(StringComparer.Ordinal)
    {
        ["partial_rotary_factor"] = "1",
        ["embedding_multiplier"] = "1",
        ["residual_multiplier"] = "1",
        ["logits_scaling"] = "1",
        ["logit_scale"] = "1",
        ["pruned_heads"] = "{}",
        ["is_causal"] = "true",
        ["causal"] = "true",
    };

    /// <summary>Whether a key changes nothing at the value given; an option that is null or false is off.</summary>
    public static bool Contains(string key, JsonElement value) => _neutral.TryGetValue(key, out var neutral)
        ? value.ValueKind == JsonValueKind.Null || Plain(value) == neutral
        : value.ValueKind is JsonValueKind.Null or JsonValueKind.False || _keys.Contains(key);

    /// <summary>The value's text, with 1.0 as 1.</summary>
    private static string Plain(JsonElement value) =>
        value.ValueKind == JsonValueKind.Number ? value.GetDouble().ToString(CultureInfo.InvariantCulture) : value.GetRawText();
}
