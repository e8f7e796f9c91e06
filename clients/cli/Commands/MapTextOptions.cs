using System.CommandLine;
using LrtMesh.V1;

namespace LrtMesh.Cli.Commands;

/// <summary>Where the texts of a map job come from: a file that is sent along, a text of the family, or files that the mapping role reads.</summary>
internal sealed class MapTextOptions
{
    // Under gRPC's 4 MiB for a message.
    private const int LongestRequest = (4 << 20) - (64 << 10);

    private readonly Option<string?> _file = new("--file")
    {
        Description = "Texts to read in all models: .txt with one document on each line, or .jsonl with {\"text\": ...} or {\"messages\": [...]}. Up to 4 MB; larger ones by --texts.",
        HelpName = "FILE",
    };

    private readonly Option<string?> _familyText = new("--family-text")
    {
        Description = "Which text of the family to use instead of --file. Default: in-distribution.",
        HelpName = "in-distribution|behaviour-free",
    };

    private readonly Option<string> _family = Inputs.Family();

    private readonly Option<string?> _texts = new("--texts")
    {
        Description = "Instead of --file: a file or folder that the mapping role reads, below its --text-root: .txt, .jsonl or .parquet.",
        HelpName = "PATH",
    };

    private readonly Option<string?> _field = new("--text-field") { Description = "With --texts: key or column of the text. Default: text.", HelpName = "NAME" };

    private readonly Option<uint> _most = new("--max-documents") { Description = "Read at most so many documents. Default: all.", HelpName = "N" };

    /// <summary>Gives a command its options.</summary>
    public MapTextOptions(Command command)
    {
        _familyText.AcceptOnlyFromAmong("in-distribution", "behaviour-free");
        foreach (var option in new Option[] { _file, _familyText, _family, _texts, _field, _most })
        {
            command.Add(option);
        }

        command.Validators.Add(result =>
        {
            if (new[] { result.GetValue(_file), result.GetValue(_familyText), result.GetValue(_texts) }.Count(given => given is not null) > 1)
            {
                result.AddError("Give the texts once: --file FILE, --family-text or --texts PATH.");
            }
        });
    }

    /// <summary>Puts the texts into a request.</summary>
    /// <exception cref="CommandException">The file cannot be read, or the texts are too long for one request.</exception>
    public void Fill(CommandRun run, CreateMapJobRequest request)
    {
        uint most = run.Get(_most);
        if (run.Parse.GetValue(_texts) is { } path)
        {
            request.Texts = new TextSource { Path = path, Field = run.Parse.GetValue(_field) ?? "", MaxDocuments = most };
            return;
        }

        string file = run.Parse.GetValue(_file) ?? BehaviourSet.MapTextPath(
            run.Get(_family), run.Parse.GetValue(_familyText) == "behaviour-free" ? MapText.BehaviourFree : MapText.InDistribution);
        request.Documents.AddRange(TextFiles.ReadDocuments(file).Take(most == 0 ? int.MaxValue : (int)most));
        int size = request.CalculateSize();
        if (size > LongestRequest)
        {
            long fitting = (long)request.Documents.Count * LongestRequest / size;
            throw new CommandException(
                $"The texts take {size} bytes; one request takes at most {LongestRequest}.",
                $"Use about the first {fitting} of the {request.Documents.Count} documents (--max-documents), or --texts with a mesh that was started with --text-root.");
        }
    }
}
