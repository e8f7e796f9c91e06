using System.CommandLine;
using LrtMesh.V1;
using Spectre.Console;

namespace LrtMesh.Cli.Commands;

/// <summary><c>lrtmesh learn</c>: steering vectors from contrast pairs.</summary>
internal static class LearnCommand
{
    private static readonly Option<string> VectorName = new("--name") { Description = "Name to store the vector under; with several layers @L is appended.", HelpName = "NAME", Required = true };

    private static readonly Option<string> ModelName = new("--model")
    {
        Description = "Name of the model to learn from.",
        HelpName = "MODEL",
        DefaultValueFactory = _ => Inputs.SmallModel,
    };

    private static readonly Option<uint[]> Layers = Inputs.Layers("--layers", "Layers to learn at, all in one pass: the output of block L, counted from 0. Each gives a vector.", "--layer");

    private static readonly Option<string> Method = Inputs.Choice(
        "--method", "Difference of the classes' means, principal axis of the pairs' differences, or weights of a logistic regression.", "difference", "pca", "probe");

    private static readonly Option<double?> Lambda = new("--lambda") { Description = "With --method probe: its L2 penalty, 1e-6 to 1e3; the larger, the nearer to the difference of means. Default 0.001.", HelpName = "LAMBDA" };

    private static readonly Option<string?> Pairs = new("--pairs") { Description = "Contrast pairs: a .jsonl file with {\"positive\": ..., \"negative\": ...} on each line, texts or lists of chat messages.", HelpName = "FILE" };

    private static readonly Option<string?> BehaviourName = new("--behaviour") { Description = "Take the contrast pairs of this behaviour of the family, such as cheerful.", HelpName = "NAME" };

    private static readonly Option<string> Family = Inputs.Family();

    private static readonly Option<string> Position = Inputs.Choice("--position", "Whose hidden state stands for a text: its last token's, the mean over its tokens, or the last token's of a chat's last message, before what the template writes after it.", "last", "mean", "last-content");

    public static Command Create()
    {
        var command = new Command("learn", """
            Learns a steering vector from contrast pairs and stores it, one for each layer. It points from the texts that do
            not show the behaviour to those that do, and its norm is the gap between the two along it. AUC says how well
            vectors learnt so tell pairs apart that were held out (5 folds; 0.5 is chance), correlation how far apart.

            Example: lrtmesh learn --name cheerful --model tiny-small --layers 1,2 --method probe --behaviour cheerful
            """)
        { VectorName, ModelName, Layers, Method, Lambda, Pairs, BehaviourName, Family, Position };
        command.Validators.Add(result =>
        {
            if (result.GetValue(Pairs) is null == result.GetValue(BehaviourName) is null)
            {
                result.AddError("Give the contrast pairs: either --pairs FILE or --behaviour NAME.");
            }

            if (result.GetValue(Lambda) is not null && result.GetValue(Method) != "probe")
            {
                result.AddError("--lambda belongs to --method probe.");
            }
        });
        CommandRun.Set(command, RunAsync);
        return command;
    }

    private static async Task RunAsync(CommandRun run)
    {
        var request = new LearnVectorRequest
        {
            Name = run.Get(VectorName),
            Model = run.Get(ModelName),
            Layers = { run.Get(Layers) },
            Method = run.Get(Method) switch
            {
                "pca" => VectorMethod.PcaOfDifferences,
                "probe" => VectorMethod.LogisticProbe,
                _ => VectorMethod.DifferenceOfMeans,
            },
            Position = run.Get(Position) switch { "mean" => LearnPosition.Mean, "last-content" => LearnPosition.LastContent, _ => LearnPosition.Last },
        };
        if (run.Parse.GetValue(Lambda) is { } lambda)
        {
            request.ProbeLambda = lambda;
        }

        request.Pairs.AddRange(run.Parse.GetValue(Pairs) is { } file ? TextFiles.ReadPairs(file) : BehaviourSet.Load(run.Get(Family))[run.Parse.GetValue(BehaviourName)!].Contrast.Select(pair => new ContrastPair { Positive = pair.Positive, Negative = pair.Negative }));

        await using var mesh = await run.OpenMeshAsync();
        var model = await mesh.FindModelAsync(request.Model, run.Cancellation);
        var response = await run.Terminal.StatusAsync(
            $"learning from {request.Pairs.Count} pairs",
            async () => await model.Role.Extraction.LearnVectorAsync(request, Mesh.Long(run.Cancellation)));

        var table = new Table().Border(TableBorder.Simple).AddColumn("vector");
        foreach (string heading in new[] { "layer", "width", "norm", "norm of states", "AUC", "correlation" })
        {
            table.AddColumn(new TableColumn(heading).RightAligned());
        }

        table.AddColumn("digest");
        foreach (var learnt in response.Vectors)
        {
            var vector = learnt.Vector;
            table.AddRow(Markup.Escape(vector.Name), $"{vector.Layer}", $"{vector.Width}", $"{vector.Norm:0.000}", $"{learnt.MeanHiddenNorm:0.00}", $"{learnt.Auc:0.000}", $"{learnt.Correlation:0.000}", Inputs.Short(vector.Digest));
        }

        run.Terminal.Out.Write(table);
        var recommended = response.Vectors.First(learnt => learnt.Vector.Layer == response.RecommendedLayer);
        run.Terminal.Out.MarkupLineInterpolated($"AUC and correlation are over {recommended.HeldOutPairs} pairs, each while it was held out.");
        if (response.Vectors.Count > 1)
        {
            run.Terminal.Out.MarkupLineInterpolated($"They are told apart best at layer {response.RecommendedLayer}.");
        }

        run.Terminal.Note(Next(model, recommended.Vector));
        await run.WriteJsonAsync(new
        {
            Model = model.Name,
            ModelDigest = model.Model.Digest,
            Method = run.Get(Method),
            Pairs = request.Pairs.Count,
            response.RecommendedLayer,
            Vectors = response.Vectors.Select(learnt => new
            {
                learnt.Vector.Name,
                learnt.Vector.Layer,
                learnt.Vector.Width,
                learnt.Vector.Norm,
                learnt.MeanHiddenNorm,
                learnt.Auc,
                learnt.Correlation,
                learnt.HeldOutPairs,
                learnt.Vector.Digest,
                learnt.Vector.Provenance?.DataDigest,
            }),
        });
    }

    // Only the generation role writes text; a vector of another role's model has to be carried over first.
    private static string Next(LocatedModel model, Vector vector) => model.Role.Name == "generation"
        ? $"Try it: lrtmesh generate --model {model.Name} --vector {vector.Name} --coefficient {vector.Norm:G3} \"...\""
        : $"Next, with a map of `lrtmesh train-map --source {model.Name}:{vector.Layer}`: lrtmesh transfer --vector {vector.Name} --map MAP --name {vector.Name}-large";
}
