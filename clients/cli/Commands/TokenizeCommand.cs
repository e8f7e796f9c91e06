using System.CommandLine;
using LrtMesh.V1;
using Spectre.Console;

namespace LrtMesh.Cli.Commands;

/// <summary><c>lrtmesh tokenize</c>: a text as a model's tokens.</summary>
internal static class TokenizeCommand
{
    private static readonly Argument<string> Text = new("TEXT") { Description = "The text to split." };

    private static readonly Option<string> ModelName = new("--model")
    {
        Description = "Name of the model whose tokenizer splits.",
        HelpName = "MODEL",
        DefaultValueFactory = _ => Inputs.SmallModel,
    };

    private static readonly Option<bool> Special = new("--special") { Description = "Add the special tokens that the model expects at the start and end." };

    public static Command Create()
    {
        var command = new Command("tokenize", """
            Splits a text into a model's tokens: ids, pieces, and the characters that each covers.

            Example: lrtmesh tokenize --model tiny-large "The dog came home."
            """)
        { Text, ModelName, Special };
        CommandRun.Set(command, RunAsync);
        return command;
    }

    private static async Task RunAsync(CommandRun run)
    {
        await using var mesh = await run.OpenMeshAsync();
        var model = await mesh.FindModelAsync(run.Get(ModelName), run.Cancellation);
        var request = new TokenizeRequest { Model = model.Name, Text = run.Parse.GetRequiredValue(Text), AddSpecialTokens = run.Get(Special) };
        var response = await model.Role.Models.TokenizeAsync(request, Mesh.Soon(run.Cancellation));

        var table = new Table().Border(TableBorder.Simple)
            .AddColumn(new TableColumn("id").RightAligned()).AddColumn("piece").AddColumn("characters");
        foreach (var token in response.Tokens)
        {
            // Quoted, so that a leading space can be seen.
            table.AddRow($"{token.Id}", Markup.Escape($"'{token.Text.Replace("\n", "\\n", StringComparison.Ordinal)}'"), $"{token.CharStart}–{token.CharEnd}");
        }

        run.Terminal.Out.Write(table);
        run.Terminal.Out.MarkupLineInterpolated($"{response.Tokens.Count} tokens of {model.Name}");
        await run.WriteJsonAsync(new
        {
            Model = model.Name,
            model.Model.TokenizerDigest,
            Tokens = response.Tokens.Select(token => new { token.Id, token.Text, token.CharStart, token.CharEnd }),
        });
    }
}
