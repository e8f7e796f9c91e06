using System.CommandLine;
using Grpc.Core;

namespace LrtMesh.Cli.Commands;

/// <summary>One run of a command: what was typed, where its facts go, and the mesh that it works with.</summary>
internal sealed class CommandRun
{
    private readonly MeshOptions _options;
    private readonly JsonFile? _json;

    private CommandRun(MeshOptions options, ParseResult parse, JsonFile? json, bool textOnOutput, CancellationToken cancellation)
    {
        _options = options;
        _json = json;
        Parse = parse;
        Cancellation = cancellation;
        Terminal = new Terminal(outputTaken: textOnOutput || json is { ToStandardOutput: true });
    }

    public ParseResult Parse { get; }

    public Terminal Terminal { get; }

    public CancellationToken Cancellation { get; }

    /// <summary>Whether --json takes standard output.</summary>
    public bool JsonOnOutput => _json is { ToStandardOutput: true };

    /// <summary>Whether what is stored outlives the command's own mesh and its data folder, beside vectors and maps of others.</summary>
    public bool SharedStore => Parse.GetValue(_options.Mesh) is not null || Parse.GetValue(_options.Redis) is not null;

    /// <summary>The command line, as typed.</summary>
    public string CommandLine => string.Join(' ', Parse.Tokens.Select(token => token.Value.Contains(' ', StringComparison.Ordinal) ? $"\"{token.Value}\"" : token.Value).Prepend("lrtmesh"));

    /// <summary>Whether the mesh is started for this command, and ends with it.</summary>
    public bool OwnMesh => Parse.GetValue(_options.Mesh) is null;

    /// <summary>Gives a command its options for the mesh and --json, and its body; errors become messages and exit codes.</summary>
    /// <param name="textOnOutput">Standard output carries nothing but a model's text.</param>
    public static void Set(Command command, Func<CommandRun, Task> body, bool textOnOutput = false)
    {
        var options = new MeshOptions(command);
        command.SetAction((parse, cancellation) => RunAsync(options, parse, body, textOnOutput, cancellation));
    }

    /// <summary>The value of an option that is required or has a default, if only that of its type.</summary>
    public T Get<T>(Option<T> option) => Parse.GetValue(option)!;

    /// <summary>Opens the mesh of --mesh, or starts one over a data folder (the lasting one, unless another is given).</summary>
    /// <param name="options">Further options of the mesh that is started, as of `up`.</param>
    public Task<Mesh> OpenMeshAsync(string? dataFolder = null, params IReadOnlyList<string> options)
    {
        string? profile = Parse.GetValue(_options.Mesh);
        return Terminal.StatusAsync(
            profile is null ? "starting a mesh (all roles in one process)" : "opening the mesh",
            () => Mesh.OpenAsync(profile, _options.Access(Parse), Parse.GetValue(_options.Redis), dataFolder ?? Mesh.DefaultDataFolder, Cancellation, options));
    }

    /// <summary>Writes the facts for programs, if --json asks for them.</summary>
    public Task WriteJsonAsync(object facts) => _json?.WriteAsync(CommandLine, facts) ?? Task.CompletedTask;

    private static async Task<int> RunAsync(MeshOptions options, ParseResult parse, Func<CommandRun, Task> body, bool textOnOutput, CancellationToken cancellation)
    {
        var terminal = new Terminal(outputTaken: false);
        try
        {
            var json = parse.GetValue(options.Json) is { } target ? new JsonFile(target) : null;
            await body(new CommandRun(options, parse, json, textOnOutput, cancellation));
            return 0;
        }
        catch (Exception e) when (cancellation.IsCancellationRequested && e is OperationCanceledException or RpcException or CommandException)
        {
            terminal.Note("interrupted");
            return Program.Interrupted;
        }
        catch (RpcException e)
        {
            terminal.Error(GrpcErrors.Describe(e));
        }
        catch (CommandException e)
        {
            terminal.Error(e.Hint is null ? [e.Message] : [e.Message, e.Hint]);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or System.Security.Cryptography.CryptographicException)
        {
            terminal.Error([e.Message]);
        }

        return Program.Failed;
    }
}
