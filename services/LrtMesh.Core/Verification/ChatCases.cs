using System.Text.Json;
using LrtMesh.Core.Models.Chat;
using LrtMesh.Core.Models.Chat.Jinja;

namespace LrtMesh.Core.Verification;

/// <summary>
/// Chat templates with known renderings: {name, template, messages, add_generation_prompt, bos_token, eos_token, variables,
/// expected | error}. A token that is null is not given to the template; <c>error</c> is what it says with <c>raise_exception</c>.
/// </summary>
public static class ChatCases
{
    private const string RefusalMark = "refused: ";

    /// <summary>Renders the cases of a file.</summary>
    /// <exception cref="LrtMeshException">The file cannot be read, or is not laid out so.</exception>
    public static CaseReport Run(string path) => CaseReport.Run(path, RunOne);

    private static IEnumerable<FailedCase> RunOne(JsonElement one)
    {
        var name = one.GetProperty("name").GetString()!;
        var expected = one.TryGetProperty("error", out var error) && error.ValueKind != JsonValueKind.Null
            ? RefusalMark + error.GetString()
            : one.GetProperty("expected").GetString()!;
        var got = Render(one, name);
        return got == expected ? [] : [new FailedCase(name, expected, got)];
    }

    private static string Render(JsonElement one, string name)
    {
        var variables = new Dictionary<string, JsonElement>
        {
            ["messages"] = one.GetProperty("messages"),
            ["add_generation_prompt"] = one.GetProperty("add_generation_prompt"),
        };
        foreach (var token in new[] { "bos_token", "eos_token" })
        {
            if (one.TryGetProperty(token, out var text) && text.ValueKind != JsonValueKind.Null)
            {
                variables[token] = text;
            }
        }

        if (one.TryGetProperty("variables", out var more) && more.ValueKind != JsonValueKind.Null)
        {
            foreach (var variable in more.EnumerateObject())
            {
                variables[variable.Name] = variable.Value;
            }
        }

        try
        {
            return ChatTemplate.Parse(one.GetProperty("template").GetString()!, name).RenderOrRefuse(variables);
        }
        catch (TemplateError e)
        {
            return e.Raised ? RefusalMark + e.Message : $"an error at line {e.Line}: {e.Message}";
        }
        catch (LrtMeshException e)
        {
            return $"an error: {e.Message}";
        }
    }
}
