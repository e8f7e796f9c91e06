using System.Numerics;

namespace LrtMesh.Core.Models.Chat.Jinja;

/// <summary>Attributes of values: methods, and nothing that changes a value.</summary>
internal static class PyAttributes
{
    private static readonly HashSet<string> _changesDict = ["clear", "pop", "popitem", "setdefault", "update"];
    private static readonly HashSet<string> _changesList = ["append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"];

    /// <summary>An attribute of a value.</summary>
    /// <returns>False where there is none.</returns>
    public static bool TryGet(object? target, string name, Budget budget, out object? value)
    {
        value = null;
        if (target is Undefined missing)
        {
            throw missing.Error();
        }

        if (name.StartsWith("__", StringComparison.Ordinal) && name.EndsWith("__", StringComparison.Ordinal))
        {
            // Python's inside.
            value = Undefined.Unsafe(target, name);
            return true;
        }

        switch (target)
        {
            case string or Markup:
                value = StringMethods.Find(target, name, budget);
                return value is not null;
            case PyDict dict:
                value = _changesDict.Contains(name) ? Undefined.Unsafe(target, name) : MethodOf(dict, name);
                return value is not null;
            case PySequence { Kind: SequenceKind.List or SequenceKind.Tuple or SequenceKind.Range } sequence:
                value = sequence.Kind == SequenceKind.List && _changesList.Contains(name) ? Undefined.Unsafe(target, name) : MethodOf(sequence, name, budget);
                return value is not null;
            case Namespace names:
                return names.Attributes.TryGetValue(name, out value);
            case LoopState loop:
                return loop.TryGet(name, out value);
            default:
                return false;
        }
    }

    private static PyFunction? MethodOf(PyDict dict, string name) => name switch
    {
        "get" => new PyFunction(name, arguments =>
        {
            arguments.Check(2);
            return dict.TryGet(arguments.Required(0, "key"), out var value) ? value : arguments.Get(1, "default", null);
        }),
        "keys" => View(name, SequenceKind.Keys, () => dict.Keys),
        "values" => View(name, SequenceKind.Values, () => dict.Entries.Select(entry => entry.Value)),
        "items" => View(name, SequenceKind.Items, () => dict.Entries.Select(entry => (object?)PySequence.Tuple(entry.Key, entry.Value))),
        "copy" => new PyFunction(name, _ => dict),
        _ => null,
    };

    private static PyFunction View(string name, SequenceKind kind, Func<IEnumerable<object?>> items) => new(name, arguments =>
    {
        arguments.Check(0);
        return new PySequence(kind, [.. items()]);
    });

    private static PyFunction? MethodOf(PySequence sequence, string name, Budget budget) => name switch
    {
        "count" => new PyFunction(name, arguments =>
        {
            arguments.Check(1);
            return new BigInteger(sequence.Items.Count(item => PyComparer.AreEqual(item, arguments.Required(0, "value"), budget)));
        }),
        "index" => new PyFunction(name, arguments =>
        {
            arguments.Check(1);
            for (var i = 0; i < sequence.Items.Count; i++)
            {
                if (PyComparer.AreEqual(sequence.Items[i], arguments.Required(0, "value"), budget))
                {
                    return new BigInteger(i);
                }
            }

            throw new TemplateError($"{PyRepr.Repr(arguments.Required(0, "value"), budget)} is not in {PyType.Of(sequence)}");
        }),
        "copy" when sequence.Kind == SequenceKind.List => new PyFunction(name, _ => sequence),
        _ => null,
    };
}
