using System.Diagnostics;
using Spectre.Console;

namespace LrtMesh.Cli;

/// <summary>
/// What a person sees. Facts go to standard output, or to standard error where that is taken (JSON or a model's text);
/// progress and errors always go to standard error. Live displays only on a terminal, plain lines elsewhere; NO_COLOR is honoured.
/// </summary>
internal sealed class Terminal
{
    // A table that goes to a file is not cut to 80 columns.
    private const int WidthOfFiles = 160;
    private static readonly TimeSpan BetweenPlainLines = TimeSpan.FromSeconds(5);

    private readonly IAnsiConsole _error = Open(Console.Error, Console.IsErrorRedirected);

    /// <summary>A terminal whose facts go to standard error if <paramref name="outputTaken"/>.</summary>
    public Terminal(bool outputTaken) => Out = outputTaken ? _error : Open(Console.Out, Console.IsOutputRedirected);

    /// <summary>Where facts for a person go.</summary>
    public IAnsiConsole Out { get; }

    /// <summary>Prints an error: the first line marked as such, the others as they are.</summary>
    public void Error(IEnumerable<string> lines)
    {
        string mark = "error: ";
        foreach (string line in lines)
        {
            _error.MarkupLineInterpolated($"[red]{mark}[/]{line}");
            mark = "";
        }
    }

    /// <summary>Says something aside: not a fact that a program reading standard output should meet.</summary>
    public void Note(string line) => _error.MarkupLineInterpolated($"[grey]{line}[/]");

    /// <summary>Shows that something of unknown length is under way.</summary>
    public async Task<T> StatusAsync<T>(string what, Func<Task<T>> work)
    {
        if (!_error.Profile.Capabilities.Interactive)
        {
            return await work();
        }

        return await _error.Status().StartAsync(Markup.Escape(what), _ => work());
    }

    /// <summary>Shows how far something is; the work reports (done, total), total 0 while unknown.</summary>
    public async Task<T> ProgressAsync<T>(string what, Func<Action<long, long>, Task<T>> work)
    {
        if (!_error.Profile.Capabilities.Interactive)
        {
            return await work(PlainProgress(what));
        }

        var columns = new ProgressColumn[] { new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new ElapsedTimeColumn(), new RemainingTimeColumn() };
        return await _error.Progress().AutoClear(true).Columns(columns).StartAsync(async context =>
        {
            var task = context.AddTask(Markup.Escape(what));
            task.IsIndeterminate = true;
            return await work((done, total) =>
            {
                task.IsIndeterminate = total == 0;
                task.MaxValue = Math.Max(total, 1);
                task.Value = total == 0 ? 0 : done;
            });
        });
    }

    private Action<long, long> PlainProgress(string what)
    {
        var sinceLine = Stopwatch.StartNew();
        var sinceStart = Stopwatch.StartNew();
        return (done, total) =>
        {
            lock (sinceLine)
            {
                if (sinceLine.Elapsed >= BetweenPlainLines)
                {
                    _error.WriteLine(total == 0 ? $"{what}: {done}" : $"{what}: {done} of {total}, about {sinceStart.Elapsed.TotalSeconds * (total - done) / Math.Max(1, done):0} s left");
                    sinceLine.Restart();
                }
            }
        };
    }

    private static IAnsiConsole Open(TextWriter writer, bool redirected)
    {
        bool live = !redirected && Environment.GetEnvironmentVariable("TERM") != "dumb";
        var console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Out = new AnsiConsoleOutput(writer),
            Ansi = live ? AnsiSupport.Detect : AnsiSupport.No,
            Interactive = live ? InteractionSupport.Yes : InteractionSupport.No,
        });
        if (!live)
        {
            console.Profile.Width = WidthOfFiles;
        }

        return console;
    }
}
