using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using LrtMesh.Cli.Commands;

namespace LrtMesh.Cli;

/// <summary>Exit codes: 0 did what it said, 1 failed, 2 wrong usage, 130 interrupted.</summary>
internal static class Program
{
    public const int Failed = 1;
    public const int WrongUsage = 2;
    public const int Interrupted = 130;

    private const string Name = "lrtmesh";

    // A mesh of our own may take 10 s to stop after Ctrl+C.
    private static readonly TimeSpan CleanUp = TimeSpan.FromSeconds(20);

    private static async Task<int> Main(string[] arguments)
    {
        var parse = Root().Parse(arguments);
        if (parse.Action is ParseErrorAction errors)
        {
            errors.ShowHelp = arguments.Length == 0;
            await parse.InvokeAsync();
            if (arguments.Length > 0)
            {
                await Console.Error.WriteLineAsync($"Try: {CommandPath(parse)} --help");
            }

            return WrongUsage;
        }

        return await parse.InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = CleanUp });
    }

    /// <summary>All commands. A plain command and not a RootCommand, which would be named after this executable and not after the launcher.</summary>
    public static Command Root() => new(Name, "Steers a large language model with directions learnt in a small one. Start with: lrtmesh demo")
    {
        new HelpOption(),
        new VersionOption(),
        DemoCommand.Create(),
        EvaluateCommand.Create(),
        ModelsCommand.Create(),
        TokenizeCommand.Create(),
        ExtractCommand.Create(),
        LearnCommand.Create(),
        TrainMapCommand.Create(),
        SweepCommand.Create(),
        BasisCommand.Create(),
        TransferCommand.Create(),
        VersionsCommand.Create(),
        ExportCommand.Create(),
        ImportCommand.Create(),
        GenerateCommand.Create(),
    };

    private static string CommandPath(ParseResult parse) =>
        parse.CommandResult.Command.Name is Name ? Name : $"{Name} {parse.CommandResult.Command.Name}";
}
