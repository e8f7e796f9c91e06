using System.Text;

namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>
/// Makes a tokenizer of a SentencePiece model as transformers converts it for the Llama and Gemma classes. Source: Hugging Face
/// transformers, convert_slow_tokenizer (SpmConverter, LlamaConverter, GemmaConverter).
/// </summary>
internal static class SentencePieceTokenizer
{
    private const char Symbol = '\u2581'; // what SentencePiece writes for a space

    /// <summary>The tokenizer of a model.</summary>
    public static TokenizerParts Create(string path, SentencePieceFile file, TokenizerConfig config)
    {
        if (config.Class is not ("" or "Llama" or "CodeLlama" or "Gemma"))
        {
            throw config.Unsupported("tokenizer_class", $"must be LlamaTokenizer or GemmaTokenizer where there is tokenizer.model alone, not {config.Class}");
        }

        if (file.ModelType is not (1 or 2))
        {
            throw LrtMeshException.Mismatch($"{path}: trainer_spec.model_type", $"must be UNIGRAM or BPE, not {file.ModelType}");
        }

        if (file.WhitespaceAsSuffix || !file.EscapeWhitespaces)
        {
            var (field, value) = file.WhitespaceAsSuffix ? ("trainer_spec.treat_whitespace_as_suffix", "false") : ("normalizer_spec.escape_whitespaces", "true");
            throw LrtMeshException.Mismatch($"{path}: {field}", $"must be {value}");
        }

        var parts = new TokenizerParts(path) { Model = vocabulary => CreateModel(file, vocabulary) };
        for (var id = 0; id < file.Pieces.Count; id++)
        {
            var (piece, _, kind) = file.Pieces[id];
            parts.Vocabulary.Add(piece, id, $"pieces[{id}]");
            if (kind is PieceKind.Control or PieceKind.UserDefined && piece.Length > 0)
            {
                parts.AddedTokens.Add(id, new AddedToken(id, piece, Normalized: false, Special: kind == PieceKind.Control));
            }
        }

        foreach (var (field, piece) in new[] { ("unk_token", file.UnknownPiece), ("bos_token", file.BosPiece), ("eos_token", file.EosPiece) })
        {
            if (parts.Vocabulary.Ids.ContainsKey(piece))
            {
                config.Default(field, piece);
            }
        }

        if (config.Class.Length == 0 && parts.Vocabulary.Ids.TryGetValue(config.Named("bos_token") ?? "", out var bos))
        {
            parts.PostProcessor = new PostProcessor([bos], []); // Llama's default
        }

        var prefixes = config.AddPrefixSpace ?? (config.Class != "Gemma" && file.AddDummyPrefix);
        parts.Normalizer = CreateNormalizer(file, prefixes && config.Legacy, config.Legacy);
        parts.PreTokenizer = config.Legacy ? null : new MetaspacePreTokenizer(Symbol, prefixes ? PrependScheme.First : PrependScheme.Never, split: false);
        parts.Decoder = new DecoderSequence(
        [
            new CharacterDecoder(Symbol, " "), new ByteFallbackDecoder(), new FuseDecoder(), .. prefixes ? [new StripDecoder(' ', 1, 0)] : Array.Empty<TokenDecoder>(),
        ]);
        return parts;
    }

    private static NormalizerSequence CreateNormalizer(SentencePieceFile file, bool prepends, bool replaces)
    {
        List<Normalizer> steps = [];
        if (file.Charsmap.Length > 0)
        {
            steps.Add(new PrecompiledCharsmap(file.Charsmap));
        }

        if (file.RemoveExtraWhitespaces)
        {
            steps.Add(new ReplaceNormalizer(TokenizerPattern.Expression(@"\A +| +\z"), ""));
            steps.Add(new ReplaceNormalizer(TokenizerPattern.Expression(" {2,}"), " "));
        }

        if (prepends)
        {
            steps.Add(new PrependNormalizer(Symbol.ToString()));
        }

        if (replaces)
        {
            steps.Add(new ReplaceNormalizer(TokenizerPattern.Plain(" "), Symbol.ToString()));
        }

        return new NormalizerSequence([.. steps]);
    }

    private static TokenModel CreateModel(SentencePieceFile file, Vocabulary vocabulary)
    {
        var unknown = file.Pieces.FindIndex(piece => piece.Kind == PieceKind.Unknown);
        return file.ModelType == 1
            ? new UnigramModel([.. file.Pieces.Select(piece => (piece.Piece, (double)piece.Score))], unknown < 0 ? null : unknown, file.ByteFallback)
            : new BytePairModel(new BytePairOptions(new Dictionary<string, int>(vocabulary.Ids, StringComparer.Ordinal), [.. Merges(file)])
            {
                UnknownId = unknown < 0 ? null : unknown,
                FuseUnknown = true,
                ByteFallback = file.ByteFallback,
            });
    }

    // SentencePiece merges any two pieces that are a piece together, that of the highest score first. Ranks as transformers makes
    // them: by score, then by the length of the left and of the right part, all falling, then by the merged piece's id.
    private static IEnumerable<(int Left, int Right, int Merged)> Merges(SentencePieceFile file)
    {
        var ids = new Dictionary<string, int>(StringComparer.Ordinal);
        for (var id = 0; id < file.Pieces.Count; id++)
        {
            if (file.Pieces[id].Kind is PieceKind.Normal or PieceKind.UserDefined)
            {
                ids.Add(file.Pieces[id].Piece, id);
            }
        }

        List<(int Left, int Right, int Merged, int LeftLength, int RightLength)> merges = [];
        var lookup = ids.GetAlternateLookup<ReadOnlySpan<char>>();
        foreach (var (piece, id) in ids)
        {
            var characters = piece.EnumerateRunes().Count();
            var (place, from) = (0, merges.Count);
            for (var left = 1; left < characters; left++)
            {
                place += AlignedText.RuneLength(piece, place);
                if (lookup.TryGetValue(piece.AsSpan(0, place), out var leftId) && lookup.TryGetValue(piece.AsSpan(place), out var rightId))
                {
                    merges.Add((leftId, rightId, id, left, characters - left));
                }
            }

            merges.Sort(from, merges.Count - from, Comparer<(int Left, int Right, int, int, int)>.Create((a, b) => (a.Left, a.Right).CompareTo((b.Left, b.Right))));
        }

        return merges.OrderByDescending(merge => file.Pieces[merge.Merged].Score).ThenByDescending(merge => merge.LeftLength)
            .ThenByDescending(merge => merge.RightLength).Select(merge => (merge.Left, merge.Right, merge.Merged));
    }
}
