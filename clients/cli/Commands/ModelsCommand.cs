using System.CommandLine;
using LrtMesh.V1;
using Spectre.Console;

namespace LrtMesh.Cli.Commands;

/// <summary><c>lrtmesh models</c>: the models that the roles of a mesh hold, and loading and unloading them.</summary>
internal static class ModelsCommand
{
    public static Command Create()
    {
        var command = new Command("models", """
            Lists the models that the roles of a mesh hold, with their sizes.

            Example: lrtmesh models

            lrtmesh models random makes a checkpoint of random weights on this machine; see lrtmesh models random --help.
            """) { Load(), Unload() };
        CommandRun.Set(command, RunAsync);
        return command;
    }

    private static Command Load()
    {
        var model = new Argument<string>("model")
        {
            Description = "The name by which requests will refer to it, and its checkpoint on the server: a path below the role's --model-root, or a name of its Hugging Face cache there.",
            HelpName = "NAME=FOLDER|NAME=ORG/MODEL[@REVISION]",
        };
        model.Validators.Add(result =>
        {
            if (result.Tokens is [{ Value: var text }] && text.Split('=', 2) is not [{ Length: > 0 }, { Length: > 0 }])
            {
                result.AddError($"'{text}': expected NAME=FOLDER or NAME=ORG/MODEL, such as other=llama/1b.");
            }
        });
        var role = Role();
        var dtype = new Option<string?>("--dtype") { Description = "float32, bfloat16 or int8 (weights only). Default: the role's own setting.", HelpName = "TYPE" };
        dtype.AcceptOnlyFromAmong("float32", "bfloat16", "int8");
        var device = new Option<string?>("--device") { Description = "auto, cpu, cuda or cuda:N. Default: the role's own setting.", HelpName = "DEVICE" };
        var command = new Command("load", """
            Loads a model into a role of a running mesh, while its other models go on serving. Other replicas of the role are not told.

            Example: lrtmesh models load other=llama/1b --role generation --mesh .lrtmesh/mesh.json
            """) { model, role, dtype, device };
        CommandRun.Set(command, async run =>
        {
            await using var mesh = await OpenAsync(run);
            string[] parts = run.Parse.GetValue(model)!.Split('=', 2);
            var request = new LoadModelRequest { Name = parts[0], Checkpoint = parts[1], Device = run.Parse.GetValue(device) ?? "" };
            if (run.Parse.GetValue(dtype) is { } type)
            {
                request.Dtype = Enum.Parse<WeightDtype>(type, ignoreCase: true);
            }

            var loaded = (await run.Terminal.StatusAsync(
                $"loading {request.Name}", async () => await mesh.RoleNamed(run.Get(role)).Models.LoadModelAsync(request, Mesh.Long(run.Cancellation)))).Model;
            run.Terminal.Out.MarkupLineInterpolated(
                $"loaded {loaded.Name}: {loaded.Parameters:N0} parameters, {$"{loaded.WeightDtype}".ToLowerInvariant()} on {loaded.Device}, {Inputs.Short(loaded.Digest)}");
            await run.WriteJsonAsync(new { loaded.Name, Role = run.Get(role), loaded.Digest, loaded.Parameters });
        });
        return command;
    }

    private static Command Unload()
    {
        var name = new Argument<string>("name") { Description = "The model.", HelpName = "NAME" };
        var role = Role();
        var command = new Command("unload", """
            Unloads a model from a role of a running mesh: calls that use it may finish within the role's drain time, and its memory is freed.

            Example: lrtmesh models unload other --role generation --mesh .lrtmesh/mesh.json
            """) { name, role };
        CommandRun.Set(command, async run =>
        {
            await using var mesh = await OpenAsync(run);
            var request = new UnloadModelRequest { Name = run.Parse.GetValue(name)! };
            await run.Terminal.StatusAsync(
                $"unloading {request.Name}", async () => await mesh.RoleNamed(run.Get(role)).Models.UnloadModelAsync(request, Mesh.Long(run.Cancellation)));
            run.Terminal.Out.MarkupLineInterpolated($"unloaded {request.Name}");
            await run.WriteJsonAsync(new { request.Name, Role = run.Get(role) });
        });
        return command;
    }

    private static Option<string> Role()
    {
        var role = new Option<string>("--role") { Description = "The role: extraction or generation.", HelpName = "ROLE", Required = true };
        role.AcceptOnlyFromAmong("extraction", "generation");
        return role;
    }

    private static Task<Mesh> OpenAsync(CommandRun run) => run.OwnMesh
        ? throw new CommandException("A mesh that this command starts would end with it.", "Give the profile of a running one with --mesh.")
        : run.OpenMeshAsync();

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
