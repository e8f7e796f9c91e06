namespace LrtMesh.Core.Models.Chat.Jinja;

/// <summary>Why a template cannot be read or rendered; <see cref="ChatTemplate"/> makes the caller's error of it.</summary>
internal sealed class TemplateError(string message) : Exception(message)
{
    /// <summary>Line of the template, from 1; 0 where whoever throws does not know it.</summary>
    public int Line { get; init; }

    /// <summary>Whether the template itself refuses, by <c>raise_exception</c>.</summary>
    public bool Raised { get; init; }
}
