namespace LrtMesh.Cli;

/// <summary>
/// The one exception that the command line throws on purpose: its message says what is wrong, its hint what to do next.
/// The command ends with exit code 1.
/// </summary>
internal sealed class CommandException(string message, string? hint = null, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>What to do next, one sentence; null where the message says it all.</summary>
    public string? Hint { get; } = hint;
}
