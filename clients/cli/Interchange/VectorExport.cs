using LrtMesh.Cli.Commands;
using LrtMesh.V1;
using Spectre.Console;

namespace LrtMesh.Cli.Interchange;

/// <summary><c>lrtmesh export --vector</c>: stored vectors of one model, one a layer, as a file.</summary>
internal static class VectorExport
{
    /// <summary>Writes the file and says how its directions are applied elsewhere.</summary>
    /// <param name="run">The command's run.</param>
    /// <param name="names">Names of the vectors.</param>
    /// <param name="version">Version of the one vector; 0: the newest of each.</param>
    /// <param name="path">The file.</param>
    /// <exception cref="CommandException">The vectors are of several models or share a layer, or the format cannot carry one.</exception>
    public static async Task RunAsync(CommandRun run, IReadOnlyList<string> names, ulong version, string path)
    {
        await using var mesh = await run.OpenMeshAsync();
        var vectors = new List<Vector>();
        var directions = new Dictionary<uint, float[]>();
        foreach (string name in names)
        {
            var found = await mesh.Vectors.GetVectorAsync(new GetVectorRequest { Name = name, Version = version }, Mesh.Soon(run.Cancellation));
            if (vectors.FirstOrDefault(vector => vector.Model != found.Vector.Model) is { } other)
            {
                throw new CommandException($"{other.Name} is of {other.Model}, and {name} of {found.Vector.Model}; a file is of one model.", "Export them one by one.");
            }

            if (!directions.TryAdd(found.Vector.Layer, Tensors.Float32(found.Elements)))
            {
                throw new CommandException($"{name} is of layer {found.Vector.Layer}, like one before it; a file has one direction a layer.", "Export them one by one.");
            }

            vectors.Add(found.Vector);
        }

        await new VectorFile(await FamilyAsync(mesh, vectors[0].Model, run.Cancellation), directions, vectors).WriteAsync(path, run.Cancellation);
        foreach (var vector in vectors)
        {
            run.Terminal.Out.MarkupLineInterpolated($"{path}: {vector.Name} as direction.{vector.Layer}, after block {vector.Layer} of {vector.Model}, width {vector.Width}, length {vector.Norm:G6}");
        }

        run.Terminal.Note($"A coefficient c here is a scale of c / {vectors[0].Norm:G6} where the direction is added as it is: --control-vector-scaled {Path.GetFileName(path)}:SCALE in llama.cpp.");
        await run.WriteJsonAsync(new { File = path, Vectors = vectors.Select(vector => new { vector.Name, vector.Version, vector.Model, vector.Layer, vector.Width, vector.Norm, vector.Digest }) });
    }

    // A mesh need not hold the model of every vector that it stores.
    private static async Task<string?> FamilyAsync(Mesh mesh, string model, CancellationToken cancellation) =>
        (await mesh.ListModelsAsync(cancellation)).FirstOrDefault(located => located.Name == model)?.Model.Family;
}
