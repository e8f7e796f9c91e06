using LrtMesh.Cli.Commands;
using LrtMesh.Client;
using LrtMesh.V1;
using Spectre.Console;

namespace LrtMesh.Cli.Interchange;

/// <summary><c>lrtmesh import</c> of steering vectors: each direction of a file as a stored vector of a model.</summary>
internal static class VectorImport
{
    /// <summary>Stores the directions of <paramref name="file"/>, of all layers or those given.</summary>
    /// <param name="name">Name of the vector; with several layers @L is appended.</param>
    /// <exception cref="CommandException">The directions do not fit the model.</exception>
    public static async Task RunAsync(CommandRun run, VectorFile file, string name, string modelName, IReadOnlyList<uint> layers)
    {
        await using var mesh = await run.OpenMeshAsync();
        var model = (await mesh.FindModelAsync(modelName, run.Cancellation)).Model;
        uint[] wanted = layers.Count > 0 ? [.. layers] : [.. file.Directions.Keys.Order()];
        Check(file, model, wanted);
        if (file.Family is { } family && family != model.Family)
        {
            run.Terminal.Note($"The file says that it is for {family}; {model.Name} is {model.Family}. What counts is that it is the same model.");
        }

        var stored = new List<Vector>();
        foreach (uint layer in wanted)
        {
            var known = file.Vectors.FirstOrDefault(vector => vector.Layer == layer);
            var response = await mesh.Vectors.PutVectorAsync(
                new PutVectorRequest
                {
                    Vector = new Vector
                    {
                        Name = wanted.Length > 1 ? $"{name}@{layer}" : name,
                        Model = model.Name,
                        ModelDigest = model.Digest,
                        Layer = layer,
                        Provenance = known?.ModelDigest == model.Digest ? known.Provenance : new VectorProvenance { Method = VectorMethod.Given },
                    },
                    Elements = TensorBytes.Encode(file.Directions[layer], (ulong)file.Directions[layer].Length),
                },
                Mesh.Soon(run.Cancellation));
            stored.Add(response.Vector);
            run.Terminal.Out.MarkupLineInterpolated($"{response.Vector.Name}: layer {layer} of {model.Name}, width {model.Width}, length {response.Vector.Norm:G6}, digest {Inputs.Short(response.Vector.Digest)}");
        }

        run.Terminal.Note($"Try it: lrtmesh generate --model {model.Name} --vector {stored[^1].Name} --coefficient C \"...\", with C growing from a tenth of the length of the layer's hidden states; {stored[^1].Norm:G3} adds it as the file has it.");
        await run.WriteJsonAsync(new { Vectors = stored.Select(vector => new { vector.Name, vector.Model, vector.Layer, vector.Width, vector.Norm, vector.Digest }) });
    }

    private static void Check(VectorFile file, Model model, uint[] wanted)
    {
        foreach (uint layer in wanted)
        {
            if (!file.Directions.TryGetValue(layer, out float[]? elements))
            {
                throw new CommandException($"The file has no direction of layer {layer}.", $"It has layers {string.Join(", ", file.Directions.Keys.Order())}.");
            }

            if (layer >= model.Layers)
            {
                throw new CommandException($"The file has a direction of layer {layer}; {model.Name} has layers 0 to {model.Layers - 1}.", "Is it the model that the file was made for? --layer takes some layers alone.");
            }

            if (elements.Length != model.Width)
            {
                throw new CommandException($"direction.{layer} is {elements.Length} wide; {model.Name} is {model.Width}.", "A vector of one model is carried to another by a map: lrtmesh transfer.");
            }
        }
    }
}
