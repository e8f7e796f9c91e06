namespace LrtMesh.Core.Models.Chat.Jinja;

// A value of a template is: null (None), bool, BigInteger, double, string, or one of the classes here. Nothing that a template does
// changes one, but for a namespace's attributes.

/// <summary>Python's sequences that are not text.</summary>
internal enum SequenceKind
{
    /// <summary>list.</summary>
    List,

    /// <summary>tuple.</summary>
    Tuple,

    /// <summary>range.</summary>
    Range,

    /// <summary>dict_keys, which has no items by index.</summary>
    Keys,

    /// <summary>dict_values, which has no items by index.</summary>
    Values,

    /// <summary>dict_items, which has no items by index.</summary>
    Items,
}

/// <summary>A list, a tuple, a range, or a view of a dict.</summary>
internal sealed record PySequence(SequenceKind Kind, IReadOnlyList<object?> Items)
{
    /// <summary>Of a range, how Python writes it.</summary>
    public string? Written { get; init; }

    /// <summary>Whether it is a view of a dict.</summary>
    public bool IsView => Kind is SequenceKind.Keys or SequenceKind.Values or SequenceKind.Items;

    public static PySequence List(IEnumerable<object?> items) => new(SequenceKind.List, [.. items]);

    public static PySequence Tuple(params object?[] items) => new(SequenceKind.Tuple, items);

    public bool Equals(PySequence? other) => ReferenceEquals(this, other);

    public override int GetHashCode() => System.Runtime.CompilerServices.RuntimeHelpers.GetHashCode(this);
}

/// <summary>A dict: entries in the order in which their keys first came.</summary>
internal sealed class PyDict
{
    private static readonly object _none = new(); // stands for None, since no key may be null

    private readonly OrderedDictionary<object, object?> _entries = new(PyComparer.Keys);

    public int Count => _entries.Count;

    public IEnumerable<object?> Keys => _entries.Keys.Select(key => ReferenceEquals(key, _none) ? null : key);

    public IEnumerable<(object? Key, object? Value)> Entries => Keys.Zip(_entries.Values);

    public bool TryGet(object? key, out object? value) => _entries.TryGetValue(key ?? _none, out value);

    public void Set(object? key, object? value) => _entries[key ?? _none] = value;
}

/// <summary>What is read once, as Python's generators and iterators are.</summary>
internal sealed class PyIterator(IEnumerable<object?> items)
{
    private readonly IEnumerator<object?> _items = items.GetEnumerator();

    /// <summary>What is left of it.</summary>
    public IEnumerable<object?> Rest()
    {
        while (_items.MoveNext())
        {
            yield return _items.Current;
        }
    }
}

/// <summary>What a name or an attribute gives that is not there: empty where it is printed, an error where it is used.</summary>
internal sealed class Undefined(string message)
{
    public static Undefined Name(string name) => new($"'{name}' is undefined");

    public static Undefined Attribute(object? target, string name) =>
        new($"{PyRepr.Quote(PyType.Describe(target))} has no attribute {PyRepr.Quote(name)}");

    public static Undefined Element(object? target, string index) => new($"{PyType.Describe(target)} has no element {index}");

    public static Undefined Unsafe(object? target, string name) =>
        new($"access to attribute '{name}' of '{PyType.Of(target)}' object is unsafe.");

    public TemplateError Error() => new(message);
}

/// <summary>Text that is marked as safe for HTML (<c>|safe</c>, <c>|escape</c>): text added to it is escaped.</summary>
internal sealed record Markup(string Text);

/// <summary>What <c>namespace()</c> makes: attributes that keep what a loop assigns to them.</summary>
internal sealed class Namespace
{
    public Dictionary<string, object?> Attributes { get; } = new(StringComparer.Ordinal);
}

/// <summary>A function, a method or a macro.</summary>
internal sealed class PyFunction(string name, Func<Arguments, object?> body)
{
    public string Name => name;

    public object? Call(IReadOnlyList<object?> positional, IReadOnlyDictionary<string, object?> named) => body(new Arguments(name, positional, named));
}

/// <summary>What a function, a filter or a test is called with.</summary>
internal sealed class Arguments(string function, IReadOnlyList<object?> positional, IReadOnlyDictionary<string, object?> named)
{
    public static IReadOnlyDictionary<string, object?> NoNames { get; } = new Dictionary<string, object?>();

    public IReadOnlyList<object?> Positional => positional;

    public IReadOnlyDictionary<string, object?> Named => named;

    /// <summary>Checks how many there are and what they are called.</summary>
    public void Check(int most, params ReadOnlySpan<string> names)
    {
        if (positional.Count > most)
        {
            throw new TemplateError($"{function}() takes at most {most} arguments, not {positional.Count}");
        }

        foreach (var name in named.Keys)
        {
            if (!names.Contains(name))
            {
                throw new TemplateError($"{function}() got an unexpected keyword argument '{name}'");
            }
        }
    }

    /// <summary>The argument at a position or of a name; false where it is not given.</summary>
    public bool TryGet(int index, string name, out object? value)
    {
        if (index < positional.Count)
        {
            value = positional[index];
            return true;
        }

        return named.TryGetValue(name, out value);
    }

    public object? Get(int index, string name, object? otherwise) => TryGet(index, name, out var value) ? value : otherwise;

    public object? Required(int index, string name) =>
        TryGet(index, name, out var value) ? value : throw new TemplateError($"{function}() is missing its argument '{name}'");

    /// <summary>An argument that must be text.</summary>
    public string Text(int index, string name, string? otherwise = null)
    {
        var value = otherwise is null ? Required(index, name) : Get(index, name, otherwise);
        return PyText.TryGet(value, out var text) ? text : throw new TemplateError($"{function}() needs a str as '{name}', not '{PyType.Of(value)}'");
    }

    /// <summary>An argument that must be a whole number.</summary>
    public int Number(int index, string name, int otherwise) => TryGet(index, name, out var value) ? PyNumber.ToIndex(value) : otherwise;

    public bool Flag(int index, string name, bool otherwise) => TryGet(index, name, out var value) ? PyType.IsTrue(value) : otherwise;
}

/// <summary>Variables of a place in a template: those of its own, and those of the places around it.</summary>
internal sealed class Scope(Scope? around)
{
    private Dictionary<string, object?>? _variables;

    public bool TryGet(string name, out object? value)
    {
        for (var holder = this; holder is not null; holder = holder.Around)
        {
            if (holder._variables is not null && holder._variables.TryGetValue(name, out value))
            {
                return true;
            }
        }

        value = null;
        return false;
    }

    public void Set(string name, object? value) => (_variables ??= new(StringComparer.Ordinal))[name] = value;

    private Scope? Around => around;
}
