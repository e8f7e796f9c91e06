using System.Runtime.CompilerServices;

namespace LrtMesh.Core.Models.Chat.Jinja;

/// <summary>What one rendering may take: a template comes with a checkpoint and is not trusted to end.</summary>
internal sealed class Budget
{
    /// <summary>Longest text, in UTF-16 code units: the result, and every text on the way to it.</summary>
    public const int MaxText = 4 << 20;

    /// <summary>Values within values, and calls within calls.</summary>
    public const int MaxDepth = 400;

    private const long MaxSteps = 10_000_000; // a conversation takes some ten thousand
    private const int TextPerStep = 16; // copied in about the time of a step
    private static readonly TimeSpan MaxTime = TimeSpan.FromSeconds(10);

    private readonly long _start = TimeProvider.System.GetTimestamp();
    private long _steps;
    private long _nextLook = 4096;
    private int _depth;

    /// <summary>Counts work.</summary>
    public void Step(long count = 1)
    {
        _steps += count;
        if (_steps < _nextLook)
        {
            return;
        }

        _nextLook = _steps + 4096;
        if (_steps > MaxSteps)
        {
            throw new TemplateError($"takes more than {MaxSteps:N0} steps");
        }

        if (TimeProvider.System.GetElapsedTime(_start) > MaxTime)
        {
            throw new TemplateError($"takes more than {MaxTime.TotalSeconds:0} seconds");
        }
    }

    /// <summary>Counts the making of a text, before it is made.</summary>
    public void Text(long length)
    {
        if (length > MaxText)
        {
            throw new TemplateError($"makes a text of more than {MaxText:N0} characters");
        }

        Step(1 + (length / TextPerStep));
    }

    /// <summary>Goes one level deeper; <see cref="Leave"/> comes back.</summary>
    public void Enter()
    {
        if (++_depth > MaxDepth || !RuntimeHelpers.TryEnsureSufficientExecutionStack())
        {
            throw new TemplateError($"nests values or calls more than {MaxDepth} deep");
        }
    }

    /// <summary>Comes back from a level.</summary>
    public void Leave() => _depth--;
}
