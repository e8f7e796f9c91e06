using System.Numerics;

namespace LrtMesh.Core.Models.Chat.Jinja;

/// <summary>The <c>loop</c> of a running loop.</summary>
internal sealed class LoopState(IReadOnlyList<object?> items, int depth, Func<object?, object?>? again, Budget budget)
{
    private object? _lastSeen;
    private bool _hasSeen;

    /// <summary>Index of the round, from 0.</summary>
    public int Index { get; set; }

    public int Length => items.Count;

    /// <summary>What <c>loop(items)</c> gives in a recursive loop.</summary>
    public object? Call(object? over) =>
        again is null ? throw new TemplateError("The loop must have the 'recursive' marker to be called recursively.") : again(over);

    public bool TryGet(string name, out object? value)
    {
        value = name switch
        {
            "index" => new BigInteger(Index + 1),
            "index0" => new BigInteger(Index),
            "revindex" => new BigInteger(items.Count - Index),
            "revindex0" => new BigInteger(items.Count - Index - 1),
            "first" => Index == 0,
            "last" => Index == items.Count - 1,
            "length" => new BigInteger(items.Count),
            "depth" => new BigInteger(depth + 1),
            "depth0" => new BigInteger(depth),
            "previtem" => Index > 0 ? items[Index - 1] : new Undefined("there is no previous item"),
            "nextitem" => Index + 1 < items.Count ? items[Index + 1] : new Undefined("there is no next item"),
            "cycle" => new PyFunction(name, arguments => arguments.Positional.Count > 0
                ? arguments.Positional[Index % arguments.Positional.Count]
                : throw new TemplateError("no items for cycling given")),
            "changed" => new PyFunction(name, arguments => Changed(PySequence.Tuple([.. arguments.Positional]))),
            _ => this,
        };
        return !ReferenceEquals(value, this);
    }

    private object Changed(PySequence values)
    {
        var same = _hasSeen && PyComparer.AreEqual(_lastSeen, values, budget);
        (_hasSeen, _lastSeen) = (true, values);
        return !same;
    }
}
