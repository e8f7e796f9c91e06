using System.Globalization;
using System.Numerics;
using System.Text;

namespace LrtMesh.Core.Models.Chat.Jinja;

/// <summary>Values as JSON, as Python's json.dumps writes them: the <c>tojson</c> of chat templates.</summary>
internal sealed class PyJson
{
    private readonly StringBuilder _writer = new();
    private readonly Budget _budget;
    private readonly bool _asciiOnly;
    private readonly string? _indent;
    private readonly string _itemSeparator;
    private readonly string _keySeparator;
    private readonly bool _sortKeys;

    private PyJson(Arguments arguments, Budget budget)
    {
        arguments.Check(4, "ensure_ascii", "indent", "separators", "sort_keys");
        _budget = budget;
        _asciiOnly = arguments.Flag(0, "ensure_ascii", false);
        _indent = arguments.Get(1, "indent", null) switch
        {
            null => null,
            var value when PyText.TryGet(value, out var text) => text,
            var value => new string(' ', Math.Clamp(PyNumber.ToIndex(value), 0, Budget.MaxDepth)),
        };
        (_itemSeparator, _keySeparator) = (_indent is null ? ", " : ",", ": ");
        if (arguments.Get(2, "separators", null) is { } separators)
        {
            (_itemSeparator, _keySeparator) = PyType.ToList(separators, budget) is [var item, var key] && PyText.TryGet(item, out var i) && PyText.TryGet(key, out var k)
                ? (i, k)
                : throw new TemplateError("tojson() needs two texts as 'separators'");
        }

        _sortKeys = arguments.Flag(3, "sort_keys", false);
    }

    /// <summary>Writes a value.</summary>
    /// <param name="value">Numbers, texts, lists, tuples and dicts.</param>
    /// <param name="arguments">ensure_ascii, indent, separators, sort_keys.</param>
    /// <param name="budget">What it may take.</param>
    public static string Write(object? value, Arguments arguments, Budget budget)
    {
        var json = new PyJson(arguments, budget);
        json.Write(value, 0);
        return json._writer.ToString();
    }

    private void Write(object? value, int depth)
    {
        _budget.Step();
        _budget.Enter();
        switch (value)
        {
            case null:
                _writer.Append("null");
                break;
            case bool flag:
                _writer.Append(flag ? "true" : "false");
                break;
            case BigInteger number:
                _writer.Append(number.ToString(CultureInfo.InvariantCulture));
                break;
            case double number:
                _writer.Append(Number(number));
                break;
            case string text:
                WriteText(text);
                break;
            case Markup markup:
                WriteText(markup.Text);
                break;
            case PySequence { Kind: SequenceKind.List or SequenceKind.Tuple } sequence:
                WriteItems('[', ']', sequence.Items, depth, item => Write(item, depth + 1));
                break;
            case PyDict dict:
                WriteItems('{', '}', Sorted(dict), depth, entry =>
                {
                    WriteText(entry.Key);
                    _writer.Append(_keySeparator);
                    Write(entry.Value, depth + 1);
                });
                break;
            default:
                throw new TemplateError($"Object of type {PyType.Of(value)} is not JSON serializable");
        }

        _budget.Leave();
        if (_writer.Length > Budget.MaxText)
        {
            _budget.Text(_writer.Length);
        }
    }

    private static string Number(double number) => double.IsFinite(number) ? PyNumber.Write(number)
        : double.IsNaN(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity";

    private List<(string Key, object? Value)> Sorted(PyDict dict)
    {
        var entries = dict.Entries.Select(entry => (Key: KeyText(entry.Key), entry.Value)).ToList();
        return _sortKeys ? [.. entries.OrderBy(entry => entry.Key, Comparer<string>.Create(PyText.Compare))] : entries;
    }

    private static string KeyText(object? key) => key switch
    {
        string text => text,
        Markup markup => markup.Text,
        null => "null",
        bool flag => flag ? "true" : "false",
        BigInteger number => number.ToString(CultureInfo.InvariantCulture),
        double number => Number(number),
        _ => throw new TemplateError($"keys must be str, int, float, bool or None, not {PyType.Of(key)}"),
    };

    private void WriteItems<T>(char open, char close, IReadOnlyList<T> items, int depth, Action<T> write)
    {
        _writer.Append(open);
        for (var i = 0; i < items.Count; i++)
        {
            _writer.Append(i == 0 ? "" : _itemSeparator);
            NewLine(depth + 1);
            write(items[i]);
        }

        if (items.Count > 0)
        {
            NewLine(depth);
        }

        _writer.Append(close);
    }

    private void NewLine(int depth)
    {
        if (_indent is not null)
        {
            _budget.Text((long)_indent.Length * depth);
            _writer.Append('\n').Insert(_writer.Length, _indent, depth);
        }
    }

    private void WriteText(string text)
    {
        _budget.Text(text.Length);
        _writer.Append('"');
        foreach (var c in text)
        {
            switch (c)
            {
                case '"':
                    _writer.Append("\\\"");
                    break;
                case '\\':
                    _writer.Append("\\\\");
                    break;
                case '\n':
                    _writer.Append("\\n");
                    break;
                case '\r':
                    _writer.Append("\\r");
                    break;
                case '\t':
                    _writer.Append("\\t");
                    break;
                case '\b':
                    _writer.Append("\\b");
                    break;
                case '\f':
                    _writer.Append("\\f");
                    break;
                case < ' ':
                case > '~' when _asciiOnly:
                    _writer.Append("\\u").Append(((int)c).ToString("x4", CultureInfo.InvariantCulture));
                    break;
                default:
                    _writer.Append(c);
                    break;
            }
        }

        _writer.Append('"');
    }
}
