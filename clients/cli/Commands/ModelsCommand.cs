using System.CommandLine;
using Spectre.Console;

namespace LrtMesh.Cli.Commands;

/// <summary><c>lrtmesh models</c>: the models that the roles of a mesh hold.</summary>
internal static class ModelsCommand
{
    public static Command Create()
    {
        var command = new Command("models", """
            Lists the models that the roles of a mesh hold, with their sizes.

            Example: lrtmesh models

            lrtmesh models random makes a checkpoint of random weights on this machine; see lrtmesh models random --help.
            """);
        CommandRun.Set(command, RunAsync);
        return command;
    }

    private static async Task RunAsync(CommandRun run)
    {
        await using var mesh = await run.OpenMeshAsync();
        var models = await mesh.ListModelsAsync(run.Cancellation);

        var table = new Table().Border(TableBorder.Simple).AddColumns("model", "role", "family");
        foreach (string heading in new[] { "layers", "width", "vocabulary", "context", "parameters" })
        {
            table.AddColumn(new TableColumn(heading).RightAligned());
        }

        table.AddColumns("computes in", "device", "digest");
        foreach (var (model, role) in models)
        {
            string[] cells = [model.Name, role.Name, model.Family, $"{model.Layers}", $"{model.Width}", $"{model.Vocabulary}", $"{model.Context}",
                $"{model.Parameters:N0}", $"{model.WeightDtype}".ToLowerInvariant(), model.Device, Inputs.Short(model.Digest)];
            table.AddRow([.. cells.Select(Markup.Escape)]);
        }

        run.Terminal.Out.Write(table);
        run.Terminal.Out.MarkupLineInterpolated($"store: {mesh.Store}");
        await run.WriteJsonAsync(new
        {
            mesh.Store,
            Models = models.Select(located => new
            {
                located.Model.Name,
                Role = located.Role.Name,
                located.Model.Digest,
                located.Model.Family,
                located.Model.Layers,
                located.Model.Width,
                located.Model.Vocabulary,
                located.Model.Context,
                located.Model.Parameters,
                ComputeDtype = $"{located.Model.ComputeDtype}".ToLowerInvariant(),
                WeightDtype = $"{located.Model.WeightDtype}".ToLowerInvariant(),
                located.Model.DtypeReason,
                located.Model.Device,
                located.Model.DeviceReason,
                located.Model.TokenizerDigest,
            }),
        });
    }
}
