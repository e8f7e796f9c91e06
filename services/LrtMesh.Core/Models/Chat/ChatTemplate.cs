using System.Text.Json;
using LrtMesh.Core.Models.Chat.Jinja;

namespace LrtMesh.Core.Models.Chat;

/// <summary>
/// A chat template in Jinja, as checkpoints have it, rendered as transformers renders it (Jinja2's immutable sandbox with
/// <c>trim_blocks</c>, <c>lstrip_blocks</c>, loop controls, <c>generation</c> blocks, <c>tojson</c>, <c>raise_exception</c> and
/// <c>strftime_now</c>), within bounds of steps, length, depth and time. Safe for concurrent use.
/// </summary>
public sealed class ChatTemplate
{
    /// <summary>Longest template, in UTF-16 code units; those of checkpoints have up to some ten thousand.</summary>
    public const int MaxLength = 1 << 20;

    private readonly string _name;
    private readonly IReadOnlyList<Statement> _statements;

    private ChatTemplate(string name, IReadOnlyList<Statement> statements)
    {
        _name = name;
        _statements = statements;
    }

    /// <summary>Reads a template.</summary>
    /// <param name="source">The template.</param>
    /// <param name="name">What errors call it: its file.</param>
    /// <exception cref="LrtMeshException">FailedPrecondition: it is not a template, or uses what is not supported; names the line.</exception>
    public static ChatTemplate Parse(string source, string name)
    {
        if (source.Length > MaxLength)
        {
            throw new LrtMeshException(ErrorReason.FailedPrecondition, $"{name}: the chat template has {source.Length} characters, and at most {MaxLength} are read");
        }

        try
        {
            return new ChatTemplate(name, Parser.Parse(source));
        }
        catch (TemplateError e)
        {
            throw new LrtMeshException(ErrorReason.FailedPrecondition, $"{name}, line {e.Line} of the chat template: {e.Message}", e);
        }
    }

    /// <summary>Renders it.</summary>
    /// <param name="variables">What the template is given, as JSON: messages, add_generation_prompt, bos_token and so on.</param>
    /// <param name="field">What an error names: where the conversation came from.</param>
    /// <param name="clock">What <c>strftime_now</c> reads; null: the system's.</param>
    /// <exception cref="LrtMeshException">InvalidArgument: the template refuses the conversation, or cannot make a text of it within its bounds.</exception>
    public string Render(IEnumerable<KeyValuePair<string, JsonElement>> variables, string field, TimeProvider? clock = null)
    {
        try
        {
            return RenderOrRefuse(variables, clock);
        }
        catch (TemplateError e)
        {
            // Without a line it is what the template is given that is wrong.
            throw LrtMeshException.Invalid(field, e.Line == 0 ? e.Message : $"{e.Message} ({_name}, line {e.Line} of the chat template)");
        }
    }

    /// <summary>Renders it, with the template's own error.</summary>
    /// <exception cref="TemplateError">With the line.</exception>
    internal string RenderOrRefuse(IEnumerable<KeyValuePair<string, JsonElement>> variables, TimeProvider? clock = null) => Interpreter.Render(
        _statements,
        variables.Select(variable => KeyValuePair.Create(variable.Key, JsonValues.Of(variable.Value))),
        clock ?? TimeProvider.System);
}
