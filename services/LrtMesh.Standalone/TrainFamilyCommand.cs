using System.CommandLine;
using System.Globalization;
using LrtMesh.Core.Tensors;
using LrtMesh.TinyFamily;

namespace LrtMesh.Standalone;

/// <summary>`train-family`: makes everything in models/tiny from a seed.</summary>
internal static class TrainFamilyCommand
{
    public static Command Create()
    {
        var folder = new Option<DirectoryInfo>("--out")
        {
            Description = "Folder to write to; a run that was cut off goes on from what it finds there.",
            DefaultValueFactory = _ => new DirectoryInfo(Path.Combine(UpCommand.Home, "models", "tiny")),
        };
        var seed = new Option<int>("--seed") { Description = "Seed of text and weights.", DefaultValueFactory = _ => 1 };
        var sizes = new Option<string[]>("--size")
        {
            Description = "Train only these: small, medium, large, or a sibling: neox, short-tokens, other-data.",
            DefaultValueFactory = _ => [.. TinyFamily.TinyFamily.Plans.Select(p => p.Name)],
            AllowMultipleArgumentsPerToken = true,
        };
        var command = new Command(
            "train-family",
            "Train the family of tiny models that ships, from its own grammar: tokenizer, three models, behaviour files and map texts. Two hours or less on two cores.")
        {
            folder, seed, sizes,
        };
        command.SetAction((parsed, cancellation) => Task.Run(
            () => Train(parsed.GetValue(folder)!.FullName, parsed.GetValue(seed), parsed.GetValue(sizes)!, cancellation),
            cancellation));
        return command;
    }

    private static int Train(string folder, int seed, string[] sizes, CancellationToken cancellation)
    {
        NativeTorch.EnsureLoaded();
        TrainingPlan[] plans = [.. TinyFamily.TinyFamily.Plans, .. TinyFamily.TinyFamily.Siblings];
        var unknown = sizes.Except(plans.Select(p => p.Name)).ToList();
        if (unknown.Count > 0)
        {
            Console.Error.WriteLine($"--size: '{unknown[0]}' is not one of {string.Join(", ", plans.Select(p => p.Name))}");
            return 2;
        }

        var tokenizerFolder = Path.Combine(folder, "tokenizer");
        var tokenizer = TinyFamily.TinyFamily.PrepareTokenizer(tokenizerFolder, seed);
        FamilyFiles.WriteBehaviours(Path.Combine(folder, "behaviours"), tokenizer, seed);
        FamilyFiles.WriteMapText(Path.Combine(folder, "text"), seed);
        foreach (var plan in plans.Where(p => sizes.Contains(p.Name)))
        {
            var ownTokenizerFolder = Path.Combine(folder, plan.Tokenizer);
            var ownTokenizer = TinyFamily.TinyFamily.PrepareTokenizer(ownTokenizerFolder, seed, plan.Config.Vocabulary);
            var progress = new StepLines(plan.Name);
            try
            {
                TinyFamily.TinyFamily.Train(plan, ownTokenizer, ownTokenizerFolder, Path.Combine(folder, plan.Name), seed, progress, cancellation);
            }
            catch (OperationCanceledException)
            {
                Console.Error.WriteLine($"stopped while training {plan.Name}: the same command goes on from there");
                return 130;
            }

            Console.WriteLine($"{plan.Name}: written to {Path.Combine(folder, plan.Name)}");
        }

        return 0;
    }

    /// <summary>One line every fifty steps, on the training thread itself.</summary>
    private sealed class StepLines(string name) : IProgress<TrainingProgress>
    {
        public void Report(TrainingProgress p)
        {
            if (p.Step % 50 == 0)
            {
                Console.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $"{name}: step {p.Step}/{p.Steps}  loss {p.Loss:F3}  {p.TokensPerSecond:N0} tok/s  {p.Left:h\\:mm\\:ss} left"));
            }
        }
    }
}
