using System.Text.Json;
using LrtMesh.V1;

namespace LrtMesh.Mapping;

/// <summary>
/// A chat as a line of a file has it: {"messages": [{"role", "content", ...}], ...}. What a message has besides goes to the template with it, and
/// what the line has besides ("tools" say) as the template's variables.
/// </summary>
internal static class ChatJson
{
    /// <summary>Reads a line.</summary>
    /// <param name="line">The object.</param>
    /// <param name="messages">Its messages, a list.</param>
    /// <exception cref="JsonException">It is laid out otherwise.</exception>
    public static Chat Parse(JsonElement line, JsonElement messages)
    {
        var chat = new Chat { VariablesJson = Others(line, "messages", "add_generation_prompt") };
        if (line.TryGetProperty("add_generation_prompt", out var adds))
        {
            chat.AddGenerationPrompt = adds.ValueKind is JsonValueKind.True or JsonValueKind.False ? adds.GetBoolean() : throw new JsonException("\"add_generation_prompt\" must be true or false");
        }

        chat.Messages.AddRange(messages.EnumerateArray().Select(MessageOf));
        return chat;
    }

    private static ChatMessage MessageOf(JsonElement message, int index)
    {
        if (message.ValueKind != JsonValueKind.Object || !message.TryGetProperty("role", out var role) || role.ValueKind != JsonValueKind.String)
        {
            throw new JsonException($"message {index} must be an object with a string \"role\"");
        }

        var isText = message.TryGetProperty("content", out var content) && content.ValueKind == JsonValueKind.String;
        return new ChatMessage
        {
            Role = role.GetString(),
            Content = isText ? content.GetString() : "",
            FieldsJson = isText ? Others(message, "role", "content") : Others(message, "role"),
        };
    }

    /// <summary>The other fields of an object, as JSON; empty where there are none.</summary>
    private static string Others(JsonElement element, params ReadOnlySpan<string> without)
    {
        var others = new Dictionary<string, JsonElement>(StringComparer.Ordinal);
        foreach (var property in element.EnumerateObject())
        {
            if (!without.Contains(property.Name))
            {
                others[property.Name] = property.Value; // of two of a name, the last
            }
        }

        return others.Count == 0 ? "" : JsonSerializer.Serialize(others);
    }
}
