using System.Text.Json;
using LrtMesh.Core.Models.Tokenizers;

namespace LrtMesh.Core.Verification;

/// <summary>Texts with known tokens: {text, ids, add_special_tokens, decoded, decoded_skip_special}; what a case lacks of the last two is not compared.</summary>
public static class TokenizerCases
{
    /// <summary>Splits and joins the cases of a file.</summary>
    /// <exception cref="LrtMeshException">The file cannot be read, or is not laid out so.</exception>
    public static CaseReport Run(Tokenizer tokenizer, string path) => CaseReport.Run(path, one => RunOne(tokenizer, one));

    private static IEnumerable<FailedCase> RunOne(Tokenizer tokenizer, JsonElement one)
    {
        var text = one.GetProperty("text").GetString()!;
        var ids = one.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32()).ToArray();
        var got = tokenizer.Encode(text, one.GetProperty("add_special_tokens").GetBoolean()).Select(token => token.Id);
        var outcomes = new List<(string Expected, string Got)> { (Write(ids), Write(got)) };
        if (one.TryGetProperty("decoded", out var decoded))
        {
            outcomes.Add((decoded.GetString()!, Decode(tokenizer, ids, skipSpecialTokens: false)));
        }

        if (one.TryGetProperty("decoded_skip_special", out var plain))
        {
            outcomes.Add((plain.GetString()!, Decode(tokenizer, ids, skipSpecialTokens: true)));
        }

        return outcomes.Where(outcome => outcome.Expected != outcome.Got).Take(1).Select(outcome => new FailedCase(text, outcome.Expected, outcome.Got));
    }

    private static string Write(IEnumerable<int> ids) => string.Join(' ', ids);

    private static string Decode(Tokenizer tokenizer, int[] ids, bool skipSpecialTokens)
    {
        try
        {
            return tokenizer.Decode(ids, skipSpecialTokens);
        }
        catch (LrtMeshException e)
        {
            return $"an error: {e.Message}";
        }
    }
}
