using System.Numerics;

namespace LrtMesh.Core.Models.Chat.Jinja;

/// <summary>Equality and order as Python has them.</summary>
internal static class PyComparer
{
    /// <summary>Equality of a dict's keys.</summary>
    public static IEqualityComparer<object> Keys { get; } = new KeyComparer();

    /// <summary>Whether two values are equal; 1, 1.0 and True are.</summary>
    public static bool AreEqual(object? left, object? right, Budget budget)
    {
        budget.Step();
        if (PyNumber.IsNumber(left) && PyNumber.IsNumber(right))
        {
            return PyNumber.Compare(left, right) == 0;
        }

        if (PyText.TryGet(left, out var a) && PyText.TryGet(right, out var b))
        {
            budget.Text(Math.Min(a.Length, b.Length));
            return a == b;
        }

        budget.Enter();
        var equal = (left, right) switch
        {
            (null, null) or (Undefined, Undefined) => true,
            (PySequence x, PySequence y) when x.Kind == y.Kind && x.Kind != SequenceKind.Values => AreEqual(x, y, budget),
            (PyDict x, PyDict y) => AreEqual(x, y, budget),
            _ => ReferenceEquals(left, right),
        };
        budget.Leave();
        return equal;
    }

    /// <summary>Orders two values: below 0 where the left comes first, null where one is not a number.</summary>
    /// <exception cref="TemplateError">Python does not order such values.</exception>
    public static int? Compare(object? left, object? right, string symbol, Budget budget)
    {
        budget.Step();
        if (PyNumber.IsNumber(left) && PyNumber.IsNumber(right))
        {
            return PyNumber.Compare(left, right);
        }

        if (PyText.TryGet(left, out var a) && PyText.TryGet(right, out var b))
        {
            budget.Text(Math.Min(a.Length, b.Length));
            return PyText.Compare(a, b);
        }

        if (left is PySequence { Kind: SequenceKind.List or SequenceKind.Tuple } x && right is PySequence y && x.Kind == y.Kind)
        {
            budget.Enter();
            var length = Math.Min(x.Items.Count, y.Items.Count);
            for (var i = 0; i < length; i++)
            {
                if (!AreEqual(x.Items[i], y.Items[i], budget))
                {
                    var order = Compare(x.Items[i], y.Items[i], symbol, budget);
                    budget.Leave();
                    return order;
                }
            }

            budget.Leave();
            return x.Items.Count.CompareTo(y.Items.Count);
        }

        throw (left as Undefined)?.Error() ?? (right as Undefined)?.Error()
            ?? new TemplateError($"'{symbol}' not supported between instances of '{PyType.Of(left)}' and '{PyType.Of(right)}'");
    }

    /// <summary>Whether a container holds an item.</summary>
    public static bool Contains(object? container, object? item, Budget budget)
    {
        if (PyText.TryGet(container, out var text))
        {
            budget.Text(text.Length);
            return PyText.TryGet(item, out var part)
                ? text.Contains(part, StringComparison.Ordinal)
                : throw new TemplateError($"'in <string>' requires string as left operand, not {PyType.Of(item)}");
        }

        switch (container)
        {
            case PyDict dict:
                return dict.TryGet(item, out _);
            case PySequence or PyIterator or Undefined:
                foreach (var other in PyType.Iterate(container))
                {
                    if (AreEqual(item, other, budget))
                    {
                        return true;
                    }
                }

                return false;
            default:
                throw new TemplateError($"argument of type '{PyType.Of(container)}' is not iterable");
        }
    }

    private static bool AreEqual(PySequence left, PySequence right, Budget budget)
    {
        if (left.Items.Count != right.Items.Count)
        {
            return false;
        }

        for (var i = 0; i < left.Items.Count; i++)
        {
            if (!AreEqual(left.Items[i], right.Items[i], budget))
            {
                return false;
            }
        }

        return true;
    }

    private static bool AreEqual(PyDict left, PyDict right, Budget budget)
    {
        if (left.Count != right.Count)
        {
            return false;
        }

        foreach (var (key, value) in left.Entries)
        {
            if (!right.TryGet(key, out var other) || !AreEqual(value, other, budget))
            {
                return false;
            }
        }

        return true;
    }

    private sealed class KeyComparer : IEqualityComparer<object>
    {
        // Keys are numbers, texts and tuples of them: small, and not nested by a template's own doing beyond this.
        private const int MaxDepth = 20;

        public new bool Equals(object? x, object? y) => x is string a && y is string b ? a == b : AreEqual(x, y, new Budget());

        public int GetHashCode(object value) => Hash(value, 0);

        private static int Hash(object? value, int depth) => value switch
        {
            bool flag => (flag ? 1.0 : 0.0).GetHashCode(),
            BigInteger number => ((double)number).GetHashCode(),
            string text => text.GetHashCode(StringComparison.Ordinal),
            Markup markup => markup.Text.GetHashCode(StringComparison.Ordinal),
            PySequence { Kind: SequenceKind.Tuple } tuple when depth < MaxDepth =>
                tuple.Items.Aggregate(17, (hash, item) => HashCode.Combine(hash, Hash(item, depth + 1))),
            PySequence { Kind: SequenceKind.Tuple } => throw new TemplateError($"a key nests tuples more than {MaxDepth} deep"),
            PySequence or PyDict => throw new TemplateError($"unhashable type: '{PyType.Of(value)}'"),
            null => 0,
            _ => value.GetHashCode(),
        };
    }
}
