using System.Globalization;
using System.Numerics;
using System.Text.Json;
using LrtMesh.Core.Models.Chat.Jinja;

namespace LrtMesh.Core.Models.Chat;

/// <summary>JSON as a template's values, as Python's json.loads reads it: whole numbers of any length, later keys replace earlier ones.</summary>
internal static class JsonValues
{
    /// <summary>The value of an element.</summary>
    public static object? Of(JsonElement element)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.Null or JsonValueKind.Undefined:
                return null;
            case JsonValueKind.True or JsonValueKind.False:
                return element.GetBoolean();
            case JsonValueKind.String:
                return Text(() => element.GetString()!);
            case JsonValueKind.Number:
                return Number(element.GetRawText());
            case JsonValueKind.Array:
                return PySequence.List(element.EnumerateArray().Select(Of));
            default:
                var dict = new PyDict();
                foreach (var property in element.EnumerateObject())
                {
                    dict.Set(Text(() => property.Name), Of(property.Value));
                }

                return dict;
        }
    }

    /// <summary>Reads a text that holds a JSON value.</summary>
    /// <exception cref="LrtMeshException">InvalidArgument: it is no JSON.</exception>
    public static JsonElement Parse(string json, string field)
    {
        try
        {
            using var document = JsonDocument.Parse(json);
            return document.RootElement.Clone();
        }
        catch (JsonException e)
        {
            throw LrtMeshException.Invalid(field, $"must be JSON: {e.Message}");
        }
    }

    private static string Text(Func<string> read)
    {
        try
        {
            return read();
        }
        catch (InvalidOperationException)
        {
            throw new TemplateError("a text holds half a character (an unpaired surrogate)");
        }
    }

    private static object Number(string text)
    {
        if (text.AsSpan().IndexOfAny(".eE") >= 0)
        {
            return double.Parse(text, CultureInfo.InvariantCulture);
        }

        return text.Length <= PyNumber.MaxDigits
            ? BigInteger.Parse(text, CultureInfo.InvariantCulture)
            : throw new TemplateError($"a number of more than {PyNumber.MaxDigits} digits");
    }
}
