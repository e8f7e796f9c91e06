using System.Globalization;
using System.Numerics;
using System.Text;

namespace LrtMesh.Core.Models.Chat.Jinja;

/// <summary>Filters of sequences and dicts. Those that are generators in Jinja2 can be read once here too.</summary>
internal static class SequenceFilters
{
    /// <summary>All of them.</summary>
    public static IReadOnlyDictionary<string, Filter> All { get; } = new Dictionary<string, Filter>
    {
        ["batch"] = Batch,
        ["dictsort"] = DictSort,
        ["first"] = (v, a, b) => FirstOf(PyType.Iterate(v), "No first item, sequence was empty."),
        ["groupby"] = GroupBy,
        ["items"] = Items,
        ["join"] = Join,
        ["last"] = (v, a, b) => FirstOf(Reversed(v, b), "No last item, sequence was empty."),
        ["list"] = (v, a, b) => PySequence.List(PyType.ToList(v, b)),
        ["map"] = Map,
        ["max"] = (v, a, b) => Extreme(v, a, b, 1),
        ["min"] = (v, a, b) => Extreme(v, a, b, -1),
        ["reject"] = (v, a, b) => Select(v, a, b, byAttribute: false, keeps: false),
        ["rejectattr"] = (v, a, b) => Select(v, a, b, byAttribute: true, keeps: false),
        ["reverse"] = (v, a, b) => PyText.TryGet(v, out _) ? string.Concat(PyType.ToList(v, b).AsEnumerable().Reverse().Cast<string>()) : new PyIterator(Reversed(v, b)),
        ["select"] = (v, a, b) => Select(v, a, b, byAttribute: false, keeps: true),
        ["selectattr"] = (v, a, b) => Select(v, a, b, byAttribute: true, keeps: true),
        ["slice"] = SliceInto,
        ["sort"] = Sort,
        ["sum"] = Sum,
        ["unique"] = Unique,
    };

    /// <summary>Looks an attribute up as filters do: parts between points, numbers as indices.</summary>
    /// <param name="value">Where it is looked up.</param>
    /// <param name="attribute">Its name or index.</param>
    /// <param name="budget">What it may take.</param>
    /// <param name="otherwise">What stands for a part that is not there; null: nothing does.</param>
    public static object? AttributeOf(object? value, object? attribute, Budget budget, object? otherwise = null)
    {
        if (PyNumber.TryInteger(attribute, out _))
        {
            return ItemOf(value, attribute) is var item && item is Undefined ? otherwise ?? item : item;
        }

        var path = PyText.TryGet(attribute, out var text) ? text : PyRepr.Str(attribute, budget);
        foreach (var part in path.Split('.'))
        {
            budget.Step();
            value = ItemOf(value, BigInteger.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out var index) ? index : part);
            value = value is Undefined ? otherwise ?? value : value;
        }

        return value;

        object? ItemOf(object? target, object? key)
        {
            if (target is Undefined missing)
            {
                throw missing.Error();
            }

            return PyOperators.TryItem(target, key, out var item) ? item
                : key is not string name ? Undefined.Element(target, PyRepr.Repr(key, budget))
                : PyAttributes.TryGet(target, name, budget, out item) ? item
                : Undefined.Attribute(target, name);
        }
    }

    private static object? FirstOf(IEnumerable<object?> items, string missing)
    {
        foreach (var item in items)
        {
            return item;
        }

        return new Undefined(missing);
    }

    private static List<object?> Reversed(object? value, Budget budget)
    {
        var items = PyType.ToList(value, budget);
        items.Reverse();
        return items;
    }

    private static PyIterator Items(object? value, Arguments arguments, Budget budget) => value switch
    {
        Undefined => new PyIterator([]),
        PyDict dict => new PyIterator(dict.Entries.Select(entry => (object?)PySequence.Tuple(entry.Key, entry.Value))),
        _ => throw new TemplateError("Can only get item pairs from a mapping."),
    };

    private static string Join(object? value, Arguments arguments, Budget budget)
    {
        arguments.Check(2, "d", "attribute");
        var between = PyRepr.Str(arguments.Get(0, "d", ""), budget);
        var attribute = arguments.Get(1, "attribute", null);
        var writer = new StringBuilder();
        var isFirst = true;
        foreach (var item in PyType.Iterate(value))
        {
            var part = PyRepr.Str(attribute is null ? item : AttributeOf(item, attribute, budget), budget);
            budget.Text(between.Length + part.Length);
            writer.Append(isFirst ? "" : between).Append(part);
            isFirst = false;
            if (writer.Length > Budget.MaxText)
            {
                budget.Text(writer.Length);
            }
        }

        return writer.ToString();
    }

    private static PyIterator Map(object? value, Arguments arguments, Budget budget)
    {
        Func<object?, object?> map;
        if (arguments.Positional.Count == 0 && arguments.Named.TryGetValue("attribute", out var attribute))
        {
            arguments.Check(0, "attribute", "default");
            var otherwise = arguments.Named.GetValueOrDefault("default");
            map = item => AttributeOf(item, attribute, budget, otherwise);
        }
        else
        {
            var name = arguments.Text(0, "filter");
            var filter = Filters.All.TryGetValue(name, out var known) ? known : throw new TemplateError($"No filter named {PyRepr.Quote(name)}.");
            var rest = new Arguments(name, [.. arguments.Positional.Skip(1)], arguments.Named);
            map = item => filter(item, rest, budget);
        }

        return new PyIterator(Counted(value, budget).Select(map));
    }

    private static PyIterator Select(object? value, Arguments arguments, Budget budget, bool byAttribute, bool keeps)
    {
        var skipped = byAttribute ? 1 : 0;
        var attribute = byAttribute ? arguments.Required(0, "attribute") : null;
        Func<object?, bool> test = PyType.IsTrue;
        if (arguments.Positional.Count > skipped)
        {
            var name = arguments.Text(skipped, "test");
            var known = Tests.All.TryGetValue(name, out var found) ? found : throw new TemplateError($"No test named {PyRepr.Quote(name)}.");
            var rest = new Arguments(name, [.. arguments.Positional.Skip(skipped + 1)], arguments.Named);
            test = item => known(item, rest, budget);
        }

        return new PyIterator(Counted(value, budget).Where(item => test(byAttribute ? AttributeOf(item, attribute, budget) : item) == keeps));
    }

    private static IEnumerable<object?> Counted(object? value, Budget budget)
    {
        foreach (var item in PyType.Iterate(value))
        {
            budget.Step();
            yield return item;
        }
    }

    private static PySequence Sort(object? value, Arguments arguments, Budget budget)
    {
        arguments.Check(3, "reverse", "case_sensitive", "attribute");
        var caseSensitive = arguments.Flag(1, "case_sensitive", false);
        var attribute = arguments.Get(2, "attribute", null);
        var keys = KeyOf(attribute, caseSensitive, budget);
        if (PyText.TryGet(attribute, out var names))
        {
            var several = names.Split(',').Select(name => KeyOf(name, caseSensitive, budget)).ToArray();
            keys = item => PySequence.List(several.Select(key => key(item)));
        }

        return PySequence.List(Ordered(PyType.ToList(value, budget), keys, arguments.Flag(0, "reverse", false), budget));
    }

    private static PySequence DictSort(object? value, Arguments arguments, Budget budget)
    {
        arguments.Check(3, "case_sensitive", "by", "reverse");
        var position = arguments.Text(1, "by", "key") switch
        {
            "key" => 0,
            "value" => 1,
            _ => throw new TemplateError("You can only sort by either \"key\" or \"value\""),
        };
        var dict = value as PyDict ?? throw (value as Undefined)?.Error() ?? new TemplateError($"'{PyType.Of(value)} object' has no attribute 'items'");
        var items = dict.Entries.Select(entry => (object?)PySequence.Tuple(entry.Key, entry.Value)).ToList();
        return PySequence.List(Ordered(items, KeyOf(new BigInteger(position), arguments.Flag(0, "case_sensitive", false), budget), arguments.Flag(2, "reverse", false), budget));
    }

    /// <summary>Orders stably, also backwards.</summary>
    private static List<object?> Ordered(List<object?> items, Func<object?, object?> key, bool backwards, Budget budget)
    {
        var keyed = items.Select(item => (Key: key(item), Item: item)).ToList();
        var order = Comparer<object?>.Create((a, b) => PyComparer.Compare(a, b, "<", budget) ?? 0);
        try
        {
            return [.. (backwards ? keyed.OrderByDescending(pair => pair.Key, order) : keyed.OrderBy(pair => pair.Key, order)).Select(pair => pair.Item)];
        }
        catch (InvalidOperationException e) when (e.InnerException is TemplateError inner)
        {
            throw inner;
        }
    }

    private static Func<object?, object?> KeyOf(object? attribute, bool caseSensitive, Budget budget) => item =>
    {
        var key = attribute is null ? item : AttributeOf(item, attribute, budget);
        return !caseSensitive && PyText.TryGet(key, out var text) ? Casing.Lower(text) : key;
    };

    private static PyIterator Unique(object? value, Arguments arguments, Budget budget)
    {
        arguments.Check(2, "case_sensitive", "attribute");
        var key = KeyOf(arguments.Get(1, "attribute", null), arguments.Flag(0, "case_sensitive", false), budget);
        return new PyIterator(Distinct());

        IEnumerable<object?> Distinct()
        {
            var seen = new PyDict();
            foreach (var item in Counted(value, budget))
            {
                var of = key(item);
                if (!seen.TryGet(of, out _))
                {
                    seen.Set(of, true);
                    yield return item;
                }
            }
        }
    }

    private static object? Extreme(object? value, Arguments arguments, Budget budget, int sign)
    {
        arguments.Check(2, "case_sensitive", "attribute");
        var key = KeyOf(arguments.Get(1, "attribute", null), arguments.Flag(0, "case_sensitive", false), budget);
        object? best = null;
        var found = false;
        foreach (var item in Counted(value, budget))
        {
            if (!found || Math.Sign(PyComparer.Compare(key(item), key(best), sign > 0 ? ">" : "<", budget) ?? 0) == sign)
            {
                (best, found) = (item, true);
            }
        }

        return found ? best : new Undefined("No aggregated item, sequence was empty.");
    }

    private static object? Sum(object? value, Arguments arguments, Budget budget)
    {
        arguments.Check(2, "attribute", "start");
        var attribute = arguments.Get(0, "attribute", null);
        return Counted(value, budget).Aggregate(
            arguments.Get(1, "start", BigInteger.Zero),
            (sum, item) => PyOperators.Compute("+", sum, attribute is null ? item : AttributeOf(item, attribute, budget), budget));
    }

    private static PySequence GroupBy(object? value, Arguments arguments, Budget budget)
    {
        arguments.Check(3, "attribute", "default", "case_sensitive");
        var attribute = arguments.Required(0, "attribute");
        var otherwise = arguments.Get(1, "default", null);
        var caseSensitive = arguments.Flag(2, "case_sensitive", false);
        object? Raw(object? item) => AttributeOf(item, attribute, budget, otherwise);
        object? Key(object? item) => Raw(item) is var raw && !caseSensitive && PyText.TryGet(raw, out var text) ? Casing.Lower(text) : raw;
        var groups = new List<(object? Key, List<object?> Items)>();
        foreach (var item in Ordered(PyType.ToList(value, budget), Key, backwards: false, budget))
        {
            if (groups.Count == 0 || !PyComparer.AreEqual(Key(groups[^1].Items[0]), Key(item), budget))
            {
                groups.Add((Raw(item), []));
            }

            groups[^1].Items.Add(item);
        }

        return PySequence.List(groups.Select(group => (object?)PySequence.Tuple(group.Key, PySequence.List(group.Items))));
    }

    private static PyIterator Batch(object? value, Arguments arguments, Budget budget)
    {
        arguments.Check(2, "linecount", "fill_with");
        var size = Math.Max(1, PyNumber.ToIndex(arguments.Required(0, "linecount")));
        var filling = arguments.Get(1, "fill_with", null);
        return new PyIterator(PyType.ToList(value, budget).Chunk(size).Select(part =>
        {
            var missing = filling is null ? 0 : size - part.Length;
            budget.Step(missing);
            return (object?)PySequence.List(part.Concat(Enumerable.Repeat(filling, missing)));
        }));
    }

    private static PyIterator SliceInto(object? value, Arguments arguments, Budget budget)
    {
        arguments.Check(2, "slices", "fill_with");
        var count = PyNumber.ToIndex(arguments.Required(0, "slices"));
        if (count <= 0)
        {
            throw new TemplateError("integer division or modulo by zero");
        }

        var filling = arguments.Get(1, "fill_with", null);
        var items = PyType.ToList(value, budget);
        budget.Step(count);
        var (each, longer) = Math.DivRem(items.Count, count);
        return new PyIterator(Enumerable.Range(0, count).Select(i =>
        {
            var part = items.Skip((i * each) + Math.Min(i, longer)).Take(each + (i < longer ? 1 : 0));
            return (object?)PySequence.List(filling is not null && i >= longer ? part.Append(filling) : part);
        }));
    }
}
