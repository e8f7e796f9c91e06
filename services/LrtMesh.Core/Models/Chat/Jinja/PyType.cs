using System.Numerics;

namespace LrtMesh.Core.Models.Chat.Jinja;

/// <summary>What Python calls a value's type, whether the value is true, and what it holds.</summary>
internal static class PyType
{
    /// <summary>The type's name.</summary>
    public static string Of(object? value) => value switch
    {
        null => "NoneType",
        bool => "bool",
        BigInteger => "int",
        double => "float",
        string => "str",
        Markup => "Markup",
        PyDict => "dict",
        PySequence sequence => sequence.Kind switch
        {
            SequenceKind.List => "list",
            SequenceKind.Tuple => "tuple",
            SequenceKind.Range => "range",
            SequenceKind.Keys => "dict_keys",
            SequenceKind.Values => "dict_values",
            _ => "dict_items",
        },
        PyIterator => "generator",
        Undefined => "Undefined",
        Namespace => "Namespace",
        LoopState => "LoopContext",
        _ => "function",
    };

    /// <summary>The type as Jinja2's messages about what is not there have it.</summary>
    public static string Describe(object? value) => value switch
    {
        null => "None",
        Namespace => "jinja2.utils.Namespace object",
        LoopState => "jinja2.runtime.LoopContext object",
        Markup => "markupsafe.Markup object",
        _ => $"{Of(value)} object",
    };

    /// <summary>Whether a value counts as true.</summary>
    public static bool IsTrue(object? value) => value switch
    {
        null or Undefined => false,
        bool flag => flag,
        BigInteger number => !number.IsZero,
        double number => number != 0,
        string text => text.Length > 0,
        Markup markup => markup.Text.Length > 0,
        PyDict dict => dict.Count > 0,
        PySequence sequence => sequence.Items.Count > 0,
        _ => true,
    };

    /// <summary>Number of items or characters.</summary>
    public static int Length(object? value) => value switch
    {
        Undefined => 0,
        string text => PyText.Length(text),
        Markup markup => PyText.Length(markup.Text),
        PyDict dict => dict.Count,
        PySequence sequence => sequence.Items.Count,
        LoopState loop => loop.Length,
        _ => throw new TemplateError($"object of type '{Of(value)}' has no len()"),
    };

    /// <summary>What a loop over the value gives.</summary>
    public static IEnumerable<object?> Iterate(object? value) => value switch
    {
        Undefined => [],
        string text => PyText.Characters(text),
        Markup markup => PyText.Characters(markup.Text),
        PyDict dict => dict.Keys,
        PySequence sequence => sequence.Items,
        PyIterator iterator => iterator.Rest(),
        _ => throw new TemplateError($"'{Of(value)}' object is not iterable"),
    };

    /// <summary>What a loop over the value gives, counted and kept.</summary>
    public static List<object?> ToList(object? value, Budget budget)
    {
        var items = new List<object?>();
        foreach (var item in Iterate(value))
        {
            budget.Step();
            items.Add(item);
        }

        return items;
    }
}
