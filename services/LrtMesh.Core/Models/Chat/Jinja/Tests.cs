using System.Numerics;
using System.Text;

namespace LrtMesh.Core.Models.Chat.Jinja;

/// <summary>A test of a value: what follows <c>is</c>.</summary>
internal delegate bool Test(object? value, Arguments arguments, Budget budget);

/// <summary>Every test by its name.</summary>
internal static class Tests
{
    /// <summary>All of them.</summary>
    public static IReadOnlyDictionary<string, Test> All { get; } = Create();

    private static Dictionary<string, Test> Create()
    {
        var tests = new Dictionary<string, Test>
        {
            ["boolean"] = (v, _, _) => v is bool,
            ["callable"] = (v, _, _) => v is PyFunction or LoopState,
            ["defined"] = (v, _, _) => v is not Undefined,
            ["divisibleby"] = (v, a, _) => PyNumber.Compare(PyNumber.Compute("%", Number(v), Number(a.Required(0, "num"))), BigInteger.Zero) == 0,
            ["eq"] = (v, a, b) => PyComparer.AreEqual(v, a.Required(0, "other"), b),
            ["escaped"] = (v, _, _) => v is Markup,
            ["even"] = (v, _, _) => PyNumber.Compare(PyNumber.Compute("%", Number(v), new BigInteger(2)), BigInteger.Zero) == 0,
            ["false"] = (v, _, _) => v is false,
            ["filter"] = (v, _, _) => v is string name && Filters.All.ContainsKey(name),
            ["float"] = (v, _, _) => v is double,
            ["ge"] = (v, a, b) => PyComparer.Compare(v, a.Required(0, "other"), ">=", b) >= 0,
            ["gt"] = (v, a, b) => PyComparer.Compare(v, a.Required(0, "other"), ">", b) > 0,
            ["in"] = (v, a, b) => PyComparer.Contains(a.Required(0, "seq"), v, b),
            ["integer"] = (v, _, _) => v is BigInteger,
            ["iterable"] = (v, _, _) => v is string or Markup or PyDict or PySequence or PyIterator or Undefined or LoopState,
            ["le"] = (v, a, b) => PyComparer.Compare(v, a.Required(0, "other"), "<=", b) <= 0,
            ["lower"] = (v, _, b) => (bool)StringMethods.Find(PyRepr.Str(v, b), "islower", b)!.Call([], Arguments.NoNames)!,
            ["lt"] = (v, a, b) => PyComparer.Compare(v, a.Required(0, "other"), "<", b) < 0,
            ["mapping"] = (v, _, _) => v is PyDict,
            ["ne"] = (v, a, b) => !PyComparer.AreEqual(v, a.Required(0, "other"), b),
            ["none"] = (v, _, _) => v is null,
            ["number"] = (v, _, _) => PyNumber.IsNumber(v),
            ["odd"] = (v, _, _) => PyNumber.Compare(PyNumber.Compute("%", Number(v), new BigInteger(2)), BigInteger.One) == 0,
            ["sameas"] = (v, a, _) => IsSame(v, a.Required(0, "other")),
            // Undefined has a length and, as every class of Python, what subscripting calls.
            ["sequence"] = (v, _, _) => v is string or Markup or PyDict or Undefined or PySequence { IsView: false },
            ["string"] = (v, _, _) => v is string or Markup,
            ["test"] = (v, _, _) => v is string name && All!.ContainsKey(name),
            ["true"] = (v, _, _) => v is true,
            ["undefined"] = (v, _, _) => v is Undefined,
            ["upper"] = (v, _, b) => (bool)StringMethods.Find(PyRepr.Str(v, b), "isupper", b)!.Call([], Arguments.NoNames)!,
        };
        foreach (var (name, same) in new[]
        {
            ("==", "eq"), ("equalto", "eq"), ("!=", "ne"), ("<", "lt"), ("lessthan", "lt"), ("<=", "le"), (">", "gt"), ("greaterthan", "gt"), (">=", "ge"),
        })
        {
            tests[name] = tests[same];
        }

        return tests;
    }

    private static object? Number(object? value) => PyNumber.IsNumber(value) ? value
        : throw (value as Undefined)?.Error() ?? new TemplateError($"unsupported operand type(s) for %: '{PyType.Of(value)}' and 'int'");

    // Small numbers and texts are one object each in Python, as far as templates can tell.
    private static bool IsSame(object? left, object? right) => (left, right) switch
    {
        (bool a, bool b) => a == b,
        (BigInteger a, BigInteger b) => a == b,
        (string a, string b) => a == b,
        _ => ReferenceEquals(left, right),
    };
}
