using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace LrtMesh.Cli;

/// <summary>The facts of a command for a program: the target of <c>--json</c>, a path or "-" for standard output.</summary>
internal sealed class JsonFile
{
    public static readonly JsonSerializerOptions Options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        WriteIndented = true,
    };

    private readonly string _target;

    /// <summary>Checks the target before the command works for it.</summary>
    /// <exception cref="CommandException">The folder of the file does not exist.</exception>
    public JsonFile(string target)
    {
        _target = target;
        if (!ToStandardOutput && Path.GetDirectoryName(Path.GetFullPath(target)) is { } folder && !Directory.Exists(folder))
        {
            throw new CommandException($"--json {target}: there is no folder {folder}.");
        }
    }

    public bool ToStandardOutput => _target == "-";

    /// <summary>Writes the command line and the facts, whole or not at all.</summary>
    public async Task WriteAsync(string commandLine, object facts)
    {
        var json = new JsonObject { ["command"] = commandLine };
        foreach (var (name, value) in JsonSerializer.SerializeToNode(facts, Options)!.AsObject())
        {
            json[name] = value?.DeepClone();
        }

        string text = json.ToJsonString(Options);
        if (ToStandardOutput)
        {
            await Console.Out.WriteLineAsync(text);
            return;
        }

        string partial = _target + ".partial";
        await File.WriteAllTextAsync(partial, text + "\n");
        File.Move(partial, _target, overwrite: true);
    }
}
