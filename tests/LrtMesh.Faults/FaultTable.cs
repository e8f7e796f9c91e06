using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using LrtMesh.Faults;
using LrtMesh.TestKit;
using Spectre.Console;
using Xunit;
using Xunit.Sdk;
using Xunit.v3;

[assembly: AssemblyFixture(typeof(FaultTable))]
[assembly: AssemblyFixture(typeof(FaultMesh))]
[assembly: Parallelization(Mode = ParallelMode.None)] // what one fault does to the machine is no part of another

namespace LrtMesh.Faults;

/// <summary>What came of a fault.</summary>
/// <param name="Injected">How often it was injected.</param>
/// <param name="Seen">What was counted, in words.</param>
/// <param name="Lost">Of what must not be lost or let through: how much was.</param>
/// <param name="Passed">Whether what was seen is what was promised.</param>
public sealed record Outcome(int Injected, string Seen, int Lost, bool Passed);

/// <summary>The rows of all faults of a run; at its end they are printed, and written to faults.json at the repository's root.</summary>
public sealed class FaultTable : IDisposable
{
    private const int Width = 170; // of the printed table, in characters

    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly List<Row> _rows = [];

    private sealed record Row(string Fault, int Injected, string Promised, string Seen, int Lost, bool Passed);

    /// <summary>Whether each fault is injected at length (LRTMESH_FAULTS=long).</summary>
    public static bool IsLong { get; } = Environment.GetEnvironmentVariable("LRTMESH_FAULTS") switch
    {
        null or "" or "short" => false,
        "long" => true,
        var other => throw new InvalidOperationException($"LRTMESH_FAULTS must be short (as without it) or long, not '{other}'"),
    };

    /// <summary>One of two sizes.</summary>
    public static T Size<T>(T shortly, T atLength) => IsLong ? atLength : shortly;

    /// <summary>Injects a fault, notes what came of it, and passes if that is what was promised.</summary>
    /// <param name="fault">What goes wrong.</param>
    /// <param name="promised">What holds nevertheless.</param>
    /// <param name="inject">Does it, and counts.</param>
    public async Task RunAsync(string fault, string promised, Func<Task<Outcome>> inject)
    {
        Outcome outcome;
        try
        {
            outcome = await inject();
        }
        catch (Exception e)
        {
            _rows.Add(new(fault, 0, promised, $"{e.GetType().Name}: {e.Message}", 0, Passed: false));
            throw;
        }

        _rows.Add(new(fault, outcome.Injected, promised, outcome.Seen, outcome.Lost, outcome.Passed));
        Assert.True(outcome.Passed, outcome.Seen);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_rows.Count == 0)
        {
            return; // all were skipped
        }

        var path = Path.Combine(RepositoryRoot.Find(), "faults.json");
        File.WriteAllText(path, JsonSerializer.Serialize(_rows, Json) + "\n");
        var table = new Table().Border(TableBorder.Simple).AddColumns("fault", "injected", "promised", "seen", "lost", "passed");
        foreach (var row in _rows)
        {
            table.AddRow([.. new[] { row.Fault, Shown(row.Injected), row.Promised, row.Seen, Shown(row.Lost), row.Passed ? "yes" : "NO" }.Select(Markup.Escape)]);
        }

        using var text = new StringWriter(CultureInfo.InvariantCulture);
        var console = AnsiConsole.Create(new() { Ansi = AnsiSupport.No, ColorSystem = ColorSystemSupport.NoColors, Out = new AnsiConsoleOutput(text) });
        console.Profile.Width = Width;
        console.Write(table);
        Console.Out.WriteLine(text);
        Console.Out.WriteLine($"{_rows.Count(row => row.Passed)} of {_rows.Count} passed ({(IsLong ? "long" : "short")} form); also in {path}");

        static string Shown(int value) => value.ToString("N0", CultureInfo.InvariantCulture);
    }
}
